"""What the marker says, where it may stand, and what a typo in it gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Runs


def test_a_typo_fails_that_collection_and_suggests_the_right_word(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.mlrun(floor={"auc": 0.9})
        def test_gbm(mlrun): raise AssertionError("never reached")
        """
    )

    result = pytester.runpytest("--mlrun")

    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*test_gbm: the mlrun marker takes no argument 'floor'; did you mean 'floors'?*"])
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*pytest_mlrun/*")


def test_a_typo_fails_without_the_option_too(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.mlrun(sed=1)
        def test_gbm(mlrun): pass
        """
    )

    result = pytester.runpytest()

    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*takes no argument 'sed'; did you mean 'seed'?*"])


def test_a_typo_under_xdist_is_no_internal_error(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.mlrun(floor={"auc": 0.9})
        def test_gbm(mlrun): pass
        """
    )

    result = pytester.runpytest_subprocess("--mlrun", "-p", "xdist", "-n", "2")

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*did you mean 'floors'?*"])
    result.stdout.no_fnmatch_line("*INTERNALERROR*")


def test_a_typo_on_one_param_fails_that_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("depth", [1, pytest.param(2, marks=pytest.mark.mlrun(sed=1))])
        def test_gbm(mlrun, depth): pass
        """
    )

    result = pytester.runpytest("--mlrun")

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*takes no argument 'sed'; did you mean 'seed'?*"])


def test_a_marked_function_must_take_the_run(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.mlrun(experiment="churn")
        def test_gbm(): pass
        """
    )

    result = pytester.runpytest("--mlrun")

    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*test_gbm: marked mlrun, but it does not take the mlrun fixture*"])


def test_the_mark_of_a_module_or_class_may_cover_ordinary_tests(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        pytestmark = pytest.mark.mlrun(experiment="churn")

        def test_plain(): pass

        @pytest.mark.mlrun(seed=1)
        class TestModels:
            def test_plain(self): pass
            def test_gbm(self, mlrun): assert (mlrun.experiment, mlrun.seed) == ("churn", 1)
        """
    )

    result = pytester.runpytest("--mlrun")

    result.assert_outcomes(passed=3)


def test_the_closest_marker_wins_per_key_and_floors_merge_per_metric(
    pytester: pytest.Pytester, stored_runs: Runs
) -> None:
    pytester.makepyfile(
        """
        import pytest

        pytestmark = pytest.mark.mlrun(experiment="churn", seed=1, floors={"auc": 0.5, "f1": 0.5}, tags={"team": "a"})

        @pytest.mark.mlrun(seed=2, floors={"auc": 0.7})
        def test_gbm(mlrun): mlrun.log_metrics({"auc": 0.8, "f1": 0.6})
        """
    )

    result = pytester.runpytest("--mlrun")

    result.assert_outcomes(passed=1)
    (run,) = stored_runs()
    assert (run.experiment, run.context["rand.seed"], dict(run.tags)) == ("churn", "2", {"team": "a"})
    assert sorted((gate.metric, gate.bound) for gate in run.gates) == [("auc", 0.7), ("f1", 0.5)]


@pytest.mark.parametrize(
    "body",
    [
        "@pytest.mark.mlrun\n    def test_it(self): pass",
        "@pytest.mark.usefixtures('mlrun')\n    def test_it(self): pass",
    ],
    ids=["marked", "usefixtures"],
)
def test_a_testcase_method_is_refused_with_the_cure(pytester: pytest.Pytester, body: str) -> None:
    pytester.makepyfile(f"import pytest, unittest\n\nclass TestChurn(unittest.TestCase):\n    {body}\n")

    result = pytester.runpytest("--mlrun")

    assert result.ret != pytest.ExitCode.OK
    result.stdout.fnmatch_lines(
        ["*test_it: a unittest.TestCase method cannot be an experiment*", "*plain test function*"]
    )


def test_given_on_an_experiment_is_refused_with_the_cure(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        from hypothesis import given, strategies as st

        @given(x=st.integers())
        def test_gbm(mlrun, x): pass
        """
    )

    result = pytester.runpytest("--mlrun")

    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*test_gbm: @given cannot drive a training experiment*", "*mlrun.child(...)*"])
