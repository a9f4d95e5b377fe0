"""When experiments run, and when they are skipped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Runs

TESTS = """
    def test_experiment(mlrun): mlrun.log_metric("loss", 1.0)
    def test_plain(): pass
"""


def test_an_experiment_is_skipped_unless_it_was_asked_for(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TESTS)

    result = pytester.runpytest("-rs")

    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*training experiment: run with --mlrun"])
    assert not (pytester.path / ".pytest_mlrun").exists()


def test_the_option_runs_it(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makepyfile(TESTS)

    result = pytester.runpytest("--mlrun")

    result.assert_outcomes(passed=2)
    assert [run.name for run in stored_runs()] == ["test_experiment"]


def test_the_configuration_runs_it(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TESTS)
    pytester.makepyprojecttoml("[tool.pytest]\nmlrun = true\n")

    result = pytester.runpytest()

    result.assert_outcomes(passed=2)


def test_an_experiment_is_marked_by_itself(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TESTS)

    selected = pytester.runpytest("--mlrun", "-m", "mlrun")
    others = pytester.runpytest("-m", "not mlrun")

    selected.assert_outcomes(passed=1, deselected=1)
    others.assert_outcomes(passed=1, deselected=1)


def test_a_fixture_that_takes_the_run_makes_its_tests_experiments(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture
        def trained(mlrun):
            mlrun.log_metric("loss", 1.0)

        def test_loss(trained): pass
        """
    )

    skipped = pytester.runpytest()
    run = pytester.runpytest("--mlrun")

    skipped.assert_outcomes(skipped=1)
    run.assert_outcomes(passed=1)


def test_a_test_skipped_by_its_own_mark_leaves_no_run(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.skip(reason="not today")
        def test_experiment(mlrun): pass
        """
    )

    result = pytester.runpytest("--mlrun")

    result.assert_outcomes(skipped=1)
    assert not (pytester.path / ".pytest_mlrun").exists()


def test_pins_alone_work_without_the_option_and_write_nothing(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import random
        import pytest

        @pytest.mark.mlrun(seed=5)
        def test_draw(mlrun_seed):
            assert mlrun_seed == 5
            assert random.random() == random.Random(5).random()
        """
    )

    result = pytester.runpytest("-p", "randomly")

    result.assert_outcomes(passed=1)
    assert not (pytester.path / ".pytest_mlrun").exists()


def test_asking_for_the_run_dynamically_is_refused_with_the_cure(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_late(request): request.getfixturevalue('mlrun')")

    result = pytester.runpytest("--mlrun")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*test_late: mlrun was asked for after the test had begun*", "*take mlrun as an arg*"])
