"""``mlrun.register`` asks; ``--mlrun-register`` does it at the end of the session, if everything passed."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

import pytest_mlrun
from pytest_mlrun.registry.resolve import resolve

ONE = """
    import pytest
    from sklearn.dummy import DummyClassifier

    pytestmark = pytest.mark.mlrun(experiment="churn", seed=3)

    def test_train(mlrun):
        mlrun.log_model(DummyClassifier().fit([[0], [1]], [0, 1]))
        mlrun.log_metric("auc", 0.9)
        mlrun.assert_floor("auc", 0.8)
        mlrun.register("churn")
"""
FAILS = """

    def test_other(mlrun):
        assert False
"""


@pytest.fixture
def project(pytester: pytest.Pytester, git: Callable[..., str]) -> pytest.Pytester:
    """A repository with one commit and an empty ``mlrun.toml``."""
    pytester.path.joinpath("mlrun.toml").touch()
    pytester.path.joinpath(".gitignore").write_text(".pytest_mlrun/\n__pycache__/\n.pytest_cache/\n")
    pytester.makepyfile(ONE)
    git("add", "-A")
    git("commit", "-qm", "one")
    return pytester


def test_without_the_option_nothing_is_registered_and_the_summary_says_how(project: pytest.Pytester) -> None:
    result = project.runpytest_inprocess("--mlrun")

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["not registered: churn; to register: pytest --mlrun --mlrun-register"])
    assert not project.path.joinpath("mlrun-registry").exists()


def test_with_it_the_run_becomes_a_version_whose_commit_is_kept(
    project: pytest.Pytester, git: Callable[..., str], stored_runs: Callable[[], list[pytest_mlrun.RunRecord]]
) -> None:
    result = project.runpytest_inprocess("--mlrun", "--mlrun-register")

    [run] = stored_runs()
    version = resolve(project.path, "churn/1")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [f"registered churn/1: test_train (*{run.short_id}); commit mlrun-registry; then push *-1"]
    )
    assert (version.run_id, version.run_digest, version.seed) == (run.run_id, run.digest, 3)
    assert version.note == f"asked for by {run.test}"
    assert git("rev-parse", "refs/mlrun/churn-1") == git("rev-parse", "HEAD")
    assert git("status", "--porcelain") == "?? mlrun-registry/"


@pytest.mark.slow
def test_the_workers_of_xdist_register_once(project: pytest.Pytester) -> None:
    result = project.runpytest_subprocess("--mlrun", "--mlrun-register", "-n", "2", "-p", "xdist.plugin")

    result.assert_outcomes(passed=1)
    events = sorted(path.name for path in project.path.joinpath("mlrun-registry", "churn").iterdir())
    assert events == ["000001.json"]


def test_one_failure_in_the_session_and_nothing_is_registered(project: pytest.Pytester) -> None:
    project.makepyfile(ONE + FAILS)

    result = project.runpytest_inprocess("--mlrun", "--mlrun-register")

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["not registered: churn; not everything passed"])
    assert not project.path.joinpath("mlrun-registry").exists()


def test_a_run_without_a_model_is_refused_and_the_session_fails(project: pytest.Pytester) -> None:
    project.makepyfile('def test_train(mlrun):\n    mlrun.register("churn")')

    result = project.runpytest_inprocess("--mlrun", "--mlrun-register")

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*cannot be registered: it logged no model"])
    assert not project.path.joinpath("mlrun-registry").exists()


def test_of_a_test_that_judges_a_winner_the_winner_is_registered(
    project: pytest.Pytester, stored_runs: Callable[[], list[pytest_mlrun.RunRecord]]
) -> None:
    project.makepyfile(
        """
        import pytest
        from sklearn.dummy import DummyClassifier

        @pytest.mark.mlrun(experiment="churn")
        @pytest.mark.parametrize("depth", [1, 2])
        def test_sweep(mlrun, depth):
            mlrun.log_model(DummyClassifier().fit([[0], [1]], [0, 1]))
            mlrun.log_metric("auc", depth / 4)

        @pytest.mark.mlrun_select(experiment="churn", by="auc", goal="max")
        def test_winner(mlrun):
            mlrun.register("churn")
        """
    )

    result = project.runpytest_inprocess("--mlrun", "--mlrun-register")

    runs = {run.name: run for run in stored_runs()}
    version = resolve(project.path, "churn/1")
    result.assert_outcomes(passed=3)
    assert (version.run_id, version.judge_id) == (runs["test_sweep[2]"].run_id, runs["test_winner"].run_id)
    assert json.loads(version.params["depth"]) == 2


@pytest.mark.parametrize(
    ("name", "found"),
    [("'a/b'", "*'a/b' cannot name a model*"), ("3", "*the name of a model*")],
    ids=["slash", "number"],
)
def test_a_name_that_can_name_no_model_fails_in_the_line_that_says_it(
    name: str, found: str, project: pytest.Pytester
) -> None:
    project.makepyfile(f"def test_train(mlrun):\n    mlrun.register({name})")

    result = project.runpytest_inprocess("--mlrun")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([found])


def test_without_an_mlrun_toml_the_cure_is_named(pytester: pytest.Pytester) -> None:
    pytester.makepyfile('def test_train(mlrun):\n    mlrun.register("churn")')

    result = pytester.runpytest_inprocess("--mlrun")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*no mlrun.toml: the registry lies beside it*", "*next:  make one*touch mlrun.toml*"])
