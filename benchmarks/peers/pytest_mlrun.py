"""Log to pytest-mlrun, outside pytest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks.peers import Peer, Point


def log_points(folder: Path, points: Iterable[Point]) -> None:
    import pytest_mlrun

    with pytest_mlrun.record(experiment="benchmark", store=folder / "store") as run:
        for step, value in points:
            run.log_metric("loss", value, step=step)


def read_points(folder: Path) -> Iterator[Point]:
    import pytest_mlrun

    reader = pytest_mlrun.open_store(folder / "store")
    for run in reader.runs():
        series = reader.series(run.run_id, "loss")
        yield from zip(series.steps.tolist(), series.values.tolist(), strict=True)


PEER = Peer(
    title="pytest-mlrun",
    distributions=("pytest-mlrun", "pyarrow"),
    most_points=1_000_000,
    log_points=log_points,
    read_points=read_points,
    note="finish includes fdatasync and the sealed Arrow segment",
)
