"""A replay is judged by the bits of every number, within what the distance of the environments allows."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pytest_mlrun.records.reproduction import Reproduction, Tolerance
from pytest_mlrun.records.run import Artifact, RunRecord
from pytest_mlrun.rules.comparison import Evidence
from pytest_mlrun.rules.environment_distance import Capture, environment_distance
from pytest_mlrun.rules.reproduced_values import Account, Scoring
from pytest_mlrun.rules.reproduction import compare_runs

DOCUMENT: dict[str, Any] = {
    "format": "1",
    "python": {"version": "3.11.7", "build": "main", "flags": {"optimize": 0, "no_user_site": 0}},
    "system": {"libc": "glibc 2.36", "os": "debian 12"},
    "cpu": {"model": "EPYC", "flags": "sha256:aa", "cores": 2, "usable_cores": 2},
    "distributions": [
        {"name": "numpy", "version": "2.4.6", "record": "sha256:11"},
        {"name": "pip", "version": "25.0", "record": "sha256:22"},
    ],
    "locks": [],
    "numerics": {
        "thread_pools": [
            {
                "user_api": "blas",
                "internal_api": "openblas",
                "version": "0.3.30",
                "architecture": "SkylakeX",
                "num_threads": 2,
                "file": "libopenblas-1234567.so",
            }
        ],
        "numpy": {"version": "2.4.6", "simd": {"found": ["AVX2"]}},
        "torch": None,
    },
    "variables": {},
}
CONTEXT = {
    "rand.seed": "1",
    "rand.hash_seed": '"0"',
    "rand.end.numpy": '"sha256:ee"',
    "code.commit": '"abcdef0123456"',
    "code.dirty": "false",
    "data.churn.digest": '"sha256:dd"',
}


def changed(path: str, value: object) -> dict[str, Any]:
    """Return the document with one fact changed."""
    document = json.loads(json.dumps(DOCUMENT))
    *folders, last = path.split("/")
    place: Any = document
    for folder in folders:
        place = place[int(folder) if folder.isdigit() else folder]
    place[last] = value
    return dict(document)


def run(metrics: Mapping[str, float] | None = None, **fields: Any) -> RunRecord:
    given: dict[str, Any] = {
        "run_id": "0" * 36, "session_id": "s", "experiment": "e", "name": "test_a", "test": "test_a.py::test_a",
        "case": "", "attempt": 1, "parent_id": None, "status": "finished", "outcome": "passed", "cause": "",
        "cause_detail": "", "error": "", "started_us": 0, "ended_us": 1, "params": {}, "tags": {},
        "context": CONTEXT, "artifacts": (), "gates": (), "series": {}, "metrics": metrics or {"loss": 0.5},
    }  # fmt: skip
    return RunRecord(**{**given, **fields})


def account(record: RunRecord, document: Mapping[str, object] | None = DOCUMENT, **parts: Any) -> Account:
    return Account(Evidence(record, document, series=parts.pop("series", {})), **parts)


def judge(before: RunRecord, after: RunRecord, document: Mapping[str, object] = DOCUMENT, **more: Any) -> Reproduction:
    return compare_runs(account(before), account(after, document), **more)


def rows(out: Any, *, metric: str = "accuracy", digest: str) -> dict[str, Any]:
    """Return the parts of an account whose model put out these values, and the fields of its run."""
    artifact = Artifact("predictions/val.arrow", digest, 1, role="predictions")
    scoring = Scoring(metric, artifact.name, 0.5)
    return {"predictions": {artifact.name: np.asarray(out)}, "scorings": {f"val_{metric}": scoring}}


ARTIFACTS = {
    digest: (Artifact("predictions/val.arrow", f"sha256:{digest}", 1, role="predictions"),) for digest in ("a", "b")
}


# -- how far apart two environments are --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "value", "level"),
    [
        ("format", "1", "L0"),
        ("distributions/1/version", "26.0", "L0"),
        ("variables", {"PYTHONNOUSERSITE": "1"}, "L0"),
        ("python/flags/no_user_site", 1, "L0"),
        ("cpu/usable_cores", 1, "L1"),
        ("numerics/thread_pools/0/num_threads", 1, "L1"),
        ("variables", {"OMP_NUM_THREADS": "1"}, "L1"),
        ("numerics/thread_pools/0/architecture", "Haswell", "L2"),
        ("variables", {"OPENBLAS_CORETYPE": "Haswell"}, "L2"),
        ("cpu/model", "Xeon", "L2"),
        ("cpu/flags", "sha256:bb", "L2"),
        ("system/libc", "glibc 2.39", "L2"),
        ("numerics/numpy/simd", {"found": []}, "L2"),
        ("distributions/0/version", "2.2.6", "L3"),
        ("distributions/0/record", "sha256:12", "L3"),
        ("distributions", [], "L3"),
        ("python/version", "3.11.8", "L3"),
        ("system/os", "ubuntu 24.04", "L3"),
    ],
)
def test_the_captures_of_two_runs_say_how_far_apart_they_are(path: str, value: object, level: str) -> None:
    distance = environment_distance(Capture({}, DOCUMENT), Capture({}, changed(path, value)))

    assert distance.level == level


def test_the_farthest_difference_decides_and_is_the_reason() -> None:
    other = changed("cpu/usable_cores", 1) | {"system": {"libc": "glibc 2.39", "os": "debian 12"}}

    distance = environment_distance(Capture({}, DOCUMENT), Capture({}, other))

    assert distance.level == "L2"
    assert distance.reasons == ("system.libc: glibc 2.36 → glibc 2.39",)
    assert distance.lesser == ("cpu.usable_cores: 2 → 1",)


def test_an_environment_that_cannot_be_read_is_another_one() -> None:
    distance = environment_distance(Capture({}, None), Capture({}, DOCUMENT))

    assert (distance.level, distance.reasons) == ("L3", ("the environment of the recorded run cannot be read",))


# -- what is found -----------------------------------------------------------------------------------------------------


def test_equal_bits_are_reproduced_exactly() -> None:
    found = judge(run(), run())

    assert (found.verdict, found.level, found.exit_code) == ("REPRODUCED_EXACTLY", "L0", 0)
    assert [metric.status for metric in found.metrics] == ["exact"]


@pytest.mark.parametrize(
    ("difference", "document", "verdict"),
    [
        (4e-16, DOCUMENT, "REPRODUCED"),
        (1e-7, DOCUMENT, "DIVERGED"),
        (1e-7, changed("cpu/usable_cores", 1), "DIVERGED"),
        (1e-7, changed("cpu/model", "Xeon"), "REPRODUCED"),
        (1e-3, changed("cpu/model", "Xeon"), "DIVERGED"),
        (1e-3, changed("distributions/0/version", "2.2.6"), "CONSISTENT"),
        (4e-16, changed("distributions/0/version", "2.2.6"), "CONSISTENT"),
        (0.1, changed("distributions/0/version", "2.2.6"), "DIVERGED"),
    ],
)
def test_the_distance_decides_how_far_a_number_may_lie(difference: float, document: Any, verdict: str) -> None:
    found = judge(run({"loss": 0.5}), run({"loss": 0.5 + difference}), document)

    assert found.verdict == verdict


def test_nets_may_drift_as_far_as_single_precision_lets_them() -> None:
    torch = changed("numerics/torch", {"threads": 1})
    other = json.loads(json.dumps(torch)) | {"cpu": {**DOCUMENT["cpu"], "usable_cores": 1}}

    found = compare_runs(account(run({"loss": 0.5}), torch), account(run({"loss": 0.5 + 1e-4}), other))

    assert (found.verdict, found.level, found.metrics[0].source) == ("REPRODUCED", "L1", "L1, nets")


@pytest.mark.parametrize(
    ("before", "after", "status", "verdict"),
    [
        (math.nan, math.nan, "exact", "REPRODUCED_EXACTLY"),
        (math.inf, math.inf, "exact", "REPRODUCED_EXACTLY"),
        (math.inf, -math.inf, "differs", "DIVERGED"),
        (math.nan, 0.5, "differs", "DIVERGED"),
        (0.5, math.nan, "differs", "DIVERGED"),
        (math.inf, 1e308, "differs", "DIVERGED"),
        (0.0, -0.0, "close", "REPRODUCED"),
    ],
)
def test_numbers_that_are_none_equal_their_like(before: float, after: float, status: str, verdict: str) -> None:
    found = judge(run({"loss": before}), run({"loss": after}))

    assert (found.metrics[0].status, found.verdict) == (status, verdict)


def test_a_metric_that_is_missing_or_new_diverges() -> None:
    found = judge(run({"loss": 0.5, "auc": 0.9}), run({"loss": 0.5, "acc": 0.9}))

    assert found.verdict == "DIVERGED"
    assert {metric.name: metric.status for metric in found.metrics} == {
        "acc": "extra",
        "auc": "missing",
        "loss": "exact",
    }
    assert found.reason == "acc was never recorded, auc is missing in the replay"


def test_a_curve_that_parts_and_comes_back_is_no_exact_reproduction() -> None:
    before = replace(run(), series={"loss": "3:sha256:a"})
    after = replace(run(), series={"loss": "3:sha256:b"})
    steps = np.arange(3)

    found = compare_runs(
        account(before, series={"loss": (steps, np.array([3.0, 2.0, 0.5]))}),
        account(after, series={"loss": (steps, np.array([3.0, 2.1, 0.5]))}),
    )

    assert found.verdict == "DIVERGED"
    assert (found.series[0].first, found.series[0].status) == (1, "differs")
    assert found.divergence == "the curves part at step 1: loss"


def test_predictions_within_the_last_digits_are_reproduced() -> None:
    """A forest that adds up its trees in two threads: 4e-16, which no file's digest survives."""
    before, after = (run({"val_log_loss": 0.5}, artifacts=ARTIFACTS[digest]) for digest in "ab")

    found = compare_runs(
        account(before, **rows([0.25, 0.75], metric="log_loss", digest="a")),
        account(after, **rows([0.25 + 4e-16, 0.75], metric="log_loss", digest="b")),
    )

    assert found.verdict == "REPRODUCED"
    assert (found.predictions[0].first, found.predictions[0].status) == (0, "close")


def test_other_predictions_diverge_even_if_the_metric_is_the_same() -> None:
    before, after = (run({"val_accuracy": 0.5}, artifacts=ARTIFACTS[digest]) for digest in "ab")

    found = compare_runs(
        account(before, **rows([0.2, 0.8], digest="a")), account(after, **rows([0.3, 0.8], digest="b"))
    )

    assert (found.verdict, found.reason) == ("DIVERGED", "predictions/val.arrow differs")


@pytest.mark.parametrize(("moved", "status"), [(2, "close"), (3, "differs")])
def test_a_metric_that_counts_rows_may_lose_two_of_them_to_another_processor(moved: int, status: str) -> None:
    out = np.linspace(0.5, 0.5 + 1e-9, 100)
    other = out - np.where(np.arange(100) < moved, 2e-9, 0)
    before, after = (
        run({"val_accuracy": value}, artifacts=ARTIFACTS[digest]) for digest, value in (("a", 0.9), ("b", 0.88))
    )

    found = compare_runs(
        account(before, **rows(out, digest="a")),
        account(after, changed("cpu/model", "Xeon"), **rows(other, digest="b")),
    )

    assert (found.metrics[0].flips, found.metrics[0].status) == (moved, status)


def test_as_many_right_answers_of_another_algorithm_are_no_exact_reproduction() -> None:
    scoring = {"val_accuracy": Scoring("accuracy", "predictions/val.arrow", 0.5)}
    record = run({"val_accuracy": 0.9})

    found = compare_runs(
        account(record, scorings=scoring),
        account(record, changed("distributions/0/version", "2.2.6"), scorings=scoring),
    )

    assert (found.verdict, found.exit_code) == ("CONSISTENT", 1)


def test_twice_the_spread_of_the_seeds_is_consistent_in_another_environment() -> None:
    other = changed("distributions/0/version", "2.2.6")

    found = judge(run({"loss": 0.5}), run({"loss": 0.59}), other, spread={"loss": 0.05})

    assert (found.verdict, found.metrics[0].source) == ("CONSISTENT", "L3, or twice the spread of its seeds")


def test_other_draws_are_no_exact_reproduction() -> None:
    found = judge(run(), run(context={**CONTEXT, "rand.end.numpy": '"sha256:ff"'}))

    assert found.verdict == "REPRODUCED"
    randomness = next(pillar for pillar in found.pillars if pillar.pillar == "randomness")
    assert randomness.status == "differs"
    assert randomness.findings == ("numpy: the generators ended elsewhere, other draws were made",)


def test_a_looser_tolerance_is_a_finding_and_a_tighter_one_is_not() -> None:
    written = {"loss": Tolerance(0.01, 0.0, "mlrun.toml"), "auc": Tolerance(0.0, 0.0, "mlrun.toml")}

    found = judge(run({"loss": 0.5, "auc": 0.9}), run({"loss": 0.501, "auc": 0.9}), overrides=written)

    assert found.verdict == "REPRODUCED"
    assert found.findings == ("the tolerance of loss (mlrun.toml) is looser than that of L0: 0.005 instead of 5e-10",)


def test_a_replay_that_fails_where_the_run_did_not_is_not_reproducible() -> None:
    failed = run({"loss": 0.5}, status="failed", outcome="failed", cause="error", cause_detail="KeyError: 'age'")

    found = judge(run({"loss": 0.5, "auc": 0.9}), failed)

    assert (found.verdict, found.exit_code) == ("NOT_REPRODUCIBLE", 1)
    assert found.reason == "the replay failed (KeyError: 'age'), the recorded run did not"


def test_a_replay_that_was_stopped_proves_nothing() -> None:
    found = judge(run(), run({}, status="killed", outcome="error", cause="interrupted"))

    assert (found.verdict, found.exit_code) == ("INCONCLUSIVE", 4)


def test_a_test_that_skips_itself_proves_nothing() -> None:
    found = judge(run(), run({}, outcome="skipped"))

    assert (found.verdict, found.reason) == ("INCONCLUSIVE", "the test was skipped")


def test_a_run_that_logged_nothing_proves_nothing() -> None:
    found = judge(replace(run(), metrics={}), replace(run(), metrics={}))

    assert (found.verdict, found.reason) == ("INCONCLUSIVE", "the recorded run logged nothing that could be compared")


def test_each_pillar_says_what_differs_and_what_nobody_held() -> None:
    bare = {"rand.seed": "1", "rand.hash_seed": "null"}

    found = judge(run(context=bare), run(context={**bare, "rand.hash_seed": '"0"'}))

    assert {pillar.pillar: pillar.status for pillar in found.pillars} == {
        "code": "unpinned",
        "data": "unpinned",
        "environment": "same",
        "randomness": "differs",
    }
