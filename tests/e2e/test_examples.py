"""Run the examples as their README says, from the root of the repository and as a folder copied elsewhere."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pytest_mlrun import RunRecord, open_store

ROOT = Path(__file__).parents[2]
UNWANTED = shutil.ignore_patterns("__pycache__", ".pytest_cache", ".pytest_mlrun")
EXPERIMENTS = {"breast-cancer": 12, "diabetes": 4, "digits": 2, "churn-2026q2": 12, "churn-2026q2-winner": 1}
EXAMPLES = {"classification_sweep": 12, "regression": 4, "neural_network": 2, "churn_lightgbm": 13}


def run_python(folder: Path, *arguments: str) -> tuple[int, str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**environment, "COLUMNS": "160"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository's root, as far as the examples see it, after ``pytest --mlrun examples``."""
    root = tmp_path_factory.mktemp("repository")
    shutil.copy(ROOT / "pyproject.toml", root)
    shutil.copytree(ROOT / "examples", root / "examples", ignore=UNWANTED)
    code, text = run_python(root, "-m", "pytest", "--mlrun", "examples", "-p", "no:cacheprovider")
    (root / "said.txt").write_text(text)
    assert code == 0, text
    return root


@pytest.fixture(scope="module")
def runs(repository: Path) -> list[RunRecord]:
    return open_store(repository / ".pytest_mlrun").runs()


def same_content(committed: bytes, file: Path) -> bool:
    # The bytes of a compressed archive and of a Parquet file depend on the library at hand; what they hold does not.
    if file.suffix == ".npz":
        old, new = np.load(io.BytesIO(committed)), np.load(file)
        return sorted(old) == sorted(new) and all(np.array_equal(old[name], new[name]) for name in old)
    if file.suffix == ".parquet":
        return bool(pq.read_table(pa.BufferReader(committed)).equals(pq.read_table(file)))
    return file.read_bytes() == committed


def of(runs: list[RunRecord], experiment: str) -> list[RunRecord]:
    return [run for run in runs if run.experiment == experiment]


@pytest.mark.slow
def test_all_examples_pass_and_every_run_is_recorded(repository: Path, runs: list[RunRecord]) -> None:
    said = (repository / "said.txt").read_text().splitlines()

    assert pytest.RunResult.parse_summary_nouns(said) == {"passed": 31}
    assert Counter(run.experiment for run in runs) == EXPERIMENTS
    assert {(run.status, run.outcome) for run in runs} == {("finished", "passed")}
    assert any(line.count(".pytest_mlrun") == 1 for line in said)


@pytest.mark.slow
def test_the_sweep_differs_in_its_params_only(runs: list[RunRecord]) -> None:
    sweep = of(runs, "breast-cancer")

    assert len({tuple(sorted(run.params.items())) for run in sweep}) == 12
    assert len({run.context["data.cells.digest"] for run in sweep}) == 1
    assert {json.loads(run.context["rand.seed"]) for run in sweep} == {42}
    assert "cells-lr0.05-leaves4-l20.0" in {run.name for run in sweep}


@pytest.mark.slow
def test_the_sweep_scores_as_boosted_trees_do_on_these_rows(runs: list[RunRecord]) -> None:
    for run in of(runs, "breast-cancer"):
        assert 0.98 < run.metrics["val_roc_auc"] < 1
        assert 0.05 < run.metrics["val_log_loss"] < 0.15
        assert {artifact.role for artifact in run.artifacts} >= {"predictions", "labels", "model"}


@pytest.mark.slow
def test_a_regressions_estimator_is_recorded_by_its_settings(runs: list[RunRecord]) -> None:
    regressions = of(runs, "diabetes")

    assert len({run.params["estimator"] for run in regressions}) == 4
    for run in regressions:
        assert 50 < run.metrics["val_rmse"] < 58
        assert 0.3 < run.metrics["val_r2"] < 0.45
        assert "residuals.png" in {artifact.name for artifact in run.artifacts}


@pytest.mark.slow
def test_the_network_keeps_a_point_for_every_epoch(repository: Path, runs: list[RunRecord]) -> None:
    reader = open_store(repository / ".pytest_mlrun")

    for run in of(runs, "digits"):
        for name in ("train_loss", "val_loss", "val_accuracy"):
            points = reader.series(run.run_id, name)
            assert list(points.steps) == list(range(15))
            assert points.values[-1] == run.metrics[name]
        assert run.metrics["val_accuracy"] > 0.9
        assert "curves.png" in {artifact.name for artifact in run.artifacts}


@pytest.mark.slow
def test_the_churn_sweep_is_named_by_its_settings_and_follows_every_iteration(
    repository: Path, runs: list[RunRecord]
) -> None:
    sweep = of(runs, "churn-2026q2")
    reader = open_store(repository / ".pytest_mlrun")

    assert "churn-lgbm-lr0.05-leaves32-cw3" in {run.name for run in sweep}
    assert len({run.name for run in sweep}) == 12
    for run in sweep:
        assert list(reader.series(run.run_id, "val_auc").steps) == list(range(80))
        assert reader.series(run.run_id, "val_auc").values[-1] == run.metrics["val_auc"]
        assert run.metrics.keys() >= {"val_precision", "val_recall", "train_s", "retained_revenue_eur"}
        assert {artifact.name for artifact in run.artifacts} >= {
            "confusion/val.json",
            "features.parquet",
            "model.lightgbm.txt",
        }


@pytest.mark.slow
def test_the_churn_winner_has_the_highest_auc_above_the_precision_floor(runs: list[RunRecord]) -> None:
    allowed = [run for run in of(runs, "churn-2026q2") if run.metrics["val_precision"] >= 0.6]
    [judged] = of(runs, "churn-2026q2-winner")

    best = max(allowed, key=lambda run: run.metrics["val_auc"])

    assert 0 < len(allowed) < 12
    assert best.run_id in judged.context["selection.winner"]
    assert judged.metrics["test_roc_auc"] > 0.75


@pytest.mark.parametrize(
    "example",
    [pytest.param(name, marks=() if name == "churn_lightgbm" else pytest.mark.slow) for name in EXAMPLES],
)
def test_a_snapshot_is_what_its_script_makes(example: str, tmp_path: Path) -> None:
    folder = shutil.copytree(ROOT / "examples" / example, tmp_path / example, ignore=UNWANTED)
    [file] = (folder / "data").iterdir()
    committed = file.read_bytes()
    file.unlink()

    code, text = run_python(folder, "make_snapshot.py")

    assert code == 0, text
    assert len(committed) < 150_000
    assert same_content(committed, file)


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_runs_wherever_its_folder_is_copied(example: str, tmp_path: Path) -> None:
    folder = shutil.copytree(ROOT / "examples" / example, tmp_path / example, ignore=UNWANTED)

    code, text = run_python(folder, "-m", "pytest", "--mlrun", "-p", "no:asyncio")

    assert code == 0, text
    assert len(open_store(folder / ".pytest_mlrun").runs()) == EXAMPLES[example]
