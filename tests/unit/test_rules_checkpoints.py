"""The best checkpoints and the last one stay; NaN is never the best."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_mlrun.errors import ArtifactError
from pytest_mlrun.records.project import Goal
from pytest_mlrun.rules.checkpoints import Checkpoint, CheckpointRule, make_rule


def points(*values: float) -> list[Checkpoint]:
    return [Checkpoint(step, value, (f"checkpoints/{step}/a",)) for step, value in enumerate(values)]


@pytest.mark.parametrize(
    ("goal", "keep_best", "keep_last", "steps"),
    [
        ("min", 1, True, [1, 4]),
        ("min", 2, False, [1, 3]),
        ("max", 1, True, [0, 4]),
        ("max", 2, True, [0, 2, 4]),
        ("max", 9, False, [0, 1, 2, 3]),
        ("max", 0, True, [4]),
    ],
)
def test_the_best_and_the_last_stay(goal: Goal, keep_best: int, keep_last: bool, steps: list[int]) -> None:
    logged = points(0.9, 0.1, 0.9, 0.2, math.nan)

    kept = make_rule("loss", goal, keep_best=keep_best, keep_last=keep_last).kept(logged)

    assert [checkpoint.step for checkpoint in kept] == steps


@given(st.lists(st.floats(), min_size=1), st.integers(1, 4), st.booleans(), st.sampled_from(["max", "min"]))
def test_forgetting_losers_at_once_keeps_what_remembering_all_would(
    values: list[float], keep_best: int, keep_last: bool, goal: Goal
) -> None:
    rule = CheckpointRule("loss", goal, keep_best, keep_last)
    logged = points(*values)
    kept: list[Checkpoint] = []
    for checkpoint in logged:
        kept = list(rule.kept([*kept, checkpoint]))

    assert [one.step for one in kept] == [one.step for one in rule.kept(logged)]


def test_without_a_metric_only_the_last_stays() -> None:
    kept = make_rule("", None, keep_best=3, keep_last=True).kept(points(math.nan, math.nan))

    assert [checkpoint.step for checkpoint in kept] == [1]


@pytest.mark.parametrize(
    ("metric", "goal", "keep_best", "keep_last", "headline"),
    [
        ("", None, 1, False, "no checkpoint would be kept: neither the last nor the best by a metric"),
        ("loss", "min", 0, False, "no checkpoint would be kept"),
        ("loss", "min", -1, True, "keep_best is a number of checkpoints, found -1"),
        ("loss", "min", True, True, "keep_best is a number of checkpoints, found True"),
        ("x", None, 1, True, "the best checkpoint is not known: is more or less of 'x' better?"),
        ("x", "up", 1, True, "the best checkpoint is not known: is more or less of 'x' better?"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    metric: str, goal: Goal | None, keep_best: int, keep_last: bool, headline: str
) -> None:
    with pytest.raises(ArtifactError) as caught:
        make_rule(metric, goal, keep_best=keep_best, keep_last=keep_last)

    assert caught.value.headline.startswith(headline)
