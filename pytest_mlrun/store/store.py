"""Open the run store: the one door to writing, recovering, reading and verifying runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_mlrun.errors import StoreError
from pytest_mlrun.records.annotation import Annotation
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.store.files import Steps
from pytest_mlrun.store.layout import open_folder

if TYPE_CHECKING:
    from pytest_mlrun.store.bundle import Bundle
    from pytest_mlrun.store.compaction import Compaction
    from pytest_mlrun.store.merge import Merged
    from pytest_mlrun.store.objects import Objects
    from pytest_mlrun.store.quarantine import Quarantined
    from pytest_mlrun.store.reader import Reader
    from pytest_mlrun.store.writer import LogWriter


class Store:
    """A folder of runs.

    Args:
        path: The folder.
        store_id: Its id, as ``mlrun.json`` says.
        steps: Named instants; tests end the process at one of them.
    """

    def __init__(self, path: Path, store_id: str, *, steps: Steps | None = None) -> None:
        self.path = path
        self.store_id = store_id
        self._steps = steps or Steps()

    @classmethod
    def open(cls, path: Path, *, create: bool = False, steps: Steps | None = None) -> Store:
        """Open a store; any number of processes may create it at once.

        Args:
            path: The folder.
            create: Whether a missing store is created.
            steps: Named instants.

        Returns:
            The store.

        Raises:
            StoreError: There is no store, or the path is not a folder.
            StoreWriteError: The store cannot be created.
            StoreFormatError: The store is of a newer format.
            StoreDamagedError: ``mlrun.json`` cannot be read.
        """
        steps = steps or Steps()
        return cls(path, open_folder(path, create=create, steps=steps), steps=steps)

    @cached_property
    def objects(self) -> Objects:
        """The content-addressed files: artifacts, kept snapshots."""
        from pytest_mlrun.store.objects import Objects

        return Objects(self.path, steps=self._steps)

    def writer(self, *, session_id: str) -> LogWriter:
        """Open this process's log.

        Args:
            session_id: Session that the process belongs to.

        Returns:
            The writer; one per process.

        Raises:
            StoreWriteError: The store cannot be written.
        """
        from pytest_mlrun.store.writer import LogWriter

        return LogWriter(self.path, session_id=session_id, steps=self._steps)

    def recover(self, *, other_boots: bool = False) -> tuple[RunRecord, ...]:
        """Seal the logs of processes that are gone.

        Args:
            other_boots: Whether to seal logs of other boots and machines too: only a person can know those to be gone.

        Returns:
            The runs that were sealed: finished ones, and those that are now ``orphaned``.

        Raises:
            StoreWriteError: The store cannot be written.
        """
        from pytest_mlrun.store.recovery import recover_logs

        return recover_logs(self.path, other_boots=other_boots, steps=self._steps)

    def compact(self, *, brief: bool = False, tell: Callable[[str], None] | None = None) -> Compaction | None:
        """Rewrite small segments as large ones; readers and writers go on meanwhile.

        Args:
            brief: Whether to do only what is due and takes about a second.
            tell: Told what is being done.

        Returns:
            What was done; None if another process is at it.

        Raises:
            StoreWriteError: The store cannot be written; no run is lost, and none is there twice.
        """
        from pytest_mlrun.store.compaction import compact

        return compact(self.path, brief=brief, steps=self._steps, tell=tell)

    def quarantine(self) -> tuple[Quarantined, ...]:
        """Put damaged segments and series files aside, and leave in their place what is provably intact of them.

        Returns:
            What was put aside, with the runs that are lost.

        Raises:
            StoreWriteError: The store cannot be written.
            StoreError: A compaction was under way for a minute.
        """
        from pytest_mlrun.store.quarantine import quarantine

        return quarantine(self.path, steps=self._steps)

    def annotate(self, run_id: str, *, tags: Mapping[str, str], note: str, who: str) -> Annotation:
        """Say something about a run; its row stays as it is.

        Args:
            run_id: The run.
            tags: Name to text; each counts until a later event sets it again.
            note: Why.
            who: Who says so.

        Returns:
            The event.

        Raises:
            StoreWriteError: The store cannot be written.
        """
        from pytest_mlrun.store.annotations import annotate

        return annotate(self.path, run_id, tags=tags, note=note, who=who, steps=self._steps)

    def merge(self, other: Store) -> Merged:
        """Take over every run of another store that has ended, with its points, objects and annotations.

        Ids, times and digests stay. Doing it again changes nothing, and the order of several stores does not matter. A
        whole run takes the place of its orphaned beginning. The other store is only read.

        Args:
            other: The other store.

        Returns:
            What was taken over, and what was not.

        Raises:
            StoreError: It is this store.
            StoreDamagedError: This store has a segment that cannot be read; nothing was written.
            StoreConflictError: Both have a different record of one run; nothing was written.
            StoreWriteError: This store cannot be written; merging again goes on where it stopped.
        """
        from pytest_mlrun.store.merge import merge_into
        from pytest_mlrun.store.merge_source import StoreSource

        if self.path.resolve() == other.path.resolve():
            raise StoreError(
                "a store cannot be merged with itself", where=str(self.path), next_step="name another store"
            )
        source = StoreSource(other.path)
        self.recover()
        return merge_into(self.path, source, steps=self._steps)

    def take_bundle(self, bundle: Bundle) -> Merged:
        """Take over the run of a bundle, as ``merge`` does that of a store.

        Artifacts that were left out of the bundle are remembered as absent: reading one says so.

        Args:
            bundle: What ``open_bundle`` returned.

        Returns:
            What was taken over.

        Raises:
            StoreConflictError: The store has a different record of the run; nothing was written.
            StoreWriteError: The store cannot be written.
        """
        from pytest_mlrun.store.bundle_source import BundleSource
        from pytest_mlrun.store.merge import merge_into

        self.recover()
        return merge_into(self.path, BundleSource(bundle), steps=self._steps)

    def reader(self) -> Reader:
        """Read the store; takes no lock, sees runs in progress too.

        Returns:
            A reader.
        """
        from pytest_mlrun.store.reader import Reader

        return Reader(self.path)
