"""Gates fail the test in its call phase, with the numbers in the first line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Runs


def test_a_broken_floor_fails_the_test_and_says_both_numbers(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makepyfile(
        test_it="""
        def test_gbm(mlrun):
            mlrun.log_metric("auc", 0.8121)
            mlrun.assert_floor("auc", 0.83)
        """
    )

    result = pytester.runpytest("--mlrun")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            ">* mlrun.assert_floor(*",
            "E*GateFailure: floor not met: auc 0.8121 < 0.83",
            "FAILED *GateFailure: floor not met: auc*",
        ]
    )
    (run,) = stored_runs()
    assert (run.status, run.outcome, run.cause) == ("finished", "failed", "gate")
    (gate,) = run.gates
    assert (gate.gate, gate.metric, gate.estimate, gate.bound) == ("floor", "auc", 0.8121, 0.83)
    assert (gate.decision, gate.method, gate.calibrated) == ("FAIL", "value", False)


def test_the_failure_shows_no_line_of_ours(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_gbm(mlrun): mlrun.assert_floor('auc', 0.83)")

    result = pytester.runpytest("--mlrun")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E*MetricError: metric 'auc' was never logged; this run has: no metrics"])
    result.stdout.no_fnmatch_line("*pytest_mlrun/*")


def test_floors_of_the_marker_are_judged_together_after_the_body(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.mlrun(floors={"auc": 0.9, "f1": 0.5}, ceilings={"loss": 0.1})
        def test_gbm(mlrun): mlrun.log_metrics({"auc": 0.8, "f1": 0.7, "loss": 0.5})
        """
    )

    result = pytester.runpytest("--mlrun")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*2 gates failed: auc 0.8 < 0.9 (floor); loss 0.5 > 0.1 (ceiling)*"])
    (run,) = stored_runs()
    assert {gate.metric: gate.decision for gate in run.gates} == {"auc": "FAIL", "f1": "PASS", "loss": "FAIL"}


def test_one_call_reports_every_broken_gate(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_gbm(mlrun):
            mlrun.log_metrics({"auc": 0.8, "f1": 0.4, "recall": 0.9})
            mlrun.assert_floor({"auc": 0.9, "f1": 0.5, "recall": 0.8})
        """
    )

    result = pytester.runpytest("--mlrun")

    result.stdout.fnmatch_lines(["*2 gates failed: auc 0.8 < 0.9 (floor); f1 0.4 < 0.5 (floor)*"])


def test_nan_satisfies_nothing(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("gate", ["assert_floor", "assert_ceiling"])
        def test_gbm(mlrun, gate):
            mlrun.log_metric("loss", float("nan"), step=3)
            getattr(mlrun, gate)("loss", 0.5)
        """
    )

    result = pytester.runpytest("--mlrun")

    result.assert_outcomes(failed=2)
    assert [(run.cause, run.cause_detail) for run in stored_runs()] == [("nan", "loss at step 3")] * 2


def test_gates_hold_without_assertion_rewriting_and_under_optimisation(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONOPTIMIZE", "1")
    pytester.makepyfile("def test_gbm(mlrun):\n    mlrun.log_metric('auc', 0.1)\n    mlrun.assert_floor('auc', 0.9)\n")

    result = pytester.runpytest_subprocess("--mlrun", "--assert=plain")

    result.assert_outcomes(failed=1)


def test_a_gate_on_a_series_reads_the_last_value_unless_told(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        def test_curve(mlrun):
            for step, value in enumerate([0.5, 0.9, 0.7]):
                mlrun.log_metric("auc", value, step=step)
            mlrun.assert_floor("auc", 0.9, at="best")
            mlrun.assert_floor("auc", 0.5, at=0)
            with pytest.raises(AssertionError, match="floor not met: auc 0.7 < 0.9"):
                mlrun.assert_floor("auc", 0.9)
        """
    )

    result = pytester.runpytest("--mlrun")

    result.assert_outcomes(passed=1)


def test_a_gate_can_be_built_and_judged_without_enforcing_it(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makepyfile(
        """
        def test_gbm(mlrun):
            mlrun.log_metric("auc", 0.1)
            verdict = mlrun.judge(mlrun.floor("auc", 0.9))
            assert verdict.failed and not verdict.passed
        """
    )

    result = pytester.runpytest("--mlrun")

    result.assert_outcomes(passed=1)
    assert [gate.decision for gate in stored_runs()[0].gates] == ["FAIL"]


def test_gates_of_the_marker_judge_the_shared_run_of_a_module(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        pytestmark = pytest.mark.mlrun(floors={"auc": 0.9})

        @pytest.fixture(scope="module")
        def model(mlrun_module): mlrun_module.log_metric("auc", 0.5)

        def test_it(model): pass
        """
    )

    result = pytester.runpytest("--mlrun")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*floor not met: auc 0.5 < 0.9*"])


def test_each_gate_of_a_shared_run_is_judged_once_when_its_metric_is_there(
    pytester: pytest.Pytester, stored_runs: Runs
) -> None:
    pytester.makepyfile(
        """
        import pytest

        pytestmark = pytest.mark.mlrun(floors={"auc": 0.5, "f1": 0.5})

        def test_first(mlrun_module): mlrun_module.log_metric("f1", 0.9)
        def test_second(mlrun_module): mlrun_module.log_metric("auc", 0.4)
        def test_third(mlrun_module): pass
        """
    )

    result = pytester.runpytest("--mlrun")

    result.assert_outcomes(passed=2, failed=1)
    (run,) = stored_runs()
    assert [(gate.metric, gate.decision) for gate in run.gates] == [("f1", "PASS"), ("auc", "FAIL")]


def test_a_gate_of_a_shared_run_whose_metric_never_came_is_an_error(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        pytestmark = pytest.mark.mlrun(floors={"auc": 0.5})

        def test_first(mlrun_module): pass
        """
    )

    result = pytester.runpytest("--mlrun")

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["metric 'auc' was never logged; this run has: no metrics"])


def test_a_gate_at_a_step_of_a_metric_without_steps_says_so(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_gbm(mlrun):
            mlrun.log_metric("auc", 0.9)
            mlrun.assert_floor("auc", 0.5, at="best")
            mlrun.assert_floor("auc", 0.5, at=3)
        """
    )

    result = pytester.runpytest("--mlrun")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([">*at=3)", "E*MetricError: auc has no points"])
