"""Offer the run of a bundle to a merge."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
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
        """Return the head of the run."""
        row = self.bundle.row
        yield Head(row.run_id, row.digest, row.status, "")

    def find(self, run_id: str) -> RunRecord:  # noqa: ARG002 - there is one
        """Return the run's record."""
        return self.bundle.row

    def read(self, wanted: Collection[str]) -> Iterator[Group]:
        """Return the run, if it is wanted."""
        if self.bundle.row.run_id in wanted:
            yield Group([self.bundle.row], self._series)

    def first_points(self, record: RunRecord) -> Callable[[str, int], str]:
        """Return the function that gives the digest of the first points of a series."""
        return digest_of_first({name: self.bundle.series(name) for name in record.series})

    def digests(self) -> set[str]:
        """Return the digests of the run's objects."""
        return {artifact.digest for artifact in self.bundle.row.artifacts}

    def stage(self, digest: str, objects: Objects) -> Staged | None:
        """Write an object aside, or None if it was left out."""
        held = set(self.bundle.artifacts)
        for artifact in self.bundle.row.artifacts:
            if artifact.digest == digest and artifact.name in held:
                return objects.stage_bytes(self.bundle.read_artifact(artifact.name))
        return None

    def annotations(self) -> Mapping[str, Annotation]:
        """Return what was said about the run later, by id."""
        return {event.annotation_id: event for event in self.bundle.annotations}

    def left_out(self) -> set[str]:
        """Return the digests of objects that were left out, the files of kept snapshots among them."""
        held = set(self.bundle.artifacts)
        files = [
            digest
            for artifact in self.bundle.row.artifacts
            if artifact.role == "snapshot" and artifact.name in held
            for digest in list_kept_files(self.bundle.read_artifact(artifact.name))
        ]
        return {artifact.digest for artifact in self.bundle.row.artifacts if artifact.name not in held} | set(files)

    def collected(self) -> Collected:
        """Return nothing: a bundle does not say why something was left out."""
        return Collected()

    def _series(self) -> Rows:
        row = self.bundle.row
        return ((row.run_id, self.bundle.series(name)) for name in sorted(row.series))
