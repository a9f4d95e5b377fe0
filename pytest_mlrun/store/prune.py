"""Decide by what a segment says of itself whether its rows need to be looked at."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Final

from pytest_mlrun.records.query import Comparison
from pytest_mlrun.store.segment import SegmentFacts

_KINDS: Final = ("metric", "param", "attribute", "tag")
"""Cheap first: numbers lie ready in typed columns, texts are compared for the rows that are left."""

_COMPARE: Final[Mapping[str, Callable[[int, float], bool]]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


def prune(facts: SegmentFacts, where: tuple[Comparison, ...]) -> tuple[Comparison, ...] | None:
    """Leave out the comparisons that hold for every run of a segment.

    Args:
        facts: What the segment says of itself.
        where: The comparisons.

    Returns:
        The comparisons that are left to make, in the order to make them; None if one of them holds for no run.
    """
    left: list[Comparison] = []
    for comparison in where:
        holds = _holds(facts, comparison)
        if holds is False:
            return None
        if holds is None:
            left.append(comparison)
    return tuple(sorted(left, key=lambda comparison: _KINDS.index(comparison.kind)))


def _holds(facts: SegmentFacts, comparison: Comparison) -> bool | None:
    """Whether a comparison holds for all runs or for none; None if that is not known."""
    if comparison.kind != "attribute":
        return None
    if comparison.field == "started_us":
        return _holds_in_time(facts, comparison)
    counts = {"status": facts.statuses, "experiment": facts.experiments}.get(comparison.field)
    if not counts or comparison.operator not in {"==", "!="} or not isinstance(comparison.value, str):
        return None
    if comparison.value not in counts:
        return comparison.operator == "!="
    return (comparison.operator == "==") if len(counts) == 1 else None


def _holds_in_time(facts: SegmentFacts, comparison: Comparison) -> bool | None:
    compare, wanted = _COMPARE.get(comparison.operator), comparison.value
    if compare is None or isinstance(wanted, str | bool):
        return None
    ends = {compare(facts.first_us, wanted), compare(facts.last_us, wanted)}
    return ends.pop() if len(ends) == 1 else None
