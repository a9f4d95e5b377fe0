"""However a session ends, what ran is recorded, once, as what it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Runs

SHARED_AND_OWN = """
import pytest

@pytest.fixture(scope="module")
def shared(mlrun_module):
    yield
    mlrun_module.log_metric("late", 1.0)

@pytest.fixture
def own(mlrun):
    yield
    mlrun.log_metric("late", 2.0)
    {teardown}

def test_it(shared, own, mlrun):
    {body}
"""


@pytest.mark.parametrize(
    ("body", "teardown"),
    [("raise KeyboardInterrupt", "pass"), ("pass", "raise KeyboardInterrupt"), ("pytest.exit('enough')", "pass")],
    ids=["call", "teardown", "exit"],
)
def test_the_fixtures_of_an_interrupted_test_can_still_log(
    pytester: pytest.Pytester, stored_runs: Runs, body: str, teardown: str
) -> None:
    pytester.makepyfile(test_it=SHARED_AND_OWN.format(body=body, teardown=teardown))

    result = pytester.runpytest_subprocess("--mlrun")

    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert {(run.name, run.status, run.cause, run.metrics["late"]) for run in stored_runs()} == {
        ("test_it", "killed", "interrupted", 1.0),
        ("test_it", "killed", "interrupted", 2.0),
    }
    result.stdout.no_fnmatch_line("*pytest_mlrun/*")
    result.stdout.fnmatch_lines(["*2 runs*"])


def test_leaving_after_a_failure_keeps_the_failure(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makeconftest("import pytest\ndef pytest_exception_interact(): pytest.exit('left the debugger')\n")
    pytester.makepyfile("def test_it(mlrun): raise MemoryError")

    pytester.runpytest_subprocess("--mlrun")

    (run,) = stored_runs()
    assert (run.status, run.outcome, run.cause) == ("failed", "failed", "oom")


def test_an_interrupted_search_reports_its_trials_too(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_search(mlrun):
            with mlrun.child(depth=1): pass
            mlrun.child(depth=2).__enter__()
            raise KeyboardInterrupt
        """
    )

    result = pytester.runpytest_subprocess("--mlrun")

    result.stdout.fnmatch_lines(["*3 runs*"])


def test_set_up_only_is_no_passed_run(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makepyfile("def test_it(mlrun): raise ValueError")

    pytester.runpytest("--mlrun", "--setup-only")

    assert [run.outcome for run in stored_runs()] == ["skipped"]


def test_a_set_up_plan_records_nothing(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(mlrun, mlrun_seed): raise ValueError")

    result = pytester.runpytest("--mlrun", "--setup-plan")

    assert result.ret == pytest.ExitCode.OK
    assert not (pytester.path / ".pytest_mlrun").exists()


def test_an_error_in_a_loop_over_seeds_fails_that_replicate(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makepyfile(
        """
        def test_seeds(mlrun):
            for index, run in enumerate(mlrun.seeds(3)):
                run.log_metric("auc", 0.5)
                if index == 1: raise MemoryError
        """
    )

    pytester.runpytest("--mlrun").assert_outcomes(failed=1)

    assert {run.name: (run.outcome, run.cause) for run in stored_runs()} == {
        "test_seeds": ("failed", "oom"),
        "test_seeds/replicate=0": ("passed", ""),
        "test_seeds/replicate=1": ("failed", "oom"),
    }


@pytest.mark.parametrize("gate", ["mlrun.assert_floor('auc', 0.1)", "mlrun.assert_floor('auc', 0.9)"])
def test_leaving_a_loop_over_seeds_early_is_no_failure_of_the_replicate(
    pytester: pytest.Pytester, stored_runs: Runs, gate: str
) -> None:
    pytester.makepyfile(
        f"""
        def test_seeds(mlrun):
            for run in mlrun.seeds(3): break
            mlrun.log_metric("auc", 0.5)
            {gate}
        """
    )

    pytester.runpytest("--mlrun")

    assert [run.outcome for run in stored_runs() if run.parent_id] == ["passed"]


def test_a_forgotten_loop_over_seeds_disturbs_no_later_test(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makepyfile(
        """
        import random

        KEPT = []

        def test_seeds(mlrun):
            KEPT.append(mlrun.seeds(2))
            next(KEPT[0])

        def test_later(mlrun):
            KEPT.clear()
            assert random.random() == random.Random(mlrun.seed).random()
        """
    )

    # A process of its own: within this one pytest 9.0 itself warns that the plugin was imported before.
    pytester.runpytest_subprocess("--mlrun", "-W", "error").assert_outcomes(passed=2)

    assert {run.outcome for run in stored_runs()} == {"passed"}
