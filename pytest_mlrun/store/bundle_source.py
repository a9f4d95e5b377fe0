"""Offer the runs of a bundle to a merge."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pytest_mlrun.records.annotation import Annotation
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.store.bundle import Bundle
from pytest_mlrun.store.collected import Collected
from pytest_mlrun.store.merge_objects import list_kept_files
from pytest_mlrun.store.merge_offer import Group, Head, Lost, Rows
from pytest_mlrun.store.merge_source import digest_of_first
from pytest_mlrun.store.objects import Objects, Staged


@dataclass(slots=True)
class BundleSource:
    """A bundle that was verified when it was opened.

    Attributes:
        bundle: The bundle.
        root: Its file.
        lost: Nothing: a bundle is whole or refused.
        damaged: Likewise.
    """

    bundle: Bundle
    root: Path = field(init=False)
    lost: list[Lost] = field(default_factory=list)
    damaged: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.root = self.bundle.path

    def heads(self) -> Iterator[Head]:
        """Return the head of every run."""
        for row in self._rows():
            yield Head(row.run_id, row.digest, row.status, "")

    def find(self, run_id: str) -> RunRecord:
        """Return a run's record."""
        return next(row for row in self._rows() if row.run_id == run_id)

    def read(self, wanted: Collection[str]) -> Iterator[Group]:
        """Return the runs that are wanted."""
        rows = sorted((row for row in self._rows() if row.run_id in wanted), key=lambda row: row.run_id)
        if rows:
            yield Group(rows, lambda: self._series(rows))

    def first_points(self, record: RunRecord) -> Callable[[str, int], str]:
        """Return the function that gives the digest of the first points of a series."""
        return digest_of_first({name: self.bundle.series(name, record) for name in record.series})

    def digests(self) -> set[str]:
        """Return the digests of the runs' objects."""
        return {artifact.digest for row in self._rows() for artifact in row.artifacts}

    def stage(self, digest: str, objects: Objects) -> Staged | None:
        """Write an object aside, or None if it was left out."""
        for row in self._rows():
            for artifact in row.artifacts:
                if artifact.digest == digest and self.bundle.holds(artifact):
                    return objects.stage_bytes(self.bundle.read_artifact(artifact.name, row))
        return None

    def annotations(self) -> Mapping[str, Annotation]:
        """Return what was said about the run later, by id."""
        return {event.annotation_id: event for event in self.bundle.annotations}

    def left_out(self) -> set[str]:
        """Return the digests of objects that were left out, the files of kept snapshots among them."""
        artifacts = [(row, artifact) for row in self._rows() for artifact in row.artifacts]
        files = [
            digest
            for row, artifact in artifacts
            if artifact.role == "snapshot" and self.bundle.holds(artifact)
            for digest in list_kept_files(self.bundle.read_artifact(artifact.name, row))
        ]
        return {artifact.digest for _, artifact in artifacts if not self.bundle.holds(artifact)} | set(files)

    def collected(self) -> Collected:
        """Return nothing: a bundle does not say why something was left out."""
        return Collected()

    def _rows(self) -> tuple[RunRecord, ...]:
        return (self.bundle.row, *self.bundle.companions)

    def _series(self, rows: Sequence[RunRecord]) -> Rows:
        return ((row.run_id, self.bundle.series(name, row)) for row in rows for name in sorted(row.series))
