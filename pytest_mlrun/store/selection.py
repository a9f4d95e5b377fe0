"""Choose runs from segments; what damage makes unreadable is left out, never an error."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
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
from pytest_mlrun.store.guard import Part
from pytest_mlrun.store.prune import prune
from pytest_mlrun.store.query import check_attribute, match_rows, metric_values
from pytest_mlrun.store.salvage import is_intact
from pytest_mlrun.store.segment import Segment, decode_runs

_BROKEN: Final = (ValueError, pa.ArrowException)
_DENSE: Final = 4
"""From one row in so many on, decoding the whole batch is faster than decoding rows one by one."""
_FEW: Final = 64
"""Up to so many rows of a batch it is faster to compute the digests of the runs than the checksums of all columns."""

Where = tuple[Comparison, ...]
Mask = Callable[[Segment, Part], Bools]

_Ranked = tuple[float, int, str, Part, int]


def select_runs(segments: Iterable[Segment], mask: Mask) -> list[RunRecord]:
    """Read the runs that a mask chooses.

    Args:
        segments: Where to look.
        mask: Says for every row of a batch whether it is chosen.

    Returns:
        The runs.

    Raises:
        SpoiltError: A segment is not what was written.
    """
    found: list[RunRecord] = []
    for segment in segments:
        for part in segment.parts:
            found += read_rows(part, np.flatnonzero(safe_mask(mask, segment, part)))
    return found


def matching(
    segments: Iterable[Segment], where: Where, overlay: Overlay | None = None
) -> Iterator[tuple[Segment, Part, Bools]]:
    """Find the rows that satisfy every comparison; segments that cannot hold any are not looked into.

    Args:
        segments: Where to look.
        where: The comparisons.
        overlay: Tags that were added to runs later.

    Yields:
        A segment, a batch of it, and one truth value a row.

    Raises:
        QueryError: A comparison names an attribute that runs do not have.
        SpoiltError: A segment is not what was written.
    """
    for comparison in where:
        check_attribute(comparison)
    for segment in segments:
        left = prune(segment.facts, where)
        if left is None:
            continue
        for part in segment.parts:
            yield segment, part, safe_mask(_all_of(left, overlay), segment, part)


def _all_of(where: Where, overlay: Overlay | None) -> Mask:
    return lambda segment, part: match_all(segment, part, where, overlay)


def newest_runs(
    segments: Iterable[Segment], *, where: Where, limit: int | None, overlay: Overlay | None = None
) -> list[RunRecord]:
    """Read the runs that satisfy every comparison.

    Args:
        segments: Where to look.
        where: The comparisons.
        limit: Only so many, those that started last; None for all.
        overlay: Tags that were added to runs later.

    Returns:
        The runs, oldest first.

    Raises:
        QueryError: A comparison names an attribute that runs do not have.
        SpoiltError: A segment is not what was written.
    """
    places = [(part, np.flatnonzero(mask)) for _, part, mask in matching(segments, where, overlay)]
    if limit is not None and sum(len(rows) for _, rows in places) > limit:
        places = _newest(places, limit) if limit else []
    found = by_age([record for part, rows in places for record in read_rows(part, rows)])
    return found if limit is None else found[max(len(found) - limit, 0) :]


def count_runs(segments: Iterable[Segment], *, where: Where, overlay: Overlay | None = None) -> int:
    """Count the runs that satisfy every comparison; what the segments say of themselves is believed.

    Args:
        segments: Where to look.
        where: The comparisons.
        overlay: Tags that were added to runs later.

    Returns:
        Their number.

    Raises:
        QueryError: A comparison names an attribute that runs do not have.
        SpoiltError: A segment is not what was written.
    """
    for comparison in where:
        check_attribute(comparison)
    total = 0
    for segment in segments:
        left = prune(segment.facts, where)
        if left == ():
            total += segment.rows
        elif left is not None:
            total += sum(int(mask.sum()) for *_, mask in matching([segment], left, overlay))
    return total


def best_runs(
    segments: Iterable[Segment], *, by: str, goal: Goal, where: Where, limit: int, overlay: Overlay | None = None
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

    Raises:
        QueryError: A comparison names an attribute that runs do not have.
        SpoiltError: A segment is not what was written.
    """
    best: list[_Ranked] = []
    for segment, part, mask in matching(segments, where, overlay) if limit > 0 else ():
        with suppress(*_BROKEN):
            worst = best[-1][0] if len(best) == limit else np.inf
            best += _rank(segment, part, mask, by=by, goal=goal, limit=limit, worst=worst)
            best = sorted(best, key=lambda ranked: ranked[:3])[:limit]
    return [record for *_, part, row in best for record in read_rows(part, np.array([row]))]


def by_age(records: list[RunRecord]) -> list[RunRecord]:
    """Sort runs, oldest first.

    Args:
        records: The runs.

    Returns:
        A new list.
    """
    return sorted(records, key=lambda record: (record.started_us, record.run_id))


def match_all(segment: Segment, part: Part, where: Where, overlay: Overlay | None = None) -> Bools:
    """Find the rows that satisfy every comparison.

    Args:
        segment: The segment.
        part: Rows of it.
        where: The comparisons.
        overlay: Tags that were added to runs later.

    Returns:
        One truth value a row.

    Raises:
        SpoiltError: The segment is not what was written.
    """
    mask = np.ones(part.num_rows, dtype=np.bool_)
    for comparison in where:
        found = match_rows(segment, part, comparison)
        mask &= found if overlay is None or comparison.kind != "tag" else overlay.correct(found, part, comparison)
        if not mask.any():
            break
    return mask


def safe_mask(mask: Mask, segment: Segment, part: Part) -> Bools:
    """Apply a mask; where damage stops it, choose nothing.

    Args:
        mask: Says for every row of a batch whether it is chosen.
        segment: The segment.
        part: Rows of it.

    Returns:
        One truth value a row.

    Raises:
        QueryError: The question, not the segment, is wrong.
        SpoiltError: The segment is not what was written.
    """
    try:
        return mask(segment, part)
    except QueryError:
        raise
    except _BROKEN:
        return np.zeros(part.num_rows, dtype=np.bool_)


def read_rows(part: Part, rows: npt.NDArray[np.intp]) -> list[RunRecord]:
    """Read runs, each as it was recorded: by the digest of the run or by the checksums of all columns.

    Args:
        part: A batch.
        rows: Its rows that are wanted.

    Returns:
        The runs; none of a batch that cannot be decoded.

    Raises:
        SpoiltError: The segment is not what was written.
    """
    if part.guarded and len(rows) <= _FEW:
        try:
            records = _decode_rows(part.batch, rows)
        except _BROKEN:
            records = []
        if len(records) == len(rows) and all(map(is_intact, records)):
            return records
    if len(rows):
        part.compare_all()
    with suppress(*_BROKEN):
        return _decode_rows(part.batch, rows)
    return []


def _newest(places: list[tuple[Part, npt.NDArray[np.intp]]], limit: int) -> list[tuple[Part, npt.NDArray[np.intp]]]:
    ages = [number_values(part.column("started_us"))[rows] for part, rows in places]
    whole = np.concatenate(ages)
    first = np.partition(whole, len(whole) - limit)[len(whole) - limit]
    return [(part, rows[age >= first]) for (part, rows), age in zip(places, ages, strict=True)]


def _rank(segment: Segment, part: Part, mask: Bools, *, by: str, goal: Goal, limit: int, worst: float) -> list[_Ranked]:
    if not mask.any():
        return []  # reading the metric of a segment without typed columns is dear
    values, _ = metric_values(segment, part, by)
    keys = np.where(mask, -values if goal == "max" else values, np.nan)
    rows = _lowest(keys, limit, worst)
    if not rows:
        return []
    ages, ids = number_values(part.column("started_us")), part.column("run_id")
    return [(float(keys[row]), int(ages[row]), ids[row].as_py(), part, row) for row in rows]


def _lowest(keys: npt.NDArray[np.float64], limit: int, worst: float) -> list[int]:
    rows = np.flatnonzero(keys <= worst)
    if len(rows) > limit:
        last = np.partition(keys[rows], limit - 1)[limit - 1]
        rows = rows[keys[rows] <= last]
    return [int(row) for row in rows]


def _decode_rows(batch: pa.RecordBatch, rows: npt.NDArray[np.intp]) -> list[RunRecord]:
    if len(rows) * _DENSE >= batch.num_rows:
        records = decode_runs(batch)
        return [records[row] for row in rows]
    return [decode_runs(batch.slice(int(row), 1))[0] for row in rows]
