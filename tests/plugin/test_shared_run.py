"""The run that the tests of a module share says what became of all of them, and only of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Runs

MODEL = """
import pytest

@pytest.fixture(scope="module")
def model(mlrun_module):
    mlrun_module.log_metric("auc", 0.9)
    {setup}
    yield 1
    {teardown}
"""


def write(pytester: pytest.Pytester, tests: str, *, setup: str = "pass", teardown: str = "pass") -> None:
    pytester.makepyfile(test_it=MODEL.format(setup=setup, teardown=teardown) + tests)


def test_a_failing_teardown_of_a_shared_fixture_is_an_error_of_the_run(
    pytester: pytest.Pytester, stored_runs: Runs
) -> None:
    write(
        pytester, "def test_it(model): pass", teardown="mlrun_module.log_metric('late', 1.0); raise OSError('no disk')"
    )

    pytester.runpytest("--mlrun").assert_outcomes(passed=1, errors=1)

    (run,) = stored_runs()
    assert (run.status, run.outcome, run.metrics["late"]) == ("finished", "error", 1.0)
    assert "no disk" in run.error


def test_a_failing_set_up_of_a_shared_fixture_is_recorded_once(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    write(pytester, "def test_a(model): pass\ndef test_b(model): pass", setup="raise OSError('no disk')")

    pytester.runpytest("--mlrun").assert_outcomes(errors=2)

    (run,) = stored_runs()
    assert (run.status, run.outcome, run.cause_detail) == ("failed", "error", "in setup: OSError: no disk")


def test_tests_that_do_not_share_the_run_do_not_fail_it(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    write(
        pytester, "def test_it(model): pass\ndef test_plain(): raise ValueError\ndef test_own(mlrun): raise ValueError"
    )

    pytester.runpytest("--mlrun").assert_outcomes(passed=1, failed=2)

    assert {run.name: run.outcome for run in stored_runs()} == {"test_it": "passed", "test_own": "failed"}


@pytest.mark.parametrize(
    ("tests", "outcome"),
    [
        ("def test_a(model): pytest.skip('x')\ndef test_b(model): pass", "passed"),
        ("def test_a(model): pytest.skip('x')\ndef test_b(model): pytest.skip('x')", "skipped"),
    ],
    ids=["one", "all"],
)
def test_a_shared_run_is_skipped_only_if_all_its_tests_are(
    pytester: pytest.Pytester, stored_runs: Runs, tests: str, outcome: str
) -> None:
    write(pytester, tests)

    pytester.runpytest("--mlrun")

    assert [run.outcome for run in stored_runs()] == [outcome]


def test_asking_for_the_shared_run_dynamically_is_refused_with_the_cure(
    pytester: pytest.Pytester, stored_runs: Runs
) -> None:
    pytester.makepyfile("def test_late(request): request.getfixturevalue('mlrun_module')")

    result = pytester.runpytest("--mlrun")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*mlrun_module was asked for after the test had begun", "*next:*take mlrun_module as an*"]
    )
    assert not (pytester.path / ".pytest_mlrun").exists()


@pytest.mark.parametrize("fixture", ["mlrun", "mlrun_module"])
def test_asking_for_a_run_dynamically_is_a_skip_without_the_option(pytester: pytest.Pytester, fixture: str) -> None:
    pytester.makepyfile(f"def test_late(request): request.getfixturevalue('{fixture}')")

    result = pytester.runpytest("-rs")

    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*training experiment: run with --mlrun"])
    assert not (pytester.path / ".pytest_mlrun").exists()


def test_a_shared_run_on_changed_data_is_an_error_with_its_cause(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.path.joinpath("mlrun.toml").write_text("[data.churn]\npath = 'churn.csv'\n")
    write(pytester, "pytestmark = pytest.mark.mlrun(data='churn')\n\ndef test_a(model): pass\ndef test_b(model): pass")

    pytester.runpytest("--mlrun").assert_outcomes(errors=2)

    (run,) = stored_runs()
    assert (run.status, run.outcome, run.cause) == ("failed", "error", "data_snapshot")
