from __future__ import annotations

from pathlib import Path

import numpy as np
from churn.load import load
from churn.metrics import lift_at

CSV = Path(__file__).parents[1] / "data" / "churn.csv"


def test_every_row_is_in_one_split():
    assert [len(load(CSV, split).y) for split in ("train", "val", "test")] == [900, 300, 300]


def test_lift_of_a_perfect_score_is_one_over_the_rate():
    y = np.array([1, 0, 0, 0, 0, 0, 0, 0, 0, 0])

    assert lift_at(0.1, y, y.astype(float)) == 10.0
