"""The best run is one that finished, passed and satisfies the constraint and has a number to show."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import pytest

from pytest_mlrun.records.project import Goals, Leaderboard, MetricDefinition, Project
from pytest_mlrun.records.query import Comparison
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.rules.leaderboard import best, complete_rule, matches, varying_params
from pytest_mlrun.rules.params import describe_param
from pytest_mlrun.rules.where import parse_where


def a_run(
    run_id: str = "a",
    *,
    metrics: Mapping[str, float] | None = None,
    params: Mapping[str, object] | None = None,
    tags: Mapping[str, str] | None = None,
    status: str = "finished",
    outcome: str = "passed",
    started_us: int = 0,
) -> RunRecord:
    return RunRecord(
        run_id=run_id,
        session_id="s",
        experiment="churn",
        name="test_sweep[a]",
        test="test_churn.py::test_sweep",
        case="a",
        attempt=2,
        parent_id=None,
        status=status,
        outcome=outcome,
        cause="",
        cause_detail="",
        error="",
        started_us=started_us,
        ended_us=started_us,
        params={name: describe_param(name, value) for name, value in (params or {}).items()},
        metrics=metrics or {},
        tags=tags or {},
        context={},
        artifacts=(),
        gates=(),
        series={},
    )


RUN = a_run(
    metrics={"auc": 0.8, "broken": math.nan, "wild": math.inf},
    params={"rate": 0.05, "depth": 3, "kind": "gini", "deep": True, "gap": math.nan, "f": len, "none": None, "l": [1]},
    tags={"team": "fraud"},
)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "auc >= 0.8",
        "auc == 0.8 and auc != 0.9",
        "auc < 0.9, auc > 0.7, auc <= 0.8",
        "wild > 1",
        "wild == inf",
        "params.rate < 0.1",
        "params.depth == 3",
        "params.depth == 3.0",
        "params.kind == gini",
        "params.kind != entropy",
        "params.kind < 'h'",
        "params.kind >= 'gini'",
        "params.deep == true",
        "params.deep != false",
        "params.f == builtins.len",
        "params.kind != 1",
        "params.depth != '3'",
        "params.deep != 1",
        "params.l != 1",
        "tags.team == fraud",
        "tags.team != growth",
        "status == finished and outcome == passed and cause == ''",
        "experiment == churn and name == test_sweep[a] and test == test_churn.py::test_sweep",
        "attempt > 1",
    ],
)
def test_a_run_satisfies(text: str) -> None:
    assert matches(RUN, parse_where(text))


@pytest.mark.parametrize(
    "text",
    [
        "auc > 0.8",
        "auc >= 0.8 and auc > 0.8",
        "auc < 0.8",
        "missing != 1",
        "broken != 1",
        "broken < 1",
        "broken >= 1",
        "params.missing != 1",
        "params.gap != 1",
        "params.none != 1",
        "params.kind == 1",
        "params.deep == 1",
        "params.depth == true",
        "params.depth == '3'",
        "params.kind > 'gini'",
        "params.kind > 1",
        "params.depth <= 'z'",
        "params.deep >= 1",
        "params.l == 1",
        "params.l < 1",
        "tags.missing != x",
        "tags.team == growth",
        "status != finished",
        "attempt < 2",
    ],
)
def test_a_run_does_not_satisfy(text: str) -> None:
    assert not matches(RUN, parse_where(text))


@pytest.mark.parametrize("operator", ["==", "!=", "<", "<=", ">", ">="])
def test_nothing_compares_with_nan(operator: str) -> None:
    assert not matches(RUN, [Comparison("metric", "auc", operator, math.nan)])  # type: ignore[arg-type]


def test_an_unknown_attribute_satisfies_nothing() -> None:
    assert not matches(RUN, [Comparison("attribute", "colour", "!=", "red")])


def test_the_most_wins_for_max_and_the_least_for_min() -> None:
    runs = [a_run("a", metrics={"m": 0.1}), a_run("b", metrics={"m": 0.9}), a_run("c", metrics={"m": 0.5})]

    assert best(runs, by="m", goal="max") is runs[1]
    assert best(runs, by="m", goal="min") is runs[0]


def test_nan_and_missing_never_win() -> None:
    runs = [a_run("a", metrics={"m": math.nan}), a_run("b"), a_run("c", metrics={"m": -5.0})]

    assert best(runs, by="m", goal="max") is runs[2]
    assert best(runs[:2], by="m", goal="max") is None


@pytest.mark.parametrize("status", ["running", "failed", "killed", "orphaned"])
def test_only_finished_runs_win(status: str) -> None:
    assert best([a_run(metrics={"m": 1.0}, status=status)], by="m", goal="max") is None


@pytest.mark.parametrize("outcome", ["failed", "error", "skipped", ""])
def test_a_run_that_finished_and_did_not_pass_does_not_win(outcome: str) -> None:
    runs = [a_run("refused", metrics={"m": 1.0}, outcome=outcome), a_run("accepted", metrics={"m": 0.5})]

    assert best(runs, by="m", goal="max") is runs[1]


@pytest.mark.parametrize(
    ("asked", "rule"),
    [
        ({}, ("odd", "min", "auc > 0.5")),
        ({"by": "odd"}, ("odd", "min", "auc > 0.5")),
        ({"goal": "max"}, ("odd", "max", "auc > 0.5")),
        ({"where": ""}, ("odd", "min", "")),
        ({"by": "auc"}, ("auc", "max", "")),
        ({"by": "cost"}, ("cost", "max", "")),
        ({"by": "colour"}, ("colour", None, "")),
    ],
    ids=str,
)
def test_another_metric_than_the_leaderboards_inherits_nothing(asked: dict[str, str], rule: tuple[str, ...]) -> None:
    board = Leaderboard("churn", by="odd", where="auc > 0.5", goal="min")

    assert complete_rule(board, {"cost": "max"}, **asked) == rule  # type: ignore[arg-type]


def test_without_a_leaderboard_nothing_decides() -> None:
    assert complete_rule(None, {}) == ("", None, "")


def test_a_goal_declared_for_a_pattern_of_metrics_holds_for_each() -> None:
    metrics = {"*_odd": MetricDefinition("*_odd", goal="min"), "val_x": MetricDefinition("val_x")}
    goals = Goals(Project(root=Path()), Project(root=Path(), metrics=metrics))

    assert complete_rule(Leaderboard("churn", by="val_odd"), goals).goal == "min"
    assert (list(goals), goals.get("val_x"), goals.get("other")) == (["*_odd"], None, None)


def test_the_winner_satisfies_the_constraint() -> None:
    runs = [a_run("a", metrics={"m": 0.9, "p": 0.5}), a_run("b", metrics={"m": 0.8, "p": 0.7})]

    assert best(runs, by="m", goal="max", where=parse_where("p >= 0.6")) is runs[1]


@pytest.mark.parametrize("goal", ["max", "min"])
def test_of_equals_the_earliest_wins_in_any_order(goal: str) -> None:
    first, second = (a_run(name, metrics={"m": 1.0}, started_us=time) for name, time in (("b", 1), ("a", 2)))

    assert best([first, second], by="m", goal=goal) is first  # type: ignore[arg-type]
    assert best([second, first], by="m", goal=goal) is first  # type: ignore[arg-type]


def test_there_is_no_best_of_nothing() -> None:
    assert best([], by="m", goal="max") is None


def test_params_that_differ_or_are_missing_vary() -> None:
    runs = [
        a_run(params={"rate": 0.1, "depth": 3, "extra": 1}),
        a_run(params={"rate": 0.2, "depth": 3}),
        a_run(params={"rate": 0.1, "depth": 3, "late": None}),
    ]

    assert varying_params(runs) == ("rate", "extra", "late")


def test_whole_and_real_numbers_vary() -> None:
    assert varying_params([a_run(params={"n": 1}), a_run(params={"n": 1.0})]) == ("n",)


def test_one_run_varies_in_nothing() -> None:
    assert varying_params([RUN]) == ()
    assert varying_params([]) == ()
