"""Log with TensorBoard's own EventFileWriter."""
# mypy: disable-error-code="import-not-found, import-untyped"

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks.peers import Peer, Point


def log_points(folder: Path, points: Iterable[Point]) -> None:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    writer = EventFileWriter(str(folder))
    for step, value in points:
        summary = Summary(value=[Summary.Value(tag="loss", simple_value=value)])
        writer.add_event(Event(wall_time=time.time(), step=step, summary=summary))
    writer.close()


def read_points(folder: Path) -> Iterator[Point]:
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

    for path in sorted(folder.glob("events.out.tfevents.*")):
        for event in LegacyEventFileLoader(str(path)).Load():
            for value in event.summary.value:
                yield event.step, value.simple_value


PEER = Peer(
    title="TensorBoard EventFileWriter",
    distributions=("tensorboard",),
    most_points=100_000,
    log_points=log_points,
    read_points=read_points,
    note="32-bit values; needs no TensorFlow",
)
