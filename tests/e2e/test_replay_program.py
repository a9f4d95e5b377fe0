"""``pytest-mlrun replay`` makes a run again from the shell; real learners, kernels and environments get their level."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FAST = """
    import pickle, random, time, pytest

    @pytest.mark.mlrun(experiment="fast", seed=3)
    @pytest.mark.parametrize("rate", [1, 2])
    def test_fast(mlrun, rate, tmp_path):
        mlrun.log_metric("drawn", random.random() * rate)
        (tmp_path / "model.pkl").write_bytes(pickle.dumps(time.time_ns()))
        mlrun.log_artifact(tmp_path / "model.pkl")
"""
LEARNERS = """
    import pytest
    from sklearn.datasets import make_classification
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression

    MODELS = {
        "forest": RandomForestClassifier(50, n_jobs=2, random_state=1),
        "logistic": LogisticRegression(max_iter=1_000),
        "boosting": HistGradientBoostingClassifier(random_state=1, max_iter=60, max_features=0.7),
    }

    @pytest.mark.mlrun(experiment="learners", seed=3)
    @pytest.mark.parametrize("name", list(MODELS))
    def test_learner(mlrun, name):
        X, y = make_classification(3_000, 30, n_informative=10, flip_y=0.1, random_state=1)
        out = MODELS[name].fit(X[:2_000], y[:2_000]).predict_proba(X[2_000:])[:, 1]
        mlrun.evaluate("val", y[2_000:], out, metrics=["log_loss", "accuracy", "roc_auc"])
"""


@dataclass(frozen=True)
class Project:
    """A folder with tests, and the interpreter that runs them."""

    folder: Path
    python: Path = Path(sys.executable)

    def run(self, *arguments: str, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        variables = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "pytest_mlrun.plugin"}
        return subprocess.run(
            [str(self.python), "-m", *arguments],
            cwd=self.folder,
            env={**variables, **(environ or {})},
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )

    def record(self, *arguments: str) -> None:
        done = self.run("pytest", "-q", "--mlrun", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr

    def replay(self, ref: str, *arguments: str, environ: Mapping[str, str] | None = None) -> dict[str, Any]:
        done = self.run("pytest_mlrun", "replay", ref, "--json", *arguments, environ=environ)
        found: dict[str, Any] = json.loads(done.stdout)
        assert done.returncode == found["exit_code"], done.stderr
        return found


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "mlrun.toml").touch()
    return Project(tmp_path)


def write(project: Project, text: str, name: str = "test_it.py") -> None:
    (project.folder / name).write_text(dedent(text))


@pytest.mark.slow
def test_everything_that_was_compared_is_one_object_and_a_pickle_is_not(project: Project) -> None:
    """Acceptance A9: the bytes of a pickle say nothing about a model."""
    write(project, FAST)
    project.record()

    found = project.replay("test_fast[2]")

    assert (found["verdict"], found["level"], found["reproduced"]) == ("REPRODUCED_EXACTLY", "L0", True)
    assert [metric["name"] for metric in found["metrics"]] == ["drawn"]
    assert found["metrics"][0]["recorded"] == found["metrics"][0]["replayed"]
    assert [pillar["pillar"] for pillar in found["pillars"]] == ["code", "data", "environment", "randomness"]


@pytest.mark.slow
def test_a_test_that_moved_is_named_with_the_command_that_replays_it(project: Project) -> None:
    write(project, FAST)
    project.record()
    (project.folder / "test_it.py").rename(project.folder / "test_moved.py")

    done = project.run("pytest_mlrun", "replay", "test_fast[2]")

    assert done.returncode == 2
    assert "is not where it was: test_it.py\n  test_fast is in test_moved.py\n" in done.stderr
    assert done.stderr.rstrip().endswith("test_moved.py::test_fast")


@pytest.mark.slow
def test_a_replay_that_takes_too_long_proves_nothing(project: Project) -> None:
    write(project, FAST)
    project.record()
    write(project, FAST.replace("def test_fast(mlrun, rate, tmp_path):", "def test_fast(mlrun, rate, tmp_path):\n"
          "        time.sleep(600)"))  # fmt: skip

    found = project.replay("test_fast[2]", "--timeout", "20")

    assert (found["verdict"], found["exit_code"]) == ("INCONCLUSIVE", 4)


@pytest.mark.slow
def test_a_module_that_cannot_be_imported_is_not_reproducible(project: Project) -> None:
    write(project, FAST)
    project.record()
    write(project, "import no_such_module_anywhere\n" + dedent(FAST))

    done = project.run("pytest_mlrun", "replay", "test_fast[2]")

    assert done.returncode == 1
    assert done.stdout.startswith("NOT_REPRODUCIBLE  test_fast[2] ")
    assert "No module named 'no_such_module_anywhere'" in done.stderr


@pytest.mark.slow
def test_a_forest_in_two_threads_does_not_fail_where_nothing_else_differs(project: Project) -> None:
    """Acceptance A8: its predictions differ in the last bit from call to call."""
    write(project, LEARNERS)
    project.record("-k", "forest")

    found = project.replay("test_learner[forest]")

    assert found["reproduced"]
    assert found["level"] == "L0"


@pytest.mark.slow
def test_another_kernel_of_the_blas_is_level_two_by_itself(project: Project) -> None:
    """Acceptance A11: nobody says so; the captures do."""
    write(project, LEARNERS)
    project.record("-k", "logistic")

    found = project.replay("test_learner[logistic]", environ={"OPENBLAS_CORETYPE": "Haswell"})

    assert (found["reproduced"], found["level"]) == (True, "L2")
    assert any("OPENBLAS_CORETYPE: none → Haswell" in reason for reason in found["why"])


@pytest.mark.slow
def test_another_version_of_a_library_is_consistent_and_never_reproduced(project: Project, tmp_path: Path) -> None:
    """Acceptance A10: histogram boosting changed between scikit-learn 1.7 and 1.9."""
    old, new = (make_environment(tmp_path / version, version) for version in ("1.7.2", "1.9.1"))
    write(project, LEARNERS)
    Project(project.folder, old).record("-k", "boosting")

    found = Project(project.folder, new).replay("test_learner[boosting]")

    assert (found["verdict"], found["level"], found["exit_code"]) == ("CONSISTENT", "L3", 1)
    assert any(reason.startswith("scikit-learn: 1.7.2 → 1.9.1") for reason in found["why"])
    assert any("the environment is not the recorded one" in finding for finding in found["findings"])


def make_environment(folder: Path, version: str) -> Path:
    """Return the interpreter of a new environment with this scikit-learn and our package."""

    def call(*command: Sequence[str] | str | Path) -> None:
        subprocess.run([str(part) for part in command], check=True, capture_output=True, timeout=500)

    call(sys.executable, "-m", "venv", folder)
    python = folder / "bin" / "python"
    call(python, "-m", "pip", "install", "-q", f"scikit-learn=={version}", "numpy==2.3.5", "scipy==1.16.3", "-e", ROOT)
    return python
