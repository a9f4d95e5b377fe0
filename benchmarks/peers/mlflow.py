"""Log to MLflow on SQLite, one call a point."""
# mypy: disable-error-code="import-not-found, import-untyped"

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks.peers import Peer, Point


def tracking_uri(folder: Path) -> str:
    return f"sqlite:///{folder / 'mlflow.db'}"


def log_points(folder: Path, points: Iterable[Point]) -> None:
    import mlflow

    mlflow.set_tracking_uri(tracking_uri(folder))
    mlflow.set_experiment("benchmark")
    with mlflow.start_run():
        for step, value in points:
            mlflow.log_metric("loss", value, step=step)


def read_points(folder: Path) -> Iterator[Point]:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri(folder))
    experiment = client.get_experiment_by_name("benchmark")
    for run in client.search_runs([experiment.experiment_id]):
        for metric in client.get_metric_history(run.info.run_id, "loss"):
            yield metric.step, metric.value


PEER = Peer(
    title="MLflow, SQLite",
    distributions=("mlflow",),
    most_points=1_000,
    log_points=log_points,
    read_points=read_points,
)
