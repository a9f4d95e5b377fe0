"""What the calibration of gates reports: which cells err more often than chance explains, and real models in each."""
# ruff: noqa: E402 - the folder of the benchmarks may not be on the import path yet

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))  # last, so that an installed wheel stays the one that is tested

from benchmarks.gate_calibration import ARMS, GOALS, Cell, find_misses, judge_cells, limit_of
from benchmarks.gate_cost import METRICS, measure

CELL = Cell("churn", "forest", ARMS[0], "brier", 500, 1_000, 0.05, 0.05, 0.0, {}, (0.0, 0.0))


def test_a_cell_above_what_chance_explains_is_named_and_none_below_or_of_few_rows() -> None:
    limit = limit_of(1_000, 2)

    assert 0.05 < limit < 0.08
    assert limit_of(1_000, 432) == 0.077
    assert find_misses([replace(CELL, failed=limit), replace(CELL, n=200, failed=1.0)]) == []
    assert find_misses([replace(CELL, passed=0.2)])[0].startswith("churn, forest, retrained, brier, n=500: FAIL 5.0 %")


@pytest.mark.slow
@pytest.mark.parametrize("data", ["churn", "digits"])
def test_every_cell_is_judged_with_real_models_and_the_same_twice(data: str) -> None:
    first, again = (judge_cells(data, "logistic", sizes=[200], trials=5, pool=1_000, seeds=3) for _ in range(2))

    assert first == again
    assert [(cell.arm, cell.metric) for cell in first] == [(arm, metric) for arm in ARMS for metric in GOALS]
    assert all(cell.failed + cell.passed <= 1 for cell in first)


@pytest.mark.slow
def test_the_cost_of_a_gate_is_measured_of_every_metric_beside_computing_it_twice() -> None:
    found = measure(METRICS, rows=500, reps=1)

    assert list(found) == list(METRICS)
    for spent in found.values():
        assert all(math.isfinite(one) for one in spent.values())
        assert len(spent) == 3
