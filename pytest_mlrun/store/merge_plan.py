"""Compare two stores run by run before anything is written: what is missing, what supersedes, what contradicts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from pytest_mlrun.errors import StoreConflictError, StoreDamagedError
from pytest_mlrun.records.annotation import Annotation
from pytest_mlrun.store.merge_offer import Head, Lost, Source
from pytest_mlrun.store.merge_rule import ConflictError, choose
from pytest_mlrun.store.merge_source import StoreSource

_NAMED: Final = 10


@dataclass(slots=True)
class Plan:
    """What a merge will do.

    Attributes:
        missing: Ids of ended runs that are not here.
        superseding: Id of each run whose orphaned beginning is here, and the segment that holds it.
        known: Number of runs that are here already.
        under_way: Ids of runs that have not ended there, and are not here.
        busy: Ids of runs that have ended there, and not here.
        hidden: Runs that are damaged here.
        annotations: Events that are not here.
    """

    missing: set[str] = field(default_factory=set)
    superseding: dict[str, str] = field(default_factory=dict)
    known: int = 0
    under_way: tuple[str, ...] = ()
    busy: tuple[str, ...] = ()
    hidden: tuple[Lost, ...] = ()
    annotations: tuple[Annotation, ...] = ()


def make_plan(mine: StoreSource, theirs: Source) -> Plan:
    """Compare every run and annotation.

    Args:
        mine: The store that takes over.
        theirs: Where from.

    Returns:
        The plan.

    Raises:
        StoreDamagedError: What is missing here may be in a segment that cannot be read.
        StoreConflictError: A run or an annotation is different in both, and neither is the beginning of the other.
    """
    if mine.unreadable:
        raise StoreDamagedError(
            "nothing was taken over: a run that seems to be missing may be in a damaged file here",
            where=mine.unreadable,
            next_step="restore the file from a copy of the store; see what else is damaged: pytest-mlrun verify",
        )
    here = {head.run_id: head for head in mine.heads()}
    plan = Plan()
    under_way: list[str] = []
    busy: list[str] = []
    hidden: list[Lost] = []
    conflicts: list[str] = []
    for head in theirs.heads():
        known = here.get(head.run_id)
        if _is_under_way(head):
            under_way += [head.run_id] if known is None else []
        elif head.run_id in mine.hidden:
            # Where it lies it may be seen again one day: it would be there twice.
            hidden.append(Lost(head.run_id, "here it is not what was recorded; see: pytest-mlrun verify"))
        elif known is None:
            plan.missing.add(head.run_id)
        elif known.digest == head.digest:
            plan.known += 1
        elif _is_under_way(known):
            busy.append(head.run_id)
        else:
            conflicts += _compare(plan, mine, theirs, known)
    plan.under_way, plan.busy, plan.hidden = tuple(under_way), tuple(busy), tuple(hidden)
    conflicts += _compare_annotations(plan, mine, theirs)
    if conflicts:
        raise _refuse(conflicts, theirs)
    return plan


def _is_under_way(head: Head) -> bool:
    return head.status.startswith("running")


def _compare(plan: Plan, mine: StoreSource, theirs: Source, known: Head) -> Iterator[str]:
    here, there = mine.find(known.run_id), theirs.find(known.run_id)
    try:
        chosen = choose(here, there, first_of_mine=mine.first_points(here), first_of_theirs=theirs.first_points(there))
    except ConflictError as reason:
        yield f"run {here.short_id}  {here.name}: {reason}"
        return
    if chosen == "theirs":
        plan.superseding[known.run_id] = known.place
    else:
        plan.known += 1


def _compare_annotations(plan: Plan, mine: StoreSource, theirs: Source) -> Iterator[str]:
    here = mine.annotations()
    missing: list[Annotation] = []
    for annotation_id, event in sorted(theirs.annotations().items()):
        if annotation_id not in here:
            missing.append(event)
        elif here[annotation_id].digest != event.digest:
            yield f"annotation {annotation_id} of run {event.run_id[-8:]}: both have one of that id, and they differ"
    plan.annotations = tuple(missing)


def _refuse(conflicts: list[str], theirs: Source) -> StoreConflictError:
    more = len(conflicts) - _NAMED
    count = "1 run contradicts" if len(conflicts) == 1 else f"{len(conflicts)} runs contradict"
    return StoreConflictError(
        f"nothing was taken over: {count} what is here",
        details=(*conflicts[:_NAMED], *([f"and {more} more"] if more > 0 else [])),
        where=str(theirs.root),
        next_step="see which of the two was changed: pytest-mlrun verify; a run has one record for ever",
    )
