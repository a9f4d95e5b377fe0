from __future__ import annotations

from pathlib import Path

from credit.applications import Applications

FILE = Path(__file__).parents[1] / "data" / "applications.parquet"


def test_training_and_test_rows_are_strangers():
    applications = Applications.read(FILE)

    assert not set(applications.train.ids) & set(applications.test.ids)
    assert len(applications.test.y) == 400
