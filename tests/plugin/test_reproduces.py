"""``assert_reproduces`` holds a run to the numbers of a recorded one: bit by bit, closely, or proven equivalent."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from pytest_mlrun.errors import MetricError
from pytest_mlrun.rules.reproduces import Reproduces

if TYPE_CHECKING:
    from tests.conftest import Runs

RECORDED = """
    import numpy as np
    import pytest

    def evaluate(mlrun, off=0.0, noise=0.0, rows=400):
        rng = np.random.RandomState(0)
        truth = rng.randint(0, 2, rows)
        scores = np.clip(0.5 + 0.3 * (truth - 0.5) + rng.uniform(-0.4, 0.4, rows), 0.01, 0.99)
        scores = np.clip(scores + noise * np.random.RandomState(1).uniform(-1, 1, rows), 0.01, 0.99)
        mlrun.evaluate("val", truth, scores, metrics=["log_loss"])
        mlrun.log_metric("cost", 2.0 + off)

    def test_recorded(mlrun): evaluate(mlrun)
"""


@pytest.fixture
def recorded(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=RECORDED)
    pytester.runpytest_inprocess("--mlrun", "-k", "recorded").assert_outcomes(passed=1)


def add(pytester: pytest.Pytester, body: str) -> None:
    file = pytester.path / "test_it.py"
    file.write_text(f"{file.read_text()}\ndef test_new(mlrun):\n    {body}\n")


ROWS = "metrics=['val_log_loss']"
CASES = [
    ("evaluate(mlrun); mlrun.assert_reproduces('test_recorded', tier='bitwise')", None),
    ("evaluate(mlrun, 1e-15); mlrun.assert_reproduces('test_recorded')", None),
    ("evaluate(mlrun, 1e-3); mlrun.assert_reproduces('test_recorded', rtol=1e-2)", None),
    (f"evaluate(mlrun, 1); mlrun.assert_reproduces('test_recorded', {ROWS})", None),
    (
        f"evaluate(mlrun, 1, 1e-3); mlrun.assert_reproduces('test_recorded', tier='equivalent', margin=0.02, {ROWS})",
        None,
    ),
    (
        "evaluate(mlrun, 1e-15); mlrun.assert_reproduces('test_recorded', tier='bitwise')",
        "not reproduced: cost is 2.000000000000001, was 2.0 in *, off by *, every bit asked*",
    ),
    (
        "evaluate(mlrun, 1e-3); mlrun.assert_reproduces('test_recorded')",
        "not reproduced: cost is 2.001, was 2.0 in *, off by 0.001, allowed 2e-09 *",
    ),
    (
        f"evaluate(mlrun, 0, 0.3); mlrun.assert_reproduces('test_recorded', tier='equivalent', margin=0.001, {ROWS})",
        "not reproduced: val_log_loss differs by *, 90% CI *, * 0.001 of *",
    ),
    (
        "mlrun.log_metric('cost', float('nan')); mlrun.assert_reproduces('test_recorded', metrics=['cost'])",
        "not reproduced: cost is nan, was 2.0 in *",
    ),
    (
        "mlrun.log_metric('cost', 2.0); mlrun.assert_reproduces('test_recorded')",
        "metric 'val_log_loss' of run * was never logged here",
    ),
    (
        "evaluate(mlrun); mlrun.assert_reproduces('test_recorded', tier='equivalent', margin=0.1)",
        "nothing proves 'cost' equivalent: * kept no rows of it",
    ),
    ("mlrun.assert_reproduces('nobody')", "no baseline: no run answers to 'nobody'"),
]


def test_the_tier_says_what_counts_as_the_same(pytester: pytest.Pytester, recorded: None) -> None:
    file = pytester.path / "test_it.py"
    file.write_text(
        f"{file.read_text()}\nCASES = {[body for body, _ in CASES]!r}\n"
        "@pytest.mark.parametrize('body', CASES, ids=map(str, range(len(CASES))))\n"
        "def test_new(mlrun, body): exec(body)\n"
    )

    result = pytester.runpytest_inprocess("--mlrun", "-k", "new", "--tb=line")

    good = sum(line is None for _, line in CASES)
    result.assert_outcomes(passed=good, failed=len(CASES) - good, deselected=1)
    result.stdout.fnmatch_lines([f"E   *: {line}" for _, line in CASES if line is not None])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tier": "exact"}, "tier must be 'bitwise', 'close' or 'equivalent', found 'exact'"),
        ({"tier": "equivalent"}, "tier='equivalent' needs margin"),
        ({"margin": 0.1}, "tier='close' takes no margin"),
        ({"tier": "bitwise", "rtol": 1.0}, "rtol and atol say nothing to tier='bitwise'"),
        ({"rtol": -1}, "rtol must be a number of 0 or more, found -1"),
        ({"atol": float("nan")}, "atol must be a number of 0 or more, found nan"),
        ({"against": 3}, "the recorded run of a gate must be text"),
    ],
)
def test_a_gate_that_cannot_be_meant_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(MetricError, match=f"^{re.escape(message)}"):
        Reproduces(**{"against": "churn/3", **arguments})


@pytest.mark.slow
def test_the_verdict_is_recorded_with_what_it_was_compared_with(
    pytester: pytest.Pytester, recorded: None, stored_runs: Runs
) -> None:
    add(pytester, "evaluate(mlrun); mlrun.assert_reproduces('test_recorded', tier='bitwise')")

    result = pytester.runpytest_inprocess("--mlrun", "-k", "new", "-v")

    first, second = stored_runs()
    (verdict,) = second.gates
    assert (verdict.gate, verdict.decision, verdict.method) == ("reproduces", "PASS", "bitwise, L0")
    assert (verdict.baseline_id, verdict.baseline_digest) == (first.run_id, first.digest)
    bits = f"* has the bits of {first.short_id} (farthest of 2 metrics)"
    result.stdout.fnmatch_lines([f"PASS  * reproduces | this model | {bits} | bitwise, L0 *"])


@pytest.mark.slow
def test_another_environment_is_too_far_to_tell_unless_a_tolerance_is_written(
    pytester: pytest.Pytester, recorded: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.python_version", lambda: "3.11.99")
    add(pytester, "evaluate(mlrun, 1e-15); mlrun.assert_reproduces('test_recorded')")

    result = pytester.runpytest_inprocess("--mlrun", "-k", "new", "--tb=short")

    result.assert_outcomes(failed=1, deselected=1)
    result.stdout.fnmatch_lines(["*not reproduced: cost * the environments differ too far to tell"])
