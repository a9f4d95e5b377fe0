"""Nothing trains on data that changed or a tree that must be clean and is not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import pytest_mlrun

if TYPE_CHECKING:
    from tests.conftest import Runs

TRAINS = """
    import pathlib
    import pytest

    @pytest.mark.mlrun(data="churn")
    def test_run(mlrun):
        pathlib.Path("trained").touch()
        assert pathlib.Path(mlrun.data["churn"]).is_dir()
"""


def lock(folder: Path, *names: str) -> None:
    subprocess.run([sys.executable, "-m", "pytest_mlrun", "data", "lock", *names], cwd=folder, check=True, timeout=60)


@pytest.fixture
def churn(pytester: pytest.Pytester) -> Path:
    folder = pytester.path / "data" / "churn"
    folder.mkdir(parents=True)
    for name in ("a.csv", "b.csv", "c.csv"):
        (folder / name).write_text(f"{name},1\n")
    (pytester.path / "mlrun.toml").write_text('[data.churn]\npath = "data/churn"\n')
    lock(pytester.path)
    pytester.makepyfile(test_churn=TRAINS)
    return folder


def test_verified_data_is_a_path_and_its_digest_is_recorded(
    pytester: pytest.Pytester, churn: Path, stored_runs: Runs
) -> None:
    result = pytester.runpytest("--mlrun")

    result.assert_outcomes(passed=1)
    (run,) = stored_runs()
    locked = json.loads((pytester.path / "mlrun.lock").read_text())
    assert json.loads(run.context["data.churn.digest"]) in json.dumps(locked)
    assert (run.context["data.churn.files"], run.context["data.churn.source"]) == ("3", '"data/churn"')


@pytest.mark.parametrize("restored", [False, True], ids=["plain", "mtime restored"])
def test_one_changed_byte_stops_the_training_and_names_the_file(
    pytester: pytest.Pytester, churn: Path, stored_runs: Runs, restored: bool
) -> None:
    pytester.runpytest("--mlrun").assert_outcomes(passed=1)
    (pytester.path / "trained").unlink()
    before = (churn / "b.csv").stat()
    (churn / "b.csv").write_text("b.csv,2\n")
    if restored:
        os.utime(churn / "b.csv", ns=(before.st_atime_ns, before.st_mtime_ns))

    result = pytester.runpytest("--mlrun")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*data 'churn' changed: *", "*b.csv*", "*pytest-mlrun data lock churn*"])
    result.stdout.no_fnmatch_line("*Traceback*")
    assert not (pytester.path / "trained").exists()
    assert [(run.outcome, run.cause) for run in stored_runs()] == [("passed", ""), ("error", "data_snapshot")]


def test_files_that_appeared_and_vanished_are_named(pytester: pytest.Pytester, churn: Path) -> None:
    (churn / "a.csv").unlink()
    (churn / "new.csv").write_text("x")

    result = pytester.runpytest("--mlrun")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines_random(["*appeared*new.csv*", "*vanished*a.csv*"])


def test_data_without_a_lock_is_refused_with_the_command_that_makes_one(pytester: pytest.Pytester, churn: Path) -> None:
    (pytester.path / "mlrun.lock").unlink()

    result = pytester.runpytest("--mlrun")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*pytest-mlrun data lock churn*"])


def test_the_data_fixture_verifies_without_recording(pytester: pytest.Pytester, churn: Path) -> None:
    pytester.makepyfile(
        test_churn="""
        import pytest

        @pytest.mark.mlrun(data="churn")
        def test_rows(mlrun_data): assert (mlrun_data["churn"] / "a.csv").read_text() == "a.csv,1\\n"
        """
    )

    passing = pytester.runpytest()
    (churn / "a.csv").write_text("other")
    failing = pytester.runpytest()

    passing.assert_outcomes(passed=1)
    failing.assert_outcomes(errors=1)
    assert not (pytester.path / ".pytest_mlrun").exists()


REQUIRES = """
    import pytest

    @pytest.mark.mlrun(clean_tree="require")
    def test_run(mlrun): pass
"""


def test_a_dirty_tree_is_refused_where_a_clean_one_is_required(
    pytester: pytest.Pytester, git: Callable[..., str], stored_runs: Runs
) -> None:
    pytester.makepyfile(test_code=REQUIRES)
    git("add", "-A")
    git("commit", "-q", "-m", "first")
    clean = pytester.runpytest("--mlrun", "-p", "no:cacheprovider")
    (pytester.path / "new.py").write_text("x = 1\n")

    dirty = pytester.runpytest("--mlrun", "-p", "no:cacheprovider")

    clean.assert_outcomes(passed=1)
    dirty.assert_outcomes(errors=1)
    dirty.stdout.fnmatch_lines(["*clean tree required*", "*new.py*"])
    assert [run.outcome for run in stored_runs()] == ["passed", "error"]


def test_the_option_requires_it_of_every_experiment(pytester: pytest.Pytester, git: Callable[..., str]) -> None:
    pytester.makepyfile("def test_run(mlrun): pass")

    result = pytester.runpytest("--mlrun", "--mlrun-clean-tree")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*clean tree required*"])


def test_a_dirty_tree_is_recorded_with_a_patch_that_restores_it(
    pytester: pytest.Pytester, git: Callable[..., str], stored_runs: Runs, tmp_path_factory: pytest.TempPathFactory
) -> None:
    pytester.makepyfile(test_code="def test_run(mlrun): pass")
    git("add", "-A")
    git("commit", "-q", "-m", "first")
    (pytester.path / "test_code.py").write_text("def test_run(mlrun): mlrun.log_metric('x', 1)\n")
    (pytester.path / "untracked.bin").write_bytes(bytes(range(256)))
    pytester.runpytest("--mlrun", "-p", "no:cacheprovider").assert_outcomes(passed=1)

    store = pytest_mlrun.open_store(pytester.path / ".pytest_mlrun")
    (run,) = store.runs()
    fresh = tmp_path_factory.mktemp("fresh")
    git("worktree", "add", "-q", "--detach", str(fresh / "tree"), json.loads(run.context["code.commit"]))
    (fresh / "code.patch").write_bytes(store.read_artifact(run, "code.patch"))
    git("apply", "--binary", str(fresh / "code.patch"), folder=fresh / "tree")

    assert run.context["code.dirty"] == "true"
    assert (fresh / "tree" / "untracked.bin").read_bytes() == bytes(range(256))
    assert "log_metric" in (fresh / "tree" / "test_code.py").read_text()


def test_our_own_committed_files_do_not_make_a_tree_dirty(pytester: pytest.Pytester, git: Callable[..., str]) -> None:
    pytester.makepyfile(test_code=REQUIRES)
    git("add", "-A")
    git("commit", "-q", "-m", "first")
    (pytester.path / "mlrun.lock").write_text("{}")

    first = pytester.runpytest("--mlrun", "-p", "no:cacheprovider")

    first.assert_outcomes(passed=1)


def test_the_clean_tree_fixture_gives_the_commit(pytester: pytest.Pytester, git: Callable[..., str]) -> None:
    pytester.makepyfile("def test_release(mlrun_clean_tree): assert len(mlrun_clean_tree) == 40")
    git("add", "-A")
    git("commit", "-q", "-m", "first")

    clean = pytester.runpytest("-p", "no:cacheprovider")
    (pytester.path / "new.py").touch()
    dirty = pytester.runpytest("-p", "no:cacheprovider")

    clean.assert_outcomes(passed=1)
    dirty.assert_outcomes(errors=1)


DRAWS = """
    import random
    import numpy as np
    import pytest

    @pytest.fixture(scope="session")
    def shared(): return random.random()

    @pytest.fixture
    def own(): return np.random.random()

    def test_noise(): random.random(); np.random.random()

    @pytest.mark.mlrun(seed=11)
    def test_run(mlrun, shared, own):
        mlrun.log_metrics({"shared": shared, "own": own, "python": random.random(), "numpy": np.random.random(),
                           "rng": mlrun.rng.random()})
"""


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        pytest.param(["-k", "test_run"], marks=pytest.mark.slow),
        ["-p", "randomly"],
        pytest.param(["-p", "randomly", "-p", "no:cacheprovider"], marks=pytest.mark.slow),
        ["-p", "xdist", "-n", "2"],
        pytest.param(["-p", "randomly", "-p", "xdist", "-n", "2"], marks=pytest.mark.slow),
        ["--deselect", "test_draws.py::test_noise"],
    ],
    ids=" ".join,
)
def test_generators_start_from_the_seed_whatever_else_runs(
    pytester: pytest.Pytester, stored_runs: Runs, arguments: list[str]
) -> None:
    pytester.makepyfile(test_draws=DRAWS)
    pytester.runpytest_subprocess("--mlrun").assert_outcomes(passed=2)

    result = pytester.runpytest_subprocess("--mlrun", *arguments)

    assert result.ret == 0
    first, second = stored_runs()
    assert dict(first.metrics) == dict(second.metrics)
    assert first.context["rand.end.random"] == second.context["rand.end.random"]
    assert first.context["rand.end.numpy"] == second.context["rand.end.numpy"]


def test_ordinary_tests_keep_their_own_randomness(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import random
        import pytest

        random.seed(1)
        expected = random.Random(1)

        @pytest.fixture
        def value(): return 3

        def test_first(value): assert random.random() == expected.random()
        def test_run(mlrun, value): pass
        """
    )

    pytester.runpytest("--mlrun").assert_outcomes(passed=2)
