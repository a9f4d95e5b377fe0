"""Find out which objects are wanted, and refuse to guess."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pytest_mlrun.errors import ArtifactError, StoreDamagedError, StoreError, StoreFormatError
from pytest_mlrun.records.retention import Fate, Fates
from pytest_mlrun.records.run import RECORD_VERSION, ROLES, Artifact, RunRecord
from pytest_mlrun.store.files import read_bytes
from pytest_mlrun.store.keptfiles import SNAPSHOT, read_kept_files
from pytest_mlrun.store.layout import LogFiles, list_logs
from pytest_mlrun.store.locks import find_boot_id
from pytest_mlrun.store.log import read_log
from pytest_mlrun.store.objects import Objects
from pytest_mlrun.store.segment import decode_runs
from pytest_mlrun.store.tombstones import last_wanted_us
from pytest_mlrun.store.view import Viewer

Decide = Callable[[Sequence[RunRecord], AbstractSet[str]], Fates]
"""Given all runs and the ids of those in live logs, says what becomes of each one's artifacts."""

_STOPPED: Final = "nothing was deleted"
_SHARED: Final = Fate("live", kept=True)


@dataclass(frozen=True, slots=True)
class Roots:
    """Which objects are named, by whom, and what becomes of them.

    Attributes:
        objects: Digest to fate, of every object that a run or a live log names.
        runs: Run id to fate.
        seen_us: When the last of these runs began to count on an object.
    """

    objects: Mapping[str, Fate]
    runs: Mapping[str, Fate]
    seen_us: int


class RootReader:
    """Read the roots of a store, as often as a collection needs them.

    Args:
        root: The store's folder.
        decide: Decides about the runs.
    """

    def __init__(self, root: Path, decide: Decide) -> None:
        self._root = root
        self._decide = decide
        self._viewer = Viewer(root, whole=True)
        self._objects = Objects(root)
        self._listings: dict[str, tuple[str, ...]] = {}

    def read(self) -> Roots:
        """Read every run and every live log.

        Returns:
            The roots.

        Raises:
            StoreDamagedError: Something cannot be read: it may name any object.
            StoreFormatError: Something is of a newer version.
            StoreError: A log may belong to a living process of another machine, or a role is not known.
        """
        self._refuse_put_aside()
        view = self._viewer.look()
        for damage in view.damaged:
            raise StoreDamagedError(
                "gc stopped: the store is damaged, and what cannot be read may name any object",
                details=(damage.message or f"run {', '.join(damage.run_ids)} is not what was recorded", _STOPPED),
                where=damage.path,
                next_step="see: pytest-mlrun verify",
            )
        runs: list[RunRecord] = []
        live: set[str] = set()
        for segment in view.segments:
            if segment.facts.v > RECORD_VERSION:
                raise _newer(f"a segment of version {segment.facts.v}", f"{self._root}, {segment.id}")
            found = [record for batch in segment.batches for record in decode_runs(batch)]
            runs += found
            if segment.id.startswith("log:"):
                live |= {record.run_id for record in found}
        runs = view.overlay.apply(runs)
        for run in runs:
            _refuse_unknown(run)
        held = set(self._read_held())
        fates = self._decide(runs, live)
        seen_us = max((last_wanted_us(run, artifact) for run in runs for artifact in run.artifacts), default=0)
        return Roots(self._name_objects(runs, fates, held), fates.runs, seen_us)

    def _refuse_put_aside(self) -> None:
        # Whatever lies there, known to this version or not: its runs may be the only ones that name an object.
        for path in sorted((self._root / "damaged").rglob("*")):
            if path.is_file() and path.suffix != ".json":
                raise StoreDamagedError(
                    "gc stopped: a file that was put aside may name any object",
                    details=("its runs cannot be asked what they need", _STOPPED),
                    where=str(path),
                    next_step="put a whole copy of it back where it was; then, or to give up what only it holds,"
                    " move it out of the store, and run gc again",
                )

    def _read_held(self) -> Iterator[str]:
        boot = find_boot_id()
        for log in list_logs(self._root):
            path = LogFiles(self._root, log).events
            try:
                content = read_log(read_bytes(path))
            except FileNotFoundError:
                continue  # sealed in the meantime
            if content.header.get("boot", boot) != boot:
                raise StoreError(
                    "gc stopped: a log of another boot or machine may still be written",
                    details=(_STOPPED,),
                    where=str(path),
                    next_step="if its processes are over: pytest-mlrun verify --recover",
                )
            for event in content.events:
                if event.kind == "hold":
                    digest, role = str(event.content.get("digest", "")), str(event.content.get("role", ""))
                    _refuse_role(role, str(path))
                    yield digest
                    if role == SNAPSHOT:
                        yield from self._list_held(digest, path)

    def _name_objects(self, runs: Sequence[RunRecord], fates: Fates, held: AbstractSet[str]) -> dict[str, Fate]:
        by_id = {run.run_id: run for run in runs}
        named: dict[str, Fate] = dict.fromkeys(held, _SHARED)
        # The strongest rule comes first: an object that several runs name stays by the strongest of theirs.
        for run_id, fate in fates.runs.items():
            run = by_id[run_id]
            for artifact in run.artifacts:
                named.setdefault(artifact.digest, fate)
                if artifact.role == SNAPSHOT:
                    for digest in self._list_of(run, artifact):
                        named.setdefault(digest, fate)
        for digest, fate in fates.objects.items():
            if digest not in named or not named[digest].kept:
                named[digest] = fate
        return named

    def _list_held(self, digest: str, path: Path) -> tuple[str, ...]:
        # Not there: its writer has not come to look for the files yet, and will write anew what it does not find.
        if digest not in self._objects and not self._objects.path_aside(digest).exists():
            return ()
        return self._list_files(digest, str(path))

    def _list_of(self, run: RunRecord, artifact: Artifact) -> tuple[str, ...]:
        try:
            return self._list_files(
                artifact.digest, f"{artifact.name} of run {run.short_id}", since_us=last_wanted_us(run, artifact)
            )
        except ArtifactError:
            return ()  # collected, and its files with it

    def _list_files(self, digest: str, where: str, *, since_us: int = 0) -> tuple[str, ...]:
        if digest not in self._listings:
            try:
                self._listings[digest] = read_kept_files(self._objects.read(digest, since_us=since_us))
            except (StoreDamagedError, ValueError):
                raise StoreDamagedError(
                    "gc stopped: the listing of kept data cannot be read",
                    details=(_STOPPED,),
                    where=where,
                    next_step="see: pytest-mlrun verify",
                ) from None
        return self._listings[digest]


def _refuse_unknown(run: RunRecord) -> None:
    if run.v > RECORD_VERSION:
        raise _newer(f"a run of version {run.v}", f"run {run.short_id}")
    for artifact in run.artifacts:
        _refuse_role(artifact.role, f"{artifact.name} of run {run.short_id}")


def _refuse_role(role: str, where: str) -> None:
    if role not in ROLES:
        raise _newer(f"an artifact of the role {role!r}", where)


def _newer(what: str, where: str) -> StoreFormatError:
    return StoreFormatError(
        f"gc stopped: the store holds {what}, which this version does not know",
        details=(_STOPPED,),
        where=where,
        next_step="upgrade: pip install --upgrade pytest-mlrun",
    )
