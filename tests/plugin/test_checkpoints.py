"""A training keeps its best checkpoints and its last one, and nothing of the others."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

import pytest_mlrun
from pytest_mlrun.store.store import Store
from pytest_mlrun.store.verify import verify_store

Runs = Callable[[], list[pytest_mlrun.RunRecord]]

TRAINING = """
import pytest

def train(mlrun, losses, **how):
    path = mlrun.tmp_path / "state.pt"
    best = []
    for epoch, loss in enumerate(losses):
        path.write_text(f"state of epoch {epoch}")  # over the one before
        mlrun.log_metric("val_loss", loss, epoch)
        best.append(mlrun.log_checkpoint(epoch, path, metric="val_loss", **how))
    return best
"""


def checkpoints(run: pytest_mlrun.RunRecord, folder: pytest.Pytester) -> dict[str, str]:
    reader = pytest_mlrun.open_store(folder.path / ".pytest_mlrun")
    logged = [artifact.name for artifact in run.artifacts if artifact.role == "checkpoint"]
    return {name: reader.read_artifact(run, name).decode() for name in logged}


def test_the_best_and_the_last_are_artifacts_of_the_run_and_the_others_are_not(
    pytester: pytest.Pytester, stored_runs: Runs
) -> None:
    pytester.makepyfile(
        TRAINING
        + """
def test_it(mlrun):
    assert train(mlrun, [3.0, 1.0, 2.0, 4.0]) == [True, True, False, False]
"""
    )

    pytester.runpytest("--mlrun").assert_outcomes(passed=1)

    (run,) = stored_runs()
    assert checkpoints(run, pytester) == {
        "checkpoints/1/state.pt": "state of epoch 1",
        "checkpoints/3/state.pt": "state of epoch 3",
    }
    assert json.loads(run.context["checkpoints"]) == {
        "metric": "val_loss",
        "goal": "min",
        "kept": [
            {"step": 1, "value": 1.0, "files": 1, "best": 1},
            {"step": 3, "value": 4.0, "files": 1, "best": None},
        ],
    }
    assert list(verify_store(Store.open(pytester.path / ".pytest_mlrun"))) == []


def test_checkpoints_that_lost_are_what_gc_deletes(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        TRAINING
        + """
def test_it(mlrun):
    train(mlrun, [3.0, 1.0, 2.0, 4.0])
"""
    )
    pytester.runpytest("--mlrun").assert_outcomes(passed=1)

    result = pytester.run("pytest-mlrun", "gc", "--delete")

    assert result.ret == 0
    result.stdout.fnmatch_lines(["delete  unreferenced * 2 * 32 B *", "2 files, 32 B, were deleted"])


def test_a_training_that_fails_keeps_what_it_had(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makepyfile(
        TRAINING
        + """
def test_it(mlrun):
    train(mlrun, [3.0, 1.0, 2.0], keep_best=2, keep_last=False)
    raise MemoryError
"""
    )

    pytester.runpytest("--mlrun").assert_outcomes(failed=1)

    (run,) = stored_runs()
    assert list(checkpoints(run, pytester)) == ["checkpoints/1/state.pt", "checkpoints/2/state.pt"]


def test_a_folder_is_one_checkpoint(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makepyfile(
        """
def test_it(mlrun):
    folder = mlrun.tmp_path / "state"
    (folder / "optimizer").mkdir(parents=True)
    for step in (10, 20):
        (folder / "model.bin").write_text(f"model {step}")
        (folder / "optimizer" / "adam.bin").write_text("unchanged")
        assert mlrun.log_checkpoint(step, folder) is False
"""
    )

    pytester.runpytest("--mlrun").assert_outcomes(passed=1)

    (run,) = stored_runs()
    assert checkpoints(run, pytester) == {
        "checkpoints/20/model.bin": "model 20",
        "checkpoints/20/optimizer/adam.bin": "unchanged",
    }


def test_a_step_that_is_logged_again_replaces_itself(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makepyfile(
        """
def test_it(mlrun):
    path = mlrun.tmp_path / "state.pt"
    for text in ("first", "second", "second"):
        path.write_text(text)
        mlrun.log_checkpoint(7, path)
"""
    )

    pytester.runpytest("--mlrun").assert_outcomes(passed=1)

    (run,) = stored_runs()
    assert checkpoints(run, pytester) == {"checkpoints/7/state.pt": "second"}


def test_mlrun_toml_says_which_value_is_better(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makefile(".toml", mlrun='[metrics.val_loss]\ngoal = "max"\n')
    pytester.makepyfile(
        TRAINING
        + """
def test_it(mlrun):
    train(mlrun, [3.0, 1.0], keep_last=False)
"""
    )

    pytester.runpytest("--mlrun").assert_outcomes(passed=1)

    (run,) = stored_runs()
    assert list(checkpoints(run, pytester)) == ["checkpoints/0/state.pt"]


@pytest.mark.parametrize(
    ("call", "error", "headline"),
    [
        ('log_checkpoint(1, "a.pt", metric="auc")', "MetricError", "metric 'auc' was never logged; this run has: x"),
        ('log_checkpoint(1, "missing.pt")', "ArtifactError", "checkpoint 'missing.pt': no such file"),
        ('log_checkpoint("a.pt", 1)', "ArtifactError", "log_checkpoint takes the step first, found 'a.pt' (str)"),
        ("log_checkpoint(1, None)", "ArtifactError", "log_checkpoint takes the path of a file or folder, found None"),
        (
            'log_checkpoint(1, "a.pt", metric="x")',
            "ArtifactError",
            "the best checkpoint is not known: is more or less of 'x' better?",
        ),
    ],
)
def test_what_cannot_be_meant_fails_in_one_sentence(
    pytester: pytest.Pytester, call: str, error: str, headline: str
) -> None:
    pytester.makepyfile(
        f"""
from pathlib import Path

def test_it(mlrun):
    Path("a.pt").write_text("state")
    mlrun.log_metric("x", 1.0)
    mlrun.{call}
"""
    )

    result = pytester.runpytest("--mlrun")

    result.assert_outcomes(failed=1)
    assert any(line.startswith(f"E       pytest_mlrun.{error}: {headline}") for line in result.outlines)


def test_a_linked_artifact_takes_no_second_copy(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makepyfile(
        """
from pathlib import Path

def test_it(mlrun):
    Path("large.bin").write_bytes(b"x" * 1000)
    mlrun.log_artifact("large.bin", link=True)
"""
    )

    pytester.runpytest("--mlrun").assert_outcomes(passed=1)

    (run,) = stored_runs()
    digest = next(artifact.digest for artifact in run.artifacts if artifact.name == "large.bin")
    stored = Store.open(pytester.path / ".pytest_mlrun").objects.path(digest)
    assert stored.stat().st_ino == (pytester.path / "large.bin").stat().st_ino
