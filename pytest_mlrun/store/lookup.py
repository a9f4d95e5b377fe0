"""Look runs up by id, by the end of an id, or by name."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

import numpy as np

from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.store.columns import check_bounds, equal_text, find_sorted
from pytest_mlrun.store.guard import Part
from pytest_mlrun.store.segment import Segment
from pytest_mlrun.store.selection import read_rows, select_runs

_SHORT_ID: Final = re.compile(r"[0-9a-f-]{8,36}")
_ID_CHARS: Final = 36


def find_runs(segments: Sequence[Segment], ref: str) -> list[RunRecord]:
    """Find the runs that answer to an id or a name.

    Args:
        segments: Where to look.
        ref: An id, the last 8 or more characters of one, or a name.

    Returns:
        The runs whose id it is or, where there is none, those of that name.

    Raises:
        SpoiltError: A segment is not what was written.
    """
    found: list[RunRecord] = []
    if _SHORT_ID.fullmatch(ref):
        if len(ref) == _ID_CHARS:
            found = [record for segment in segments for record in find_id(segment, ref)]
        found = found or select_runs(segments, lambda _, part: equal_text(part.column("run_id"), ref, suffix=True))
    return found or select_runs(segments, lambda _, part: equal_text(part.column("name"), ref))


def find_id(segment: Segment, run_id: str) -> list[RunRecord]:
    """Find a run in one segment, whose rows are sorted by run id.

    Args:
        segment: Where to look.
        run_id: The whole id.

    Returns:
        The run, or nothing.

    Raises:
        SpoiltError: The segment is not what was written.
    """
    parts = [part for part in segment.parts if part.num_rows]
    at = bisect_left(parts, run_id, key=_last_id)
    if at == len(parts):
        return []
    column = parts[at].column("run_id")
    check_bounds(column)
    row = find_sorted(column, run_id)
    return [] if row is None else read_rows(parts[at], np.array([row]))


def _last_id(part: Part) -> str:
    column = part.column("run_id")
    check_bounds(column)
    return str(column[-1].as_py())
