"""Decide which of two records of one run is the run, and which was only its beginning."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, Literal

from pytest_mlrun.records.run import RunRecord

Choice = Literal["same", "mine", "theirs"]
FirstPoints = Callable[[str, int], str]
"""Give the digest of the first points of a series: name, number of points, text as in ``RunRecord.series``."""

_START: Final = (
    "run_id",
    "session_id",
    "experiment",
    "name",
    "test",
    "case",
    "attempt",
    "parent_id",
    "started_us",
    "v",
)


class ConflictError(Exception):
    """Two records of one run contradict each other: at most one of them is true."""


def choose(mine: RunRecord, theirs: RunRecord, *, first_of_mine: FirstPoints, first_of_theirs: FirstPoints) -> Choice:
    """Choose between two sealed records of one run; the answer does not depend on whose is whose.

    Args:
        mine: One record.
        theirs: The other.
        first_of_mine: Gives the digest of the first points of a series of ``mine``.
        first_of_theirs: Likewise for ``theirs``.

    Returns:
        ``same`` for equal ones, else which one counts: the other is an orphaned beginning of it.

    Raises:
        ConflictError: Neither is the beginning of the other; the text says in what they differ.
    """
    if mine.digest == theirs.digest:
        return "same"
    objections: list[str] = []
    winners: list[tuple[int, str, Choice]] = []
    pairs: tuple[tuple[Choice, RunRecord, RunRecord, FirstPoints], ...] = (
        ("theirs", theirs, mine, first_of_theirs),
        ("mine", mine, theirs, first_of_mine),
    )
    for choice, whole, part, first in pairs:
        if part.status != "orphaned":
            continue
        objection = _object(part, whole, first)
        if objection:
            objections.append(objection)
        else:
            winners.append((whole.ended_us, whole.digest, choice))
    if not winners:
        raise ConflictError(min(objections, default="both have ended, with different records"))
    # Two orphans can each be a beginning of the other, found dead at different times: the later one counts.
    return max(winners)[2]


def _object(part: RunRecord, whole: RunRecord, first: FirstPoints) -> str:
    """Say why a record is no beginning of another; nothing if it is one."""
    changed = [field for field in _START if getattr(part, field) != getattr(whole, field)]
    if changed:
        return f"they began differently: {', '.join(changed)}"
    if not part.params.items() <= whole.params.items():
        return "a param of the orphaned one is not the other's"
    for layer in ("tags", "context", "metrics"):
        if not getattr(part, layer).keys() <= getattr(whole, layer).keys():
            return f"the orphaned one has {layer} that the other lacks"
    return _object_to_lists(part, whole) or _object_to_series(part, whole, first)


def _object_to_lists(part: RunRecord, whole: RunRecord) -> str:
    if not _is_subsequence(map(repr, part.artifacts), map(repr, whole.artifacts)):
        return "the orphaned one has artifacts that the other lacks"
    if list(map(repr, part.gates)) != list(map(repr, whole.gates[: len(part.gates)])):  # as text NaN equals NaN
        return "the orphaned one has gates that the other lacks"
    return ""


def _object_to_series(part: RunRecord, whole: RunRecord, first: FirstPoints) -> str:
    for name, digest in part.series.items():
        count = int(digest.partition(":")[0])
        if name not in whole.series or first(name, count) != digest:
            return f"series {name!r} of the orphaned one is no beginning of the other's"
    return ""


def _is_subsequence(part: Iterable[str], whole: Iterable[str]) -> bool:
    rest = iter(whole)
    return all(item in rest for item in part)
