"""Say what a merge asks of that which it takes runs from: a store, or a bundle."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from pytest_mlrun.records.annotation import Annotation
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.store.merge_objects import ObjectSource
from pytest_mlrun.store.points import Series

Rows = Iterator[tuple[str, Series]]


class Head(NamedTuple):
    """The least that a merge must know of a run."""

    run_id: str
    digest: str
    status: str
    place: str


class Lost(NamedTuple):
    """A run that cannot be taken over, and why."""

    run_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Group:
    """Whole runs, for one segment.

    Attributes:
        records: Sorted by run id.
        series: Reads their series, by run id and name.
    """

    records: list[RunRecord]
    series: Callable[[], Rows]


class Source(ObjectSource, Protocol):
    """What runs are taken from: another store, or a bundle."""

    root: Path
    """Where it lies."""

    lost: list[Lost]
    """Runs that ``read`` left out."""

    damaged: tuple[str, ...]
    """Files that are not as they were written."""

    def heads(self) -> Iterator[Head]:
        """Return the head of every run."""
        ...

    def read(self, wanted: Collection[str]) -> Iterator[Group]:
        """Return runs whose record and series hold their digests."""
        ...

    def find(self, run_id: str) -> RunRecord:
        """Return the record of a run that ``heads`` named."""
        ...

    def first_points(self, record: RunRecord) -> Callable[[str, int], str]:
        """Return the function that gives the digest of the first points of a series."""
        ...

    def annotations(self) -> Mapping[str, Annotation]:
        """Return what was said about runs later, by id."""
        ...
