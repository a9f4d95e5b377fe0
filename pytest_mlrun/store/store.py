"""Open the run store: the one door to writing, recovering, reading and verifying runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_mlrun.records.annotation import Annotation
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.store.files import Steps
from pytest_mlrun.store.layout import open_folder

if TYPE_CHECKING:
    from pytest_mlrun.store.compaction import Compaction
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

        return Objects(self.path)

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

    def reader(self) -> Reader:
        """Read the store; takes no lock, sees runs in progress too.

        Returns:
            A reader.
        """
        from pytest_mlrun.store.reader import Reader

        return Reader(self.path)
