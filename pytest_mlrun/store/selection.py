"""Choose runs from segments; what damage makes unreadable is left out, never an error."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pytest_mlrun.errors import QueryError
from pytest_mlrun.records.project import Goal
from pytest_mlrun.records.query import Comparison
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.store.annotations import Overlay
from pytest_mlrun.store.columns import Bools, number_values
from pytest_mlrun.store.query import match_rows, metric_values
from pytest_mlrun.store.segment import Segment, decode_runs

_BROKEN: Final = (ValueError, pa.ArrowException)
_DENSE: Final = 4
"""From one row in so many on, decoding the whole batch is faster than decoding rows one by one."""

Mask = Callable[[Segment, pa.RecordBatch], Bools]

_Ranked = tuple[float, int, str, pa.RecordBatch, int]


def select_runs(segments: Iterable[Segment], mask: Mask) -> list[RunRecord]:
    """Read the runs that a mask chooses.

    Args:
        segments: Where to look.
        mask: Says for every row of a batch whether it is chosen.

    Returns:
        The runs.
    """
    found: list[RunRecord] = []
    for segment in segments:
        for batch in segment.batches:
            rows = np.flatnonzero(safe_mask(mask, segment, batch))
            with suppress(*_BROKEN):
                found += _decode_rows(batch, rows)
    return found


def best_runs(
    segments: Iterable[Segment],
    *,
    by: str,
    goal: Goal,
    where: tuple[Comparison, ...],
    limit: int,
    overlay: Overlay | None = None,
) -> list[RunRecord]:
    """Read the runs with the best values of a metric.

    Args:
        segments: Where to look.
        by: The metric.
        goal: Whether more or less of it is better.
        where: Comparisons that must all hold.
        limit: Most runs returned.
        overlay: Tags that were added to runs later.

    Returns:
        The runs, best first, the earlier of two equals first; none whose value is NaN.
    """
    best: list[_Ranked] = []
    for segment in segments:
        for batch in segment.batches:
            with suppress(*_BROKEN):
                mask = safe_mask(lambda s, b: match_all(s, b, where, overlay), segment, batch)
                best += _rank(segment, batch, mask, by=by, goal=goal, limit=limit)
    best.sort(key=lambda ranked: ranked[:3])
    found: list[RunRecord] = []
    for *_, batch, row in best[:limit]:
        with suppress(*_BROKEN):
            found += decode_runs(batch.slice(row, 1))
    return found


def by_age(records: list[RunRecord]) -> list[RunRecord]:
    """Sort runs, oldest first.

    Args:
        records: The runs.

    Returns:
        A new list.
    """
    return sorted(records, key=lambda record: (record.started_us, record.run_id))


def match_all(
    segment: Segment, batch: pa.RecordBatch, where: tuple[Comparison, ...], overlay: Overlay | None = None
) -> Bools:
    """Find the rows that satisfy every comparison.

    Args:
        segment: The segment.
        batch: One of its batches.
        where: The comparisons.
        overlay: Tags that were added to runs later.

    Returns:
        One truth value a row.

    Raises:
        QueryError: A comparison names an attribute that runs do not have.
    """
    mask = np.ones(batch.num_rows, dtype=np.bool_)
    for comparison in where:
        found = match_rows(segment, batch, comparison)
        mask &= found if overlay is None or comparison.kind != "tag" else overlay.correct(found, batch, comparison)
    return mask


def safe_mask(mask: Mask, segment: Segment, batch: pa.RecordBatch) -> Bools:
    """Apply a mask; where damage stops it, choose nothing.

    Args:
        mask: Says for every row of a batch whether it is chosen.
        segment: The segment.
        batch: One of its batches.

    Returns:
        One truth value a row.

    Raises:
        QueryError: The question, not the segment, is wrong.
    """
    try:
        return mask(segment, batch)
    except QueryError:
        raise
    except _BROKEN:
        return np.zeros(batch.num_rows, dtype=np.bool_)


def _rank(segment: Segment, batch: pa.RecordBatch, mask: Bools, *, by: str, goal: Goal, limit: int) -> list[_Ranked]:
    if not mask.any():
        return []  # reading the metric of a segment without typed columns is dear
    values = metric_values(segment, batch, by)
    keys = np.where(mask, -values if goal == "max" else values, np.nan)
    ages = number_values(batch.column("started_us"))
    rows = _lowest(keys, limit)
    return [(float(keys[row]), int(ages[row]), batch.column("run_id")[row].as_py(), batch, row) for row in rows]


def _lowest(keys: npt.NDArray[np.float64], limit: int) -> list[int]:
    rows = np.flatnonzero(~np.isnan(keys))
    if len(rows) > limit > 0:
        last = np.partition(keys[rows], limit - 1)[limit - 1]
        rows = rows[keys[rows] <= last]
    return [int(row) for row in rows] if limit > 0 else []


def _decode_rows(batch: pa.RecordBatch, rows: npt.NDArray[np.intp]) -> list[RunRecord]:
    if len(rows) * _DENSE >= batch.num_rows:
        records = decode_runs(batch)
        return [records[row] for row in rows]
    return [decode_runs(batch.slice(int(row), 1))[0] for row in rows]
