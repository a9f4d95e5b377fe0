"""Log with tensorboardX's SummaryWriter."""
# mypy: disable-error-code="import-not-found, import-untyped"

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from benchmarks.peers import Peer, Point
from benchmarks.peers.tensorboard import read_points


def log_points(folder: Path, points: Iterable[Point]) -> None:
    from tensorboardX import SummaryWriter

    writer = SummaryWriter(str(folder), write_to_disk=True)
    for step, value in points:
        writer.add_scalar("loss", value, step)
    writer.close()


PEER = Peer(
    title="tensorboardX",
    distributions=("tensorboardX", "tensorboard"),
    most_points=100_000,
    log_points=log_points,
    read_points=read_points,
    note="32-bit values; read back with tensorboard",
)
