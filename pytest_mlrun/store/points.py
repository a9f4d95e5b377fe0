"""Read points, and fold them into metrics and series.

A record is 32 bytes, little-endian: step int64, time int64 (nanoseconds), value float64, flags uint32, channel uint32.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from pytest_mlrun.store.digest import compute_series_digests

WRITTEN: Final = 0x8000_0000
"""Set in every channel number. The channel is the record's last field and this bit its last byte: a record without it
was never completed, and is skipped."""

SUMMARY: Final = 1
"""Flag of a value without a step."""

RECORD: Final = np.dtype([("step", "<i8"), ("time_ns", "<i8"), ("value", "<f8"), ("flags", "<u4"), ("channel", "<u4")])
RECORD_BYTES: Final = 32

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


def fold_points(
    records: Records, names: Mapping[int, str], *, known: Mapping[str, str] | None = None
) -> tuple[dict[str, float], dict[str, Series]]:
    """Make metrics and series of records.

    Args:
        records: Grouped by channel, in logged order within each, without holes.
        names: Channel number to metric name.
        known: Digests that the caller computed of these very records, by metric name.

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
    if not stepped.any():
        return metrics, {}
    counts = np.add.reduceat(stepped.astype(np.int64), starts)
    if stepped.all():
        steps, times_us = np.array(records["step"]), records["time_ns"] // 1000
    else:
        steps, times_us, values = records["step"][stepped], records["time_ns"][stepped] // 1000, values[stepped]
    ends = np.cumsum(counts).tolist()
    digests = compute_series_digests(steps, times_us, values, ends) if known is None else map(known.get, labels)
    series = {}
    for label, start, end, digest in zip(labels, [0, *ends[:-1]], ends, digests, strict=True):
        if start < end:
            series[label] = Series(label, steps[start:end], times_us[start:end], values[start:end], digest or "")
    return metrics, series
