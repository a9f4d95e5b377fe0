"""Pin the public types; mypy proves the assertions, pytest that the names exist."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import assert_type

import numpy as np

import pytest_mlrun
from pytest_mlrun.rules.gates import Gate
from pytest_mlrun.store.bundle import Bundle
from pytest_mlrun.store.points import Series
from pytest_mlrun.store.reader import Reader


def check_run(run: pytest_mlrun.Run) -> None:
    assert_type(run.id, str)
    assert_type(run.seed, int)
    assert_type(run.rng, np.random.Generator)
    assert_type(run.metrics, Mapping[str, float])
    assert_type(run.params, Mapping[str, object])
    assert_type(run.data, Mapping[str, pytest_mlrun.Snapshot])
    assert_type(run.evaluate("val", [0], [0.5], metrics=["brier"]), dict[str, float])
    assert_type(run.log_model(object()), pytest_mlrun.Artifact)
    assert_type(run.log_fit(object()), None)
    assert_type(run.assert_floor("auc", 0.5), pytest_mlrun.Verdict)
    assert_type(run.floor("auc", 0.5), Gate)
    with run.child(depth=1) as trial:
        assert_type(trial, pytest_mlrun.Run)
    assert_type(run.seeds(3), Iterator[pytest_mlrun.Run])
    assert_type(run.winner, pytest_mlrun.Winner)
    assert_type(run.winner.params, Mapping[str, object])
    assert_type(run.winner.load_model(), object)
    assert_type(run.winner.artifact("model.skops"), bytes)


def check_store(store: Reader) -> None:
    assert_type(store.runs(), list[pytest_mlrun.RunRecord])
    assert_type(store.find("x"), pytest_mlrun.RunRecord)
    assert_type(pytest_mlrun.open_store(), Reader)
    assert_type(pytest_mlrun.load_model("x", store=store), object)


def check_bundle() -> None:
    bundle = pytest_mlrun.open_bundle("churn.mlrun")
    assert_type(bundle, Bundle)
    assert_type(bundle.run, pytest_mlrun.RunRecord)
    assert_type(bundle.series("loss"), Series)
    assert_type(bundle.read_artifact("labels/val.arrow"), bytes)
    assert_type(bundle.left_out, tuple[str, ...])


def check_record() -> None:
    with pytest_mlrun.record(experiment="x") as run:
        assert_type(run, pytest_mlrun.Run)


def test_every_public_name_is_there_and_documented() -> None:
    for name in pytest_mlrun.__all__:
        assert getattr(pytest_mlrun, name).__doc__, name
    assert set(pytest_mlrun.__all__) <= set(dir(pytest_mlrun))
