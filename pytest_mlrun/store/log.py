"""Write and read a log: an Arrow IPC stream of events, each checked by a CRC of its own."""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa

from pytest_mlrun.errors import StoreWriteError
from pytest_mlrun.records.identity import now_us
from pytest_mlrun.store.event import EVENT_SCHEMA, Event, EventEncoder, compute_checksum
from pytest_mlrun.store.files import Steps, write_error, writing
from pytest_mlrun.store.torn import is_cut_short

_MARK: Final = b"\xff\xff\xff\xff"
_MOST_HEADER_BYTES: Final = 4096
_BROKEN = (pa.ArrowException, OSError, EOFError, ValueError, OverflowError)


@dataclass(frozen=True, slots=True)
class LogContent:
    """What could be read of a log.

    Attributes:
        events: In written order.
        torn_bytes: Length of the incomplete end, as a kill in the middle of a write leaves it.
        damaged: Ranges of other unreadable bytes.
    """

    events: tuple[Event, ...]
    torn_bytes: int
    damaged: tuple[tuple[int, int], ...]

    @property
    def header(self) -> Mapping[str, object]:
        """Who wrote the log: host, boot, pid, session, version. Empty if that could not be read."""
        if self.events and self.events[0].kind == "log":
            return self.events[0].content
        return {}


class EventLog:
    """The log of one writing process.

    Args:
        path: The file; must not exist.
        steps: Named instants.

    Raises:
        StoreWriteError: The operating system refused.
    """

    def __init__(self, path: Path, *, steps: Steps) -> None:
        self._path = path
        self._steps = steps
        self._seq = 0
        self._size = 0
        self._broken = False
        self._encoder = EventEncoder()
        with writing(path):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
            self._descriptor = os.open(path, flags, 0o644)

    def write(
        self, kind: str, run_id: str, content: Mapping[str, object], *, points: bytes | memoryview = b""
    ) -> Event:
        """Write one event; it survives SIGKILL when this returns.

        Args:
            kind: See ``Event``.
            run_id: The run concerned.
            content: What JSON can hold.
            points: Point records.

        Returns:
            The event as a reader will see it.

        Raises:
            StoreWriteError: The operating system refused; the log is as it was before.
        """
        event = Event(self._seq, now_us(), kind, run_id, content, points)
        message = self._encoder.encode(event)
        if self._seq == 0:
            message = EVENT_SCHEMA.serialize().to_pybytes() + message
        self._steps.reach(f"event.{kind}.before-write")
        self._write(message)
        self._steps.reach(f"event.{kind}.after-write")
        self._seq += 1
        return event

    def sync(self) -> None:
        """Make everything written so far survive a power loss.

        Raises:
            StoreWriteError: The operating system refused.
        """
        with writing(self._path):
            getattr(os, "fdatasync", os.fsync)(self._descriptor)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _write(self, message: bytes) -> None:
        if self._broken:
            raise StoreWriteError(
                "the run store cannot be written: an earlier write was cut short",
                where=str(self._path),
                next_step="free some space, then run again; what was recorded before stays readable",
            )
        try:
            done = os.write(self._descriptor, message)
            while done < len(message):  # the disk is nearly full, or a signal arrived
                done += os.write(self._descriptor, message[done:])
        except OSError as error:
            self._cut()
            raise write_error(self._path, error) from error
        self._size += len(message)

    def _cut(self) -> None:
        # Half an event in the middle of the log would read as damage once the next one follows it.
        try:
            os.ftruncate(self._descriptor, self._size)
        except OSError:
            self._broken = True


def read_log(content: bytes | mmap.mmap) -> LogContent:
    """Read the events of a log: every event that is whole, and none that is not.

    Args:
        content: Bytes of the file.

    Returns:
        The events, and what could not be read.
    """
    buffer = pa.py_buffer(content)
    events: list[Event] = []
    damaged: list[tuple[int, int]] = []
    header_bytes = 0
    at = _skip_schema(buffer)
    while at < len(content):
        expected = events[-1].seq + 1 if events else 0
        found = _find_event(content, buffer, at, expected)
        if found is None:
            tail = content[at:]
            # With no event before it, it was the first: nothing was acknowledged yet.
            if not events or is_cut_short(tail, header_bytes=header_bytes):
                return LogContent(tuple(events), len(tail), tuple(damaged))
            damaged.append((at, len(content)))
            break
        start, event, end = found
        if start > at or event.seq > expected:
            damaged.append((at, start))
        events.append(event)
        header_bytes = int.from_bytes(content[start + 4 : start + 8], "little")
        at = end
    return LogContent(tuple(events), 0, tuple(damaged))


def _skip_schema(buffer: pa.Buffer) -> int:
    # The schema is a constant of the format: whatever else stands in its place is damage, and found as such.
    source = pa.BufferReader(buffer)
    try:
        return int(source.tell()) if pa.ipc.read_schema(source).equals(EVENT_SCHEMA) else 0
    except _BROKEN:
        return 0


def _find_event(content: bytes | mmap.mmap, buffer: pa.Buffer, at: int, expected: int) -> tuple[int, Event, int] | None:
    while True:
        found = _read_event(content, buffer, at)
        if found is not None and found[0].seq >= expected:
            return at, *found
        at = _next_mark(content, at + 8)
        if at < 0:
            return None


def _next_mark(content: bytes | mmap.mmap, at: int) -> int:
    # Messages are padded to 8 bytes, so the next one begins at a multiple of 8.
    while True:
        at = content.find(_MARK, at)
        if at < 0 or at % 8 == 0:
            return at
        at += 1


def _read_event(content: bytes | mmap.mmap, buffer: pa.Buffer, at: int) -> tuple[Event, int] | None:
    if content[at : at + 4] != _MARK or not 0 < int.from_bytes(content[at + 4 : at + 8], "little") < _MOST_HEADER_BYTES:
        return None
    source = pa.BufferReader(buffer.slice(at))
    try:
        batch = pa.ipc.read_record_batch(pa.ipc.read_message(source), EVENT_SCHEMA)
        batch.validate(full=True)
        if batch.num_rows != 1:
            return None
        event = _decode(batch)
    except _BROKEN:
        return None
    return (event, at + source.tell()) if event is not None else None


def _decode(batch: pa.RecordBatch) -> Event | None:
    seq, time_us, *cells, crc = (batch.column(at)[0] for at in range(batch.num_columns))
    kind, run_id, data, points = (memoryview(cell.as_buffer() or b"") for cell in cells)
    if compute_checksum(seq.as_py(), time_us.value, kind, run_id, data, points) != crc.as_py():
        return None
    return Event(seq.as_py(), time_us.value, str(kind, "utf-8"), str(run_id, "utf-8"), json.loads(bytes(data)), points)
