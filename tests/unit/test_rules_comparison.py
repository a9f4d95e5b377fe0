"""Comparing runs names what differs, and nothing that follows from it or is never equal."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping

import numpy as np
import pytest

from pytest_mlrun.records.run import Artifact, RunRecord
from pytest_mlrun.records.snapshot import FileEntry, Manifest
from pytest_mlrun.records.verdict import Verdict
from pytest_mlrun.rules.comparison import Aspect, Evidence, compare, first_difference

MakeRun = Callable[..., RunRecord]
DIGEST = "sha256:" + "0" * 64


def differences(*evidence: Evidence, goals: Mapping[str, str] | None = None) -> dict[str, tuple[object, ...]]:
    aspects = compare(evidence, goals=goals or {})  # type: ignore[arg-type]
    return {f"{aspect.pillar} {aspect.name}": aspect.values for aspect in aspects if not aspect.same}


def find(name: str, *runs: RunRecord, goals: Mapping[str, str] | None = None) -> Aspect:
    aspects = compare([Evidence(run) for run in runs], goals=goals or {})  # type: ignore[arg-type]
    return next(aspect for aspect in aspects if aspect.name == name)


def test_runs_that_share_everything_but_id_time_and_name_do_not_differ(make_run: MakeRun) -> None:
    facts = {"params": {"depth": "3"}, "metrics": {"auc": math.nan}, "tags": {"team": "a"}}
    context = [{"process.pid": str(pid), "time.wall_s": str(pid), "rand.seed": "1"} for pid in (1, 2)]

    found = differences(
        Evidence(make_run("a", context=context[0], **facts)), Evidence(make_run("b", context=context[1], **facts))
    )

    assert found == {}


def test_params_of_another_type_differ(make_run: MakeRun) -> None:
    found = differences(Evidence(make_run(params={"depth": "1"})), Evidence(make_run(params={"depth": "1.0"})))

    assert found == {"params depth": ("1", "1.0")}


def test_estimators_of_one_class_differ_in_their_params(make_run: MakeRun) -> None:
    models = [
        json.dumps({"$estimator": "Pipeline", "params": {"memory": None, "step": {"$estimator": "Ridge", "params": p}}})
        for p in ({"alpha": 0.5, "tol": 1}, {"alpha": 1.0, "tol": 1})
    ]

    found = differences(*(Evidence(make_run(params={"model": model})) for model in models))

    assert found == {"params model.step.alpha": ("0.5", "1.0")}


def test_estimators_of_different_classes_differ_as_a_whole(make_run: MakeRun) -> None:
    models = [json.dumps({"$estimator": name, "params": {"alpha": 1}}) for name in ("Ridge", "Lasso")]

    found = differences(*(Evidence(make_run(params={"model": model})) for model in models))

    assert found == {"params model": tuple(models)}


@pytest.mark.parametrize(
    ("name", "goals", "values", "best"),
    [
        ("auc", {}, [0.8, 0.9], (1,)),
        ("rmse", {}, [0.8, 0.9], (0,)),
        ("auc", {"auc": "min"}, [0.8, 0.9], (0,)),
        ("strangeness", {}, [0.8, 0.9], ()),
        ("strangeness", {"strangeness": "max"}, [0.8, 0.9, 0.9], (1, 2)),
        ("auc", {}, [math.nan, 0.9], ()),
        ("auc", {}, [math.nan, 0.9, 0.8], (1,)),
    ],
)
def test_the_better_metric_is_told_by_its_goal(
    name: str, goals: dict[str, str], values: list[float], best: tuple[int, ...], make_run: MakeRun
) -> None:
    aspect = find(name, *(make_run(metrics={name: value}) for value in values), goals=goals)

    assert (aspect.same, aspect.best) == (False, best)


def test_curves_that_end_alike_part_at_a_step(make_run: MakeRun) -> None:
    run = make_run(metrics={"loss": 0.1})
    steps = np.arange(3)
    series = [{"loss": (steps, np.array(values))} for values in ([0.3, 0.2, 0.1], [0.3, 0.25, 0.1])]

    aspects = compare([Evidence(run, series=one) for one in series], goals={})

    loss = next(aspect for aspect in aspects if aspect.name == "loss")
    assert (loss.same, loss.part_at, loss.best) == (False, 1, ())


@pytest.mark.parametrize(
    ("one", "other", "step"),
    [
        ([1.0, math.nan], [1.0, math.nan], None),
        ([], [], None),
        ([1.0], [1.0, 2.0], 1),
        ([1.0, 2.0], [1.0], 1),
        ([1.0, math.inf], [1.0, -math.inf], 1),
    ],
)
def test_the_first_difference_of_two_series(one: list[float], other: list[float], step: int | None) -> None:
    points = [(np.arange(len(values)), np.array(values, dtype=float)) for values in (one, other)]

    assert first_difference(points[0], points[1]) == step


def test_a_gate_differs_in_its_bound_or_its_decision(make_run: MakeRun) -> None:
    verdicts = [
        Verdict("floor", "auc", decision, bound=bound)  # type: ignore[arg-type]
        for decision, bound in (("PASS", 0.8), ("PASS", 0.85))
    ]

    found = differences(*(Evidence(make_run(gates=(verdict,))) for verdict in verdicts))

    assert found == {"gates auc floor": ("PASS 0.8", "PASS 0.85")}


def test_only_the_files_that_differ_are_named(make_run: MakeRun) -> None:
    listings = [{"a": "1", "b": "2"}, {"a": "1", "b": "3", "c": "4"}]
    evidence = [
        Evidence(
            make_run(context={"data.prices.digest": json.dumps(f"sha256:{number}")}),
            manifests={
                "prices": Manifest(
                    f"sha256:{number}", tuple(FileEntry(path, 1, sha) for path, sha in files.items()), "folder"
                )
            },
        )
        for number, files in enumerate(listings)
    ]

    found = differences(*evidence)

    assert found == {"data prices: b": ("sha256:2", "sha256:3"), "data prices: c": (None, "sha256:4")}


def test_data_whose_listing_is_lost_differs_by_its_digest(make_run: MakeRun) -> None:
    runs = [make_run(context={"data.prices.digest": json.dumps(digest)}) for digest in ("sha256:1", "sha256:2")]

    assert differences(*map(Evidence, runs)) == {"data prices": ("sha256:1", "sha256:2")}


def test_generators_that_ended_elsewhere_count_only_from_one_seed(make_run: MakeRun) -> None:
    def run(seed: int, end: str) -> Evidence:
        return Evidence(make_run(context={"rand.seed": str(seed), "rand.end.numpy": json.dumps(end)}))

    assert differences(run(1, "sha256:a"), run(2, "sha256:b")) == {"randomness seed": (1, 2)}
    assert differences(run(1, "sha256:a"), run(1, "sha256:b")) == {"randomness end.numpy": ("sha256:a", "sha256:b")}


def test_environments_differ_in_versions_threads_and_variables(make_run: MakeRun) -> None:
    def environment(version: str, threads: int, build: str) -> dict[str, object]:
        pool = {"user_api": "blas", "internal_api": "openblas", "version": "0.3", "num_threads": threads}
        return {
            "format": 1,
            "python": {"version": "3.11.7"},
            "distributions": [{"name": "numpy", "version": version, "record": DIGEST}],
            "locks": [{"path": "uv.lock", "digest": DIGEST}],
            "numerics": {"thread_pools": [{**pool, "file": f"libopenblas-{build}.so"}], "torch": None},
            "variables": {"OMP_NUM_THREADS": str(threads)},
        }

    found = differences(
        Evidence(make_run(), environment("2.0", 2, "0a1b2c3d")), Evidence(make_run(), environment("2.1", 1, "ffffffff"))
    )

    assert found == {
        "packages numpy": ("2.0", "2.1"),
        "environment blas libopenblas": ("openblas 0.3 2 threads", "openblas 0.3 1 threads"),
        "environment variables.OMP_NUM_THREADS": ("2", "1"),
    }


def test_a_library_that_only_one_session_had_loaded_is_no_difference(make_run: MakeRun) -> None:
    python = {"python": {"version": "3.11.7"}}
    pool = {"user_api": "blas", "file": "libopenblas.so", "internal_api": "openblas", "num_threads": 2}
    loaded = {**python, "numerics": {"thread_pools": [pool], "numpy": {"version": "2.4.6"}}}

    assert differences(Evidence(make_run(), python), Evidence(make_run(), loaded)) == {}


def test_a_package_of_one_version_and_other_files_differs(make_run: MakeRun) -> None:
    documents = [
        {"distributions": [{"name": "ours", "version": "1", "record": f"sha256:{letter * 64}"}]} for letter in "ab"
    ]

    found = differences(*(Evidence(make_run(), document) for document in documents))

    assert found == {"packages ours": ("1 (files aaaaaaaa)", "1 (files bbbbbbbb)")}


def test_without_one_environment_the_record_is_compared(make_run: MakeRun) -> None:
    runs = [make_run(context={"env.python": json.dumps(version)}) for version in ("3.11", "3.12")]

    found = differences(Evidence(runs[0], {"python": {"version": "3.11"}}), Evidence(runs[1]))

    assert found == {"environment env.python": ("3.11", "3.12")}


def test_a_model_written_at_another_time_is_no_difference(make_run: MakeRun) -> None:
    runs = [
        make_run(artifacts=(Artifact("model.skops", f"sha256:{at}", 1, role="model"), Artifact("a", f"sha256:{at}", 1)))
        for at in (1, 2)
    ]

    assert differences(*map(Evidence, runs)) == {"artifacts a": ("sha256:1", "sha256:2")}


@pytest.mark.parametrize(("older", "names"), [({}, []), ({"rand.entropy": '"off"'}, ["entropy"])])
def test_whether_draws_were_looked_for_counts_only_where_both_runs_say_so(
    make_run: Callable[..., RunRecord], older: dict[str, str], names: list[str]
) -> None:
    runs = [make_run(context={"rand.seed": "1", **context}) for context in (older, {"rand.entropy": '"detect"'})]

    aspects = compare([Evidence(run) for run in runs], goals={})

    assert [aspect.name for aspect in aspects if aspect.pillar == "randomness" and not aspect.same] == names
