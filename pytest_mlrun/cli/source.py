"""Find the run store that a verb reads, and open it."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pytest_mlrun.cli.console import Console
from pytest_mlrun.errors import StoreError, StoreWriteError
from pytest_mlrun.records.annotation import Annotation
from pytest_mlrun.records.names import STORE_FOLDER
from pytest_mlrun.records.project import Goal
from pytest_mlrun.records.query import Census, Comparison
from pytest_mlrun.records.retention import Tombstone
from pytest_mlrun.records.run import RunRecord

if TYPE_CHECKING:
    from pytest_mlrun.store.reader import Reader

DAMAGED = 3


class Points(Protocol):
    """The points of a series, in logged order."""

    @property
    def steps(self) -> Iterable[int]:
        """Steps."""
        ...

    @property
    def values(self) -> Iterable[float]:
        """Values."""
        ...


class RunSource(Protocol):
    """What the verbs ask of a store's reader."""

    def runs(
        self, *, experiment: str | None = None, where: tuple[Comparison, ...] = (), limit: int | None = None
    ) -> list[RunRecord]:
        """Return the runs that satisfy the constraint, or the newest so many of them, oldest first."""
        ...

    def count(self, *, experiment: str | None = None, where: tuple[Comparison, ...] = ()) -> int:
        """Return how many runs satisfy the constraint."""
        ...

    def experiments(self) -> tuple[str, ...]:
        """Return the names of the experiments."""
        ...

    def metrics(self, experiment: str | None = None) -> tuple[str, ...]:
        """Return the names of the metrics that the runs of an experiment logged."""
        ...

    def census(self, experiment: str | None, *, by: str, where: tuple[Comparison, ...] = ()) -> Census:
        """Return how many runs take part in a ranking, and why others do not."""
        ...

    def find(self, ref: str) -> RunRecord:
        """Return the run that answers to an id or a name."""
        ...

    def find_all(self, ref: str) -> list[RunRecord]:
        """Return the runs that answer to an id or a name, oldest first."""
        ...

    def annotations(self, run_id: str) -> tuple[Annotation, ...]:
        """Return what was said about a run after it ended, oldest first."""
        ...

    def collected(self, run: RunRecord) -> Mapping[str, Tombstone]:
        """Return the artifacts of a run that were collected, by name."""
        ...

    def series(self, run_id: str, name: str) -> Points:
        """Return the points of one metric of one run."""
        ...

    def read_artifact(self, run: RunRecord, name: str) -> bytes:
        """Return the bytes of an artifact, compared with their digest."""
        ...

    def top(
        self, experiment: str | None, *, by: str, goal: Goal, where: tuple[Comparison, ...] = (), limit: int = 20
    ) -> list[RunRecord]:
        """Return the best finished runs, best first."""
        ...

    def damaged(self) -> Sequence[str]:
        """Return the files that could not be read."""
        ...


def find_store(args: argparse.Namespace, console: Console) -> Path:
    """Return the store's folder: as given, as the environment says, or the nearest one.

    Args:
        args: The command line.
        console: Surroundings.

    Raises:
        StoreError: If there is none.
    """
    given = args.store or console.environ.get("PYTEST_MLRUN_STORE")
    if given:
        _suggest_store(console.folder / given)
        return console.folder / given
    for folder in (console.folder, *console.folder.parents):
        if (folder / STORE_FOLDER).is_dir():
            return folder / STORE_FOLDER
    raise StoreError(
        f"no run store found: no {STORE_FOLDER} here or in a folder above",
        where=str(console.folder),
        next_step="record a first run: pytest --mlrun, or name a store: --store PATH",
    )


def _suggest_store(path: Path) -> None:
    """Refuse a path where nothing is, if it reads like the name of a store beside it.

    Raises:
        StoreError: Naming that store.
    """
    from pytest_mlrun.rules.suggest import did_you_mean

    if path.exists() or not path.parent.is_dir():
        return
    stores = {store.parent.name for store in path.parent.glob("*/mlrun.json")}
    hint = did_you_mean(path.name, sorted(stores))
    if hint:
        raise StoreError(
            f"there is no run store in {path.name}{hint}", where=str(path), next_step="correct the path: --store PATH"
        )


def open_source(args: argparse.Namespace, console: Console) -> RunSource:
    """Open the store for reading, after sealing what dead processes left in it.

    Args:
        args: The command line.
        console: Surroundings.

    Raises:
        StoreError: If there is none, or it cannot be read.
    """
    return open_reader(args, console)


def open_reader(args: argparse.Namespace, console: Console) -> Reader:
    """Open the store as ``open_source`` does, for a verb that reads its tables.

    Args:
        args: The command line.
        console: Surroundings.

    Raises:
        StoreError: If there is none, or it cannot be read.
    """
    from pytest_mlrun.store.store import Store

    store = Store.open(find_store(args, console))
    if os.access(store.path, os.W_OK):
        try:
            orphaned = [run for run in store.recover() if run.status == "orphaned"]
        except StoreWriteError:  # reading goes on without: the runs are shown as running
            orphaned = []
        if orphaned:
            runs = "1 run" if len(orphaned) == 1 else f"{len(orphaned)} runs"
            console.note(f"recovered {runs} of processes that died, as orphaned")
    return store.reader()


def note_doubtful(shown: Iterable[RunRecord], console: Console) -> None:
    """Say what to do about runs of which nobody but a person can know whether they still run.

    Args:
        shown: The runs that were shown.
        console: Where to.
    """
    doubtful = sum(run.status == "running?" for run in shown)
    if doubtful:
        runs = "1 run is" if doubtful == 1 else f"{doubtful} runs are"
        console.note(f"{runs} of another boot or machine (running?). If over: pytest-mlrun verify --recover")


def warn_of_damage(source: RunSource | Reader, console: Console) -> int:
    """Say which files could not be read: runs, or tags of runs, are missing in what was shown before.

    Args:
        source: The store.
        console: Surroundings.

    Returns:
        The exit code: 3 if there were any, else 0.
    """
    damaged = source.damaged()
    if not damaged:
        return 0
    more = f" and {len(damaged) - 1} more" if len(damaged) > 1 else ""
    console.note(f"warning: not everything is shown: {damaged[0]}{more} is damaged. See: pytest-mlrun verify")
    return DAMAGED
