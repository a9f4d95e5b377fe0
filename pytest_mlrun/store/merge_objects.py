"""Copy the objects that runs name from one store to another, and remember those that are gone on purpose."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Protocol

from pytest_mlrun.errors import ArtifactError, MlrunError, StoreDamagedError
from pytest_mlrun.records.run import Artifact, RunRecord
from pytest_mlrun.store.absent import list_absent, mark_absent
from pytest_mlrun.store.collected import Collected, read_collected
from pytest_mlrun.store.files import Steps, publish
from pytest_mlrun.store.objects import Objects, Staged

_SNAPSHOT: Final = "snapshot"
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


class ObjectSource(Protocol):
    """What objects are taken from."""

    def digests(self) -> set[str]:
        """Return the digests of all objects that runs which have ended name."""
        ...

    def stage(self, digest: str, objects: Objects) -> Staged | None:
        """Copy an object aside, or None if it is not there or not what its digest says."""
        ...

    def left_out(self) -> set[str]:
        """Return the digests of objects that were left out when their run came."""
        ...

    def collected(self) -> Collected:
        """Return the objects that were collected there."""
        ...


class ObjectCopier:
    """Copies objects, each once.

    Args:
        root: Folder of the store that takes over.
        source: Where from.
        steps: Named instants.

    Attributes:
        count: Number of objects that were copied.
        size_bytes: Their size.
    """

    def __init__(self, root: Path, source: ObjectSource, *, steps: Steps) -> None:
        self.count = 0
        self.size_bytes = 0
        self._root = root
        self._source = source
        self._steps = steps
        self._objects = Objects(root, steps=steps)
        self._here = read_collected(root)
        self._there = source.collected()
        self._left_out = source.left_out() | list_absent(root)
        self._unread: set[str] = set()
        self._absent: set[str] = set()
        self._buried: set[str] = set()

    def restore(self) -> None:
        """Copy what is missing here, whoever names it, but what was collected here."""
        for digest in sorted(self._source.digests() - self._here.digests):
            self._fetch(digest)

    def find_lost(self, record: RunRecord) -> str:
        """Copy all that a run names.

        Args:
            record: A run that is about to be taken over.

        Returns:
            Name of an artifact that can be read nowhere, though nobody took it away; empty if there is none.
        """
        for artifact in record.artifacts:
            if not self._fetch(artifact.digest) or not all(map(self._fetch, self._kept_files(artifact))):
                return artifact.name
        return ""

    def remember(self) -> None:
        """Write down which of the objects that were asked for are gone on purpose, before a run names them."""
        mark_absent(self._root, self._absent, steps=self._steps)
        for name, content in sorted(self._there.files.items()):
            if name not in self._here.files and not self._buried.isdisjoint(self._there.named[name]):
                publish(
                    self._root / "tombstones" / name,
                    _writer(content),
                    temporary=self._root / "tmp" / name,
                    steps=self._steps,
                )
        self._here = read_collected(self._root)
        self._absent.clear()
        self._buried.clear()

    def _fetch(self, digest: str) -> bool:
        """Say whether an object is here now, or known to be gone on purpose."""
        if digest in self._objects:
            return True
        if digest in self._unread:
            return False
        # What a killed collection took aside here, and never decided about, is as good as what is there.
        staged = self._source.stage(digest, self._objects) or stage_from(self._root, digest, self._objects)
        if staged is not None:
            self._objects.publish(staged)
            self._steps.reach("merge.object")
            self.count += 1
            self.size_bytes += staged.size_bytes
        elif digest in self._left_out:
            self._absent.add(digest)
        elif digest in self._there.digests or digest in self._here.digests:
            self._buried.add(digest)
        else:
            self._unread.add(digest)
            return False
        return True

    def _kept_files(self, artifact: Artifact) -> Iterator[str]:
        if artifact.role == _SNAPSHOT and artifact.digest in self._objects:
            try:
                yield from list_kept_files(self._objects.read(artifact.digest))
            except MlrunError:
                return  # what cannot be read names nothing


def stage_from(root: Path, digest: str, objects: Objects) -> Staged | None:
    """Copy an object of a store aside.

    Args:
        root: Folder of the store that has it; a collection may be at work there.
        digest: ``sha256:<hex>``, or whatever a record says.
        objects: Where it is to go.

    Returns:
        The copy; None if there is no such object, or it is not what its digest says.

    Raises:
        StoreWriteError: The operating system refused.
    """
    there = Objects(root)
    try:
        path, taken = there.path(digest), there.path_aside(digest)
    except StoreDamagedError:
        return None
    # A collection takes an object aside before it decides, and may bring it back at any moment.
    for place in (path, taken, path):
        try:
            staged = objects.stage_file(place)
        except ArtifactError:
            continue
        if staged.digest == digest:
            return staged
        objects.discard(staged)
    return None


def list_kept_files(listing: bytes) -> list[str]:
    """Return the objects that a kept snapshot is made of.

    Args:
        listing: The bytes of an artifact of the role ``snapshot``, whoever wrote them.

    Returns:
        Their digests; none if it is no listing.
    """
    try:
        names = [str(entry[-1]) for entry in json.loads(listing)["files"]]
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        return []
    return [f"sha256:{name}" for name in names if _SHA256.fullmatch(name)]


def _writer(content: bytes) -> Callable[[Path], None]:
    def write(target: Path) -> None:
        target.write_bytes(content)

    return write
