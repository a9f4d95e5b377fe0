"""Log to MLflow on SQLite through a buffer of 1000 points and ``log_batch``."""
# mypy: disable-error-code="import-not-found, import-untyped"

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from benchmarks.peers import Peer, Point
from benchmarks.peers.mlflow import read_points, tracking_uri

BUFFER = 1000  # the most metrics that log_batch takes


def log_points(folder: Path, points: Iterable[Point]) -> None:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

    client = MlflowClient(tracking_uri(folder))
    run_id = client.create_run(client.create_experiment("benchmark")).info.run_id
    buffer: list[Metric] = []
    for step, value in points:
        buffer.append(Metric("loss", value, int(time.time() * 1000), step))
        if len(buffer) == BUFFER:
            client.log_batch(run_id, buffer)
            buffer.clear()
    if buffer:
        client.log_batch(run_id, buffer)
    client.set_terminated(run_id)


PEER = Peer(
    title="MLflow, SQLite, batches of 1000",
    distributions=("mlflow",),
    most_points=20_000,
    log_points=log_points,
    read_points=read_points,
    note="the buffer is the user's: up to 999 points die with the process",
)
