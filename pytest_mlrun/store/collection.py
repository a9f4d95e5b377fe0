"""Delete the objects that nobody wants, while others go on writing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pytest_mlrun.errors import StoreDamagedError, StoreError
from pytest_mlrun.records.retention import RESTORED, Fate
from pytest_mlrun.store.files import Steps, remove
from pytest_mlrun.store.locks import try_lock
from pytest_mlrun.store.objects import Objects
from pytest_mlrun.store.roots import Decide, RootReader, Roots
from pytest_mlrun.store.tombstones import Graveyard, bury
from pytest_mlrun.store.trash import Trash

UNREFERENCED: Final = Fate("unreferenced", kept=False)
"""What no run names: a checkpoint that lost, or what a killed process left."""
ABANDONED: Final = Fate("abandoned", kept=False)
"""A file that a process was writing when it was killed."""

_DAY_US: Final = 86_400_000_000


@dataclass(slots=True)
class Tally:
    """What one rule decided about.

    Attributes:
        runs: Number of runs.
        objects: Number of files.
        size_bytes: Bytes of these files.
    """

    runs: int = 0
    objects: int = 0
    size_bytes: int = 0

    def add(self, size_bytes: int) -> None:
        """Count one more file."""
        self.objects += 1
        self.size_bytes += size_bytes


@dataclass(slots=True)
class Account:
    """What a collection decided: rule to tally, kept and not.

    Attributes:
        tallies: Fate to tally; those that stay first, each in the order of the rules' strength.
    """

    tallies: dict[Fate, Tally] = field(default_factory=dict)

    def of(self, fate: Fate) -> Tally:
        """Return the tally of a fate."""
        return self.tallies.setdefault(fate, Tally())

    def total(self, *, kept: bool) -> Tally:
        """Return the sum over the rules that keep, or over those that do not."""
        chosen = [tally for fate, tally in self.tallies.items() if fate.kept is kept]
        return Tally(
            sum(tally.runs for tally in chosen),
            sum(tally.objects for tally in chosen),
            sum(tally.size_bytes for tally in chosen),
        )


def collect(root: Path, decide: Decide, *, who: str, now_us: int, delete: bool, steps: Steps | None = None) -> Account:
    """Find the objects that no rule keeps, and delete them if asked.

    No lock keeps writers away. Whoever stores an object writes the reference first and looks for the object then; this
    takes objects aside first and reads the references then. So whoever counted on an object that was there has a
    reference that is seen here, and whoever looked later wrote the object anew.

    Args:
        root: The store's folder.
        decide: Says what becomes of the artifacts of each run.
        who: Who collects, for the tombstone.
        now_us: Microseconds since the epoch.
        delete: Whether to delete; otherwise nothing is written.
        steps: Named instants.

    Returns:
        What was decided.

    Raises:
        StoreDamagedError: Something cannot be read; nothing was deleted.
        StoreError: Another collection is at work, or something is not known; nothing was deleted.
        StoreWriteError: The operating system refused; the next collection goes on from there.
    """
    reader = RootReader(root, decide)
    if not delete:
        _refuse_damage(Graveyard(root))
        return _account(root, reader.read(), Trash(root, Objects(root), steps=Steps()), now_us=now_us)
    lock = try_lock(root / "gc.lock")
    if lock is None:
        raise StoreError(
            "another gc is at work on this store", where=str(root / "gc.lock"), next_step="run again when it has ended"
        )
    try:
        return _Collection(root, reader, who=who, now_us=now_us, steps=steps or Steps()).run()
    finally:
        lock.release()


class _Collection:
    """One collection, under the lock that keeps others away."""

    def __init__(self, root: Path, reader: RootReader, *, who: str, now_us: int, steps: Steps) -> None:
        self._root = root
        self._reader = reader
        self._who = who
        self._now_us = now_us
        self._steps = steps
        self._objects = Objects(root)
        self._trash = Trash(root, self._objects, steps=steps)

    def run(self) -> Account:
        """Take aside, look again, bring back or let go."""
        graveyard = Graveyard(self._root)
        _refuse_damage(graveyard)
        roots = self._reader.read()
        self._steps.reach("gc.roots-read")
        for digest in self._objects:
            if not _fate_of(digest, roots).kept:
                self._trash.take(digest)
        self._steps.reach("gc.all-taken")
        # What was written since the first look counted on objects that were still in their places.
        roots = self._reader.read()
        self._steps.reach("gc.roots-read-again")
        account = _account(self._root, roots, self._trash, now_us=self._now_us)
        aside = list(self._trash)
        wanted = [digest for digest in aside if _fate_of(digest, roots).kept]
        # A run may have begun and expired since this collection did: what it named is gone with a reason as well.
        time_us = max(self._now_us, roots.seen_us)
        self._bury(dict.fromkeys([digest for digest in wanted if graveyard.find(digest)], RESTORED), time_us=time_us)
        self._trash.bring_back(wanted)
        gone = {digest: _fate_of(digest, roots).rule for digest in aside if digest not in set(wanted)}
        self._bury(gone, time_us=time_us)
        for digest in gone:
            self._trash.let_go(digest)
        for path, _ in _find_abandoned(self._root, now_us=self._now_us):
            remove(path)
        self._steps.reach("gc.ended")
        return account

    def _bury(self, objects: Mapping[str, str], *, time_us: int) -> None:
        if objects:
            bury(self._root, objects, who=self._who, time_us=time_us, steps=self._steps)


def _fate_of(digest: str, roots: Roots) -> Fate:
    return roots.objects.get(digest, UNREFERENCED)


def _account(root: Path, roots: Roots, trash: Trash, *, now_us: int) -> Account:
    account = Account()
    for fate, runs in Counter(roots.runs.values()).items():
        account.of(fate).runs = runs
    objects = Objects(root)
    for digest in sorted({*objects, *trash}):
        for path in (objects.path(digest), objects.path_aside(digest)):
            with suppress(FileNotFoundError):  # another collection may be at work while this one only looks
                account.of(_fate_of(digest, roots)).add(path.stat().st_size)
                break
    for _, size_bytes in _find_abandoned(root, now_us=now_us):
        account.of(ABANDONED).add(size_bytes)
    return account


def _find_abandoned(root: Path, *, now_us: int) -> Iterable[tuple[Path, int]]:
    for path in sorted((root / "tmp").glob("object-*")):
        try:
            about = path.stat()
        except FileNotFoundError:
            continue  # its object was published in the meantime
        # Its writer, were it alive, would have written to it or made an object of it within a day.
        if about.st_mtime_ns // 1000 < now_us - _DAY_US:
            yield path, about.st_size


def _refuse_damage(graveyard: Graveyard) -> None:
    for path, reason in graveyard.damaged:
        raise StoreDamagedError(
            f"gc stopped: a tombstone is not what was written: {reason}",
            details=("nothing was deleted",),
            where=str(path),
            next_step="restore it from a copy of the store; see: pytest-mlrun verify",
        )
