"""A gate on a series reads the last value, the best one, or that of a step."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pytest_mlrun.errors import MetricError
from pytest_mlrun.records.verdict import GateKind
from pytest_mlrun.rules.series import read_at

VALUES = [0.5, math.nan, 0.9, 0.7, 0.8]
STEPS = [0, 10, 20, 30, 30]


@pytest.mark.parametrize(
    ("at", "kind", "value"),
    [
        ("last", "floor", 0.8),
        ("best", "floor", 0.9),
        ("best", "ceiling", 0.5),
        (20, "floor", 0.9),
        (0, "ceiling", 0.5),
        (30, "floor", 0.8),
        (np.int64(20), "floor", 0.9),
    ],
)
def test_a_point_of_a_series_is_read(at: str | int, kind: GateKind, value: float) -> None:
    assert read_at(VALUES, STEPS, at, kind=kind) == value


def test_arrays_are_read_like_lists() -> None:
    assert read_at(np.array(VALUES), np.array(STEPS), 20, kind="floor") == 0.9


def test_a_step_that_is_nan_is_nan() -> None:
    assert math.isnan(read_at(VALUES, STEPS, 10, kind="floor"))


def test_the_best_of_nothing_but_nan_is_nan() -> None:
    assert math.isnan(read_at([math.nan, math.nan], [0, 1], "best", kind="floor"))


@pytest.mark.parametrize(
    ("at", "reason"),
    [
        (12, "val_auc has no step 12; nearest: 0, 10, 20"),
        (99, "val_auc has no step 99; nearest: 10, 20, 30"),
        ("bset", "at='bset' is not a point of val_auc; did you mean 'best'?"),
        (True, "at=True is not a point of val_auc"),
    ],
)
def test_a_point_that_was_not_logged_is_refused(at: str | int, reason: str) -> None:
    with pytest.raises(MetricError, match=reason):
        read_at(VALUES, STEPS, at, kind="floor", metric="val_auc")


def test_a_series_without_points_is_refused() -> None:
    with pytest.raises(MetricError, match="val_auc has no points"):
        read_at([], [], "last", kind="floor", metric="val_auc")
