"""Keep points in a mapped file: what ``append`` returned from is in the page cache and survives SIGKILL.

A record is 32 bytes, little-endian: step int64, time int64 (microseconds), value float64, flags uint32, channel uint32.
"""

from __future__ import annotations

import itertools
import mmap
import os
import struct
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from pytest_mlrun.errors import MetricError, RunClosedError
from pytest_mlrun.store.digest import compute_series_digests
from pytest_mlrun.store.files import Steps, writing

WRITTEN: Final = 0x8000_0000
"""Set in every channel number. The channel is the record's last field and this bit its last byte: a record without it
was never completed, and is skipped."""

SUMMARY: Final = 1
"""Flag of a value without a step."""

RECORD: Final = np.dtype([("step", "<i8"), ("time_us", "<i8"), ("value", "<f8"), ("flags", "<u4"), ("channel", "<u4")])
RECORD_BYTES: Final = 32
_FIRST_BYTES: Final = 1 << 16
_MOST_BYTES: Final = 1 << 24

Append = Callable[[int, float, int | None], None]
Records = npt.NDArray[np.void]


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """The points of one metric of one run that have a step, in logged order."""

    name: str
    steps: npt.NDArray[np.int64]
    times_us: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]
    digest: str = ""

    def __len__(self) -> int:
        return len(self.steps)


class PointFile:
    """The mapped file of one writing process.

    Args:
        path: The file; created at the first point.
        steps: Named instants.

    Attributes:
        append: Write one point: channel, value, step. A step of None makes it a summary value. Safe from any thread.
    """

    append: Append

    def __init__(self, path: Path, *, steps: Steps) -> None:
        self._path = path
        self._steps = steps
        self._lock = threading.Lock()
        self._descriptor = -1
        self._size = 0
        self._closed_reason = ""
        self._next = itertools.count(0, RECORD_BYTES).__next__
        self.append, self._swap, self._buffer = _make_append(self._next, self._append_slowly)

    def mark(self) -> int:
        """Take a place in the file and leave it empty: points logged later lie behind it.

        Returns:
            The place, for ``window``.
        """
        return self._next()

    def window(self, first: int, end: int) -> Records:
        """Copy the records between two marks.

        Args:
            first: Mark that lies before them.
            end: Mark that lies behind them.

        Returns:
            The records, holes included.
        """
        with self._lock:
            buffer = self._buffer()
            first, end = first + RECORD_BYTES, min(end, len(buffer))
            return np.frombuffer(buffer[first:end] if first < end else b"", dtype=RECORD)

    def close(self, reason: str) -> None:
        """Refuse further points.

        Args:
            reason: Headline of the refusal.
        """
        with self._lock:
            self.abandon(reason)
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1

    def abandon(self, reason: str) -> None:
        """Forget the map, as a forked child must: the parent goes on writing to it.

        Args:
            reason: Headline of the refusal.
        """
        self._closed_reason = reason
        self._swap(bytearray())

    def _append_slowly(self, place: int, channel: int, value: float, step: int | None) -> None:
        if self._closed_reason:
            raise RunClosedError(
                self._closed_reason, next_step="log inside the test, in the process that started the run"
            )
        _check_point(value, step)
        with self._lock:
            while place + RECORD_BYTES > self._size:
                self._grow()
            flags = SUMMARY if step is None else 0
            _PACK(self._buffer(), place, step or 0, time.time_ns() // 1000, value, flags, channel)

    def _grow(self) -> None:
        size = self._size + min(max(self._size, _FIRST_BYTES), _MOST_BYTES)
        with writing(self._path):
            if self._descriptor < 0:
                self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            _allocate(self._descriptor, self._size, size - self._size)
            self._steps.reach("points.grown")
            # The old map stays valid for threads in the middle of an append: both show the same pages.
            self._swap(mmap.mmap(self._descriptor, size))
        self._size = size


_PACK: Final = struct.Struct("<qqdII").pack_into


def _make_append(
    take: Callable[[], int], append_slowly: Callable[[int, int, float, int | None], None]
) -> tuple[Append, Callable[[mmap.mmap | bytearray], None], Callable[[], mmap.mmap | bytearray]]:
    buffer: mmap.mmap | bytearray = bytearray()
    pack = _PACK
    now = time.time_ns
    refused = struct.error

    def append(channel: int, value: float, step: int | None) -> None:
        place = take()
        try:
            # Fields are written in order and the channel last: a kill in between leaves a record without WRITTEN.
            if step is None:
                pack(buffer, place, 0, now() // 1000, value, 1, channel)
            else:
                pack(buffer, place, step, now() // 1000, value, 0, channel)
        except refused:
            append_slowly(place, channel, value, step)

    def swap(new: mmap.mmap | bytearray) -> None:
        nonlocal buffer
        buffer = new

    return append, swap, lambda: buffer


def _check_point(value: float, step: int | None) -> None:
    try:
        struct.pack("<d", value)
    except struct.error:
        raise MetricError(
            f"a metric's value must be a number, found {type(value).__name__}", next_step="log float(value)"
        ) from None
    try:
        struct.pack("<q", step or 0)
    except struct.error:
        raise MetricError(
            f"a metric's step must be a 64-bit integer, found {step!r}", next_step="log int(step)"
        ) from None


def _allocate(descriptor: int, start: int, size: int) -> None:
    # A sparse file would end the process with SIGBUS when the disk is full; allocated blocks cannot.
    allocate = getattr(os, "posix_fallocate", None)
    if allocate is not None:
        allocate(descriptor, start, size)
        return
    zeros = bytes(size)
    while zeros:
        count = os.pwrite(descriptor, zeros, start)
        start += count
        zeros = zeros[count:]


def read_points(path: Path) -> Records:
    """Read the records of a points file, holes dropped, grouped by channel, in logged order.

    Args:
        path: The file; a missing one holds no points.

    Returns:
        The records.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        content = b""
    return sort_records(np.frombuffer(content, dtype=RECORD, count=len(content) // RECORD_BYTES))


def sort_records(records: Records) -> Records:
    """Drop holes and group by channel, keeping the logged order within each.

    Args:
        records: Records as they lie in the file.

    Returns:
        A new array.
    """
    channels = records["channel"]
    written = channels >= WRITTEN
    if not written.all():
        records = _take(records, np.flatnonzero(written))
        channels = records["channel"]
    if bool((channels[1:] >= channels[:-1]).all()):
        return records
    keys = channels - channels.min()
    if int(keys.max()) < 1 << 16:
        keys = keys.astype(np.uint16)  # numpy sorts 16 bits by radix: several times faster than 32
    return _take(records, np.argsort(keys, kind="stable"))


def _take(records: Records, rows: npt.NDArray[np.intp]) -> Records:
    # numpy copies a structured row field by field, but a row of plain words at once: ten times faster.
    words = records.view(np.uint64).reshape(-1, RECORD_BYTES // 8)
    return words[rows].reshape(-1).view(RECORD)


def as_bytes(records: Records) -> memoryview:
    """View records as the bytes that a log stores.

    Args:
        records: Contiguous records.

    Returns:
        The same memory.
    """
    return records.view(np.uint8).data


def select_channels(records: Records, channels: Iterable[int]) -> Records:
    """Keep the records of some channels.

    Args:
        records: Grouped by channel.
        channels: Channel numbers.

    Returns:
        The records of these channels, grouped by channel.
    """
    found = records["channel"]
    wanted = np.array(sorted(channels), dtype=np.uint32)
    starts = np.searchsorted(found, wanted, side="left")
    ends = np.searchsorted(found, wanted, side="right")
    if int((ends - starts).sum()) == len(records):
        return records
    return np.concatenate([records[:0], *(records[start:end] for start, end in zip(starts, ends, strict=True))])


def fold_points(records: Records, names: Mapping[int, str]) -> tuple[dict[str, float], dict[str, Series]]:
    """Make metrics and series of records.

    Args:
        records: Grouped by channel, in logged order within each, without holes.
        names: Channel number to metric name.

    Returns:
        The last value of each metric, and the series of those that were logged with a step.
    """
    if not len(records):
        return {}, {}
    channels = records["channel"]
    edges = np.flatnonzero(channels[1:] != channels[:-1]) + 1
    starts = np.concatenate(([0], edges))
    labels = [names.get(channel, f"channel {channel - WRITTEN}") for channel in channels[starts].tolist()]
    stepped = (records["flags"] & SUMMARY) == 0
    values = np.array(records["value"])
    values[np.isnan(values)] = np.nan  # NaN has many bit patterns; a digest needs one
    lasts = np.concatenate((edges, [len(records)])) - 1
    metrics = dict(zip(labels, values[lasts].tolist(), strict=True))
    counts = np.add.reduceat(stepped.astype(np.int64), starts)
    if stepped.all():
        steps, times_us = np.array(records["step"]), np.array(records["time_us"])
    else:
        steps, times_us, values = records["step"][stepped], records["time_us"][stepped], values[stepped]
    ends = np.cumsum(counts).tolist()
    digests = compute_series_digests(steps, times_us, values, ends)
    series = {}
    for label, start, end, digest in zip(labels, [0, *ends[:-1]], ends, digests, strict=True):
        if start < end:
            series[label] = Series(label, steps[start:end], times_us[start:end], values[start:end], digest)
    return metrics, series
