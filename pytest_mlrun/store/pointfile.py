"""Write points into a mapped file: what ``append`` returned from is in the page cache and survives SIGKILL."""

from __future__ import annotations

import errno
import itertools
import mmap
import os
import struct
import threading
import time
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, SupportsFloat

import numpy as np

from pytest_mlrun.errors import MetricError, RunClosedError
from pytest_mlrun.store.files import Steps, writing
from pytest_mlrun.store.points import RECORD, RECORD_BYTES, SUMMARY, Records

_FIRST_BYTES: Final = 1 << 16
_MOST_BYTES: Final = 1 << 24
_NO_ALLOCATION: Final = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})


class LogMetric(Protocol):
    """The function that logs the metrics of one run."""

    def __call__(self, name: str, value: SupportsFloat, step: int | None = None) -> None:
        """Log one value; without a step it is a summary value."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """The metrics of one run, as its logging function finds them.

    Attributes:
        channels: Metric name to channel; empty once the run has finished.
        values: Metric name to the last value, written by the function.
        open_channel: Gives the channel of a metric that has none.
        as_float: Makes a float of another number, or refuses it.
        note_nan: Called with name and step for every value that is not a number.
    """

    channels: Mapping[str, int]
    values: MutableMapping[str, float]
    open_channel: Callable[[str], int]
    as_float: Callable[[str, SupportsFloat], float]
    note_nan: Callable[[str, int | None], None]


class PointFile:
    """The mapped file of one writing process.

    Args:
        path: The file; created at the first point.
        steps: Named instants.

    Attributes:
        make_log_metric: Make the function that logs the metrics of one run. What it makes is safe from any thread.
    """

    make_log_metric: Callable[[Metrics], LogMetric]

    def __init__(self, path: Path, *, steps: Steps) -> None:
        self._path = path
        self._steps = steps
        self._lock = threading.Lock()
        self._descriptor = -1
        self._size = 0
        self._closed_reason = ""
        self._next = itertools.count(0, RECORD_BYTES).__next__
        self.make_log_metric, self._swap, self._buffer = _share_map(self._next, self._append_slowly)

    def append(self, channel: int, value: float, step: int | None) -> None:
        """Write one point.

        Args:
            channel: Channel of the metric.
            value: The value.
            step: The step; None makes it a summary value.

        Raises:
            MetricError: The value is not a number, or the step not a 64-bit integer.
            RunClosedError: The file is closed.
            StoreWriteError: The operating system refused.
        """
        self._append_slowly(self._next(), channel, value, step)

    def mark(self) -> int:
        """Take a place in the file and leave it empty: points logged later lie behind it.

        Returns:
            The place, for ``window``.
        """
        return self._next()

    def window(self, first: int, end: int) -> Records:
        """View the records between two marks.

        Args:
            first: Mark that lies before them.
            end: Mark that lies behind them.

        Returns:
            The records, holes included. A complete record never changes; a hole may be filled while one looks at it.
        """
        with self._lock:
            buffer = self._buffer()
            first, end = first + RECORD_BYTES, min(end, len(buffer))
            count = max(end - first, 0) // RECORD_BYTES
            return np.frombuffer(buffer, dtype=RECORD, count=count, offset=first) if count else np.empty(0, RECORD)

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
            _PACK(self._buffer(), place, step or 0, time.time_ns(), value, flags, channel)

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


def _share_map(
    take: Callable[[], int], append_slowly: Callable[[int, int, float, int | None], None]
) -> tuple[
    Callable[[Metrics], LogMetric], Callable[[mmap.mmap | bytearray], None], Callable[[], mmap.mmap | bytearray]
]:
    """Make the functions that share one map: make_log_metric, swap the map, return the map."""
    buffer: mmap.mmap | bytearray = bytearray()
    pack = _PACK
    now = time.time_ns
    refused = struct.error

    def make_log_metric(metrics: Metrics) -> LogMetric:
        channels, values = metrics.channels, metrics.values
        open_channel, as_float, note_nan = metrics.open_channel, metrics.as_float, metrics.note_nan

        def log_metric(name: str, value: SupportsFloat, step: int | None = None) -> None:
            # Everything in one function: calls and attributes are a fifth of what a point costs.
            try:
                channel = channels.get(name) or open_channel(name)
            except TypeError:  # a list, which no mapping can look up: whoever opens channels says so
                channel = open_channel(name)
            if type(value) is not float:
                value = as_float(name, value)
            place = take()
            try:
                # Fields are written in order and the channel last: a kill in between leaves a record without WRITTEN.
                if step is None:
                    pack(buffer, place, 0, now(), value, 1, channel)
                else:
                    pack(buffer, place, step, now(), value, 0, channel)
            except refused:
                append_slowly(place, channel, value, step)
            values[name] = value
            if value != value:  # noqa: PLR0124 - NaN is the only number that differs from itself
                note_nan(name, step)

        log_metric.__qualname__ = "Run.log_metric"  # what Python says of a missing argument
        return log_metric

    def swap(new: mmap.mmap | bytearray) -> None:
        nonlocal buffer
        buffer = new

    return make_log_metric, swap, lambda: buffer


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
        try:
            allocate(descriptor, start, size)
        except OSError as error:
            if error.errno not in _NO_ALLOCATION:
                raise
        else:
            return
    zeros = bytes(size)
    while zeros:
        count = os.pwrite(descriptor, zeros, start)
        start += count
        zeros = zeros[count:]
