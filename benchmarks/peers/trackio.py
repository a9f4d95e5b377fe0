"""Log to Trackio, local."""
# mypy: disable-error-code="import-not-found, import-untyped"

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks.peers import Peer, Point


def log_points(folder: Path, points: Iterable[Point]) -> None:
    os.environ["TRACKIO_DIR"] = str(folder)  # read when trackio is imported
    import trackio

    trackio.init(project="benchmark", name="run", embed=False, auto_log_gpu=False, auto_log_cpu=False)
    for step, value in points:
        trackio.log({"loss": value}, step=step)
    trackio.finish()


def read_points(folder: Path) -> Iterator[Point]:
    os.environ["TRACKIO_DIR"] = str(folder)
    from trackio.sqlite_storage import SQLiteStorage

    for run in SQLiteStorage.get_runs("benchmark"):
        for entry in SQLiteStorage.get_logs("benchmark", run):
            yield entry["step"], entry["loss"]


PEER = Peer(
    title="Trackio",
    distributions=("trackio",),
    most_points=100_000,
    log_points=log_points,
    read_points=read_points,
    note="a thread writes every half second",
)
