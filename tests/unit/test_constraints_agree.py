"""A constraint means the same asked of the store's columns and of a record."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.rules.leaderboard import matches
from pytest_mlrun.rules.params import describe_param
from pytest_mlrun.rules.where import parse_where
from pytest_mlrun.store.store import Store

MakeRun = Callable[..., RunRecord]
WriteRuns = Callable[..., Path]

OBJECTS = [
    '{"$estimator":"sklearn.linear_model.Ridge","params":{"alpha":1.0}}',
    '{"$estimator":"sklearn.linear_model.Lasso","params":{}}',
    '{"$callable":"package.build"}',
    '{"$enum":"package.Kind.ONE","value":1}',
    '{"$id":"first"}',
    '{"$date":"2026-11-25"}',
    '{"$array":"sha256:00","dtype":"<i8","shape":[1]}',
    '{"$f":"inf"}',
    '{"$f":"nan"}',
    '{"plain":"mapping"}',
    "[1,2]",
]
PLAIN = [describe_param("x", value) for value in (1, 1.0, 0.5, True, False, None, "a", "1", "")]


@pytest.mark.parametrize("params", [OBJECTS, PLAIN, [*OBJECTS, *PLAIN]], ids=["objects", "plain", "mixed"])
@pytest.mark.parametrize(
    "constraint",
    [
        *(f"params.x {sign} 'sklearn.linear_model.Ridge'" for sign in ("==", "!=", "<", ">=")),
        *(f"params.x {sign} 1" for sign in ("==", "!=", "<", ">=")),
        *("params.x == 'first'", "params.x >= '2026-01-01'", "params.x == package.build"),
        *("params.x == inf", "params.x > 100", "params.x == true", "params.x != true", "params.x == '1'"),
    ],
)
def test_params_of_every_kind_are_compared_alike(
    constraint: str, params: list[str], make_run: MakeRun, write_runs: WriteRuns
) -> None:
    runs = [make_run(text, params={"x": text}) for text in params] + [make_run("without")]
    where = parse_where(constraint)

    found = Store.open(write_runs(runs)).reader().runs(where=where)

    assert [run.name for run in found] == [run.name for run in runs if matches(run, where)]


def test_a_constraint_on_an_estimator_is_about_its_class(make_run: MakeRun, write_runs: WriteRuns) -> None:
    runs = [make_run(text[:40], params={"model": text}) for text in OBJECTS[:2]]
    where = parse_where("params.model == sklearn.linear_model.Ridge")

    assert Store.open(write_runs(runs)).reader().runs(where=where)[0].params["model"] == OBJECTS[0]
