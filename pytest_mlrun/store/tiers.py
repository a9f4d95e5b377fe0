"""Choose which segments are worth rewriting together: those of one size, so that a run is copied a few times ever."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

FACTOR: Final = 8
"""So many segments of a tier become one of the next, which holds segments so many times as large."""

MOST_BYTES: Final = 256 * 1024**2
"""A segment of this size is not rewritten, and none is made larger."""

_FIRST_TIER_BYTES: Final = 64 * 1024
_BRIEF_BYTES: Final = 64 * 1024**2
_BRIEF_COUNT: Final = 1024


@dataclass(frozen=True, slots=True)
class Sized:
    """A segment and what rewriting it costs.

    Attributes:
        id: Id of the segment.
        size_bytes: Its bytes, and those of its series.
    """

    id: str
    size_bytes: int


def choose_all(segments: Iterable[Sized]) -> list[tuple[str, ...]]:
    """Choose the groups that leave as few segments as can be.

    Args:
        segments: Those that may be rewritten.

    Returns:
        Groups of two or more, each to become one segment.
    """
    small = [segment for segment in segments if segment.size_bytes < MOST_BYTES]
    return _cut(small, most_bytes=MOST_BYTES, most_count=len(small), least=2)


def choose_brief(segments: Iterable[Sized]) -> list[tuple[str, ...]]:
    """Choose the groups that are due and take about a second: nobody asked for this work, and somebody waits for it.

    Args:
        segments: Those that may be rewritten.

    Returns:
        One group at most a tier.
    """
    tiers: dict[int, list[Sized]] = defaultdict(list)
    for segment in segments:
        if segment.size_bytes < MOST_BYTES:
            tiers[_tier(segment.size_bytes)].append(segment)
    chosen: list[tuple[str, ...]] = []
    left_bytes, left_count = _BRIEF_BYTES, _BRIEF_COUNT
    for tier in sorted(tiers):
        groups = _cut(tiers[tier], most_bytes=left_bytes, most_count=left_count, least=FACTOR)[:1]
        chosen += groups
        taken = {name for group in groups for name in group}
        left_bytes -= sum(segment.size_bytes for segment in tiers[tier] if segment.id in taken)
        left_count -= len(taken)
    return chosen


def _tier(size_bytes: int) -> int:
    tier, limit = 0, _FIRST_TIER_BYTES
    while size_bytes >= limit:
        tier, limit = tier + 1, limit * FACTOR
    return tier


def _cut(segments: Sequence[Sized], *, most_bytes: int, most_count: int, least: int) -> list[tuple[str, ...]]:
    groups: list[list[str]] = [[]]
    held_bytes = 0
    # By id, that is by age: the rows of neighbours need the least sorting.
    for segment in sorted(segments, key=lambda segment: segment.id):
        if groups[-1] and (held_bytes + segment.size_bytes > most_bytes or len(groups[-1]) >= most_count):
            groups.append([])
            held_bytes = 0
        groups[-1].append(segment.id)
        held_bytes += segment.size_bytes
    return [tuple(group) for group in groups if len(group) >= least]
