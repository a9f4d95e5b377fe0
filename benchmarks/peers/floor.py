"""Append to a list: what any logger written in Python costs at least. Keeps nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks.peers import Peer, Point


def log_points(folder: Path, points: Iterable[Point]) -> None:  # noqa: ARG001 - nothing is written
    run: list[tuple[str, float, int]] = []
    for step, value in points:
        run.append(("loss", value, step))


def read_points(folder: Path) -> Iterator[Point]:  # noqa: ARG001
    yield from ()


PEER = Peer(
    title="floor: list.append",
    distributions=(),
    most_points=1_000_000,
    log_points=log_points,
    read_points=read_points,
    note="memory only, nothing is kept",
)
