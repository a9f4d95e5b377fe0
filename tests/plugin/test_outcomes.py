"""Every run gets one outcome and, where something went wrong, a cause."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Runs


def run_body(pytester: pytest.Pytester, body: str, *, apart: bool = False) -> pytest.RunResult:
    pytester.makepyfile(
        f"import pytest\n\ndef test_run(mlrun):\n    mlrun.log_metric('loss', 0.5, step=1)\n    {body}\n"
    )
    return pytester.runpytest_subprocess("--mlrun") if apart else pytester.runpytest("--mlrun")


@pytest.mark.parametrize(
    ("body", "status", "outcome", "cause"),
    [
        ("pass", "finished", "passed", ""),
        ("pytest.skip('enough')", "finished", "skipped", ""),
        ("raise RuntimeError('x')", "failed", "failed", "error"),
        ("assert 1 == 2", "failed", "failed", "error"),
        ("raise MemoryError", "failed", "failed", "oom"),
        ("raise TimeoutError", "failed", "failed", "timeout"),
        ("mlrun.assert_floor('loss', 1.0)", "finished", "failed", "gate"),
        ("mlrun.log_metric('loss', float('nan'), step=2); raise RuntimeError", "failed", "failed", "nan"),
        ("mlrun.data['churn']", "failed", "failed", "data_snapshot"),
    ],
)
def test_the_outcome_and_cause_of_a_body(
    pytester: pytest.Pytester, stored_runs: Runs, body: str, status: str, outcome: str, cause: str
) -> None:
    run_body(pytester, body)

    (run,) = stored_runs()
    assert (run.status, run.outcome, run.cause) == (status, outcome, cause)
    assert "loss" in run.metrics


def test_a_failure_keeps_its_traceback_and_what_was_logged_before(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    result = run_body(pytester, "raise RuntimeError('the reason')")

    result.assert_outcomes(failed=1)
    (run,) = stored_runs()
    assert "RuntimeError: the reason" in run.error
    assert "test_the_outcome" not in run.error
    assert dict(run.metrics) == {"loss": 0.5}


def test_a_failing_fixture_makes_an_error_with_a_run(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture
        def broken(mlrun): raise OSError("no disk")

        def test_run(broken): pass
        """
    )

    result = pytester.runpytest("--mlrun")

    result.assert_outcomes(errors=1)
    (run,) = stored_runs()
    assert (run.status, run.outcome, run.cause) == ("failed", "error", "error")


def test_a_failing_teardown_makes_an_error_of_a_finished_run(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture
        def broken(mlrun):
            yield
            raise OSError("no disk")

        def test_run(broken, mlrun): mlrun.log_metric("loss", 1.0)
        """
    )

    result = pytester.runpytest("--mlrun")

    result.assert_outcomes(passed=1, errors=1)
    (run,) = stored_runs()
    assert (run.status, run.outcome, run.metrics["loss"]) == ("finished", "error", 1.0)


def test_an_interrupt_kills_the_run_and_keeps_it(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    result = run_body(pytester, "raise KeyboardInterrupt", apart=True)

    assert result.ret == pytest.ExitCode.INTERRUPTED
    (run,) = stored_runs()
    assert (run.status, run.cause, dict(run.metrics)) == ("killed", "interrupted", {"loss": 0.5})


def test_an_exit_inside_a_run_keeps_it(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    run_body(pytester, "pytest.exit('enough')")

    (run,) = stored_runs()
    assert (run.status, run.cause) == ("killed", "interrupted")


def test_a_killed_process_leaves_an_orphaned_run_with_its_points(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makepyfile(
        """
        import os, signal

        def test_run(mlrun):
            mlrun.log_param("depth", 3)
            for step in range(100):
                mlrun.log_metric("loss", 1 / (step + 1), step=step)
            os.kill(os.getpid(), signal.SIGKILL)

        def test_plain(): pass
        """
    )

    killed = pytester.runpytest_subprocess("--mlrun")
    pytester.makepyfile(test_other="def test_other(mlrun): pass")
    pytester.runpytest_subprocess("--mlrun", "test_other.py")

    assert killed.ret != pytest.ExitCode.OK
    orphan, other = stored_runs()
    assert (orphan.status, orphan.outcome, orphan.cause) == ("orphaned", "", "unknown")
    assert (orphan.params["depth"], orphan.metrics["loss"]) == ("3", 0.01)
    assert orphan.series["loss"].startswith("100:sha256:")
    assert other.status == "finished"


def test_an_expected_failure_keeps_its_run(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.xfail(strict=True)
        def test_run(mlrun):
            mlrun.log_metric("auc", 0.1)
            mlrun.assert_floor("auc", 0.9)
        """
    )

    result = pytester.runpytest("--mlrun")

    result.assert_outcomes(xfailed=1)
    (run,) = stored_runs()
    assert (run.outcome, run.cause) == ("failed", "gate")


def test_a_run_that_cannot_be_written_to_its_end_fails_its_test(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    result = run_body(
        pytester,
        "mlrun._recording._recorder.writer.finish = None or (lambda *_: (_ for _ in ()).throw("
        "__import__('pytest_mlrun').StoreWriteError('the disk is full')))",
    )

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["the disk is full"])
    result.stdout.no_fnmatch_line("*INTERNALERROR*")
