"""Begin runs in a store and keep what they share."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_mlrun.recorder.facts import SessionFacts, find_session_facts
from pytest_mlrun.recorder.meters import Meters
from pytest_mlrun.recorder.plan import RunPlan
from pytest_mlrun.recorder.recording import Recording
from pytest_mlrun.records.identity import new_id, now_us
from pytest_mlrun.records.run import Artifact, RunEnd, RunRecord, RunStart

if TYPE_CHECKING:
    from pytest_mlrun.recorder.looking import Looks
    from pytest_mlrun.records.project import Project
    from pytest_mlrun.records.snapshot import Snapshot
    from pytest_mlrun.rules.selection import Choice
    from pytest_mlrun.store.shared import Shared
    from pytest_mlrun.store.store import Store
    from pytest_mlrun.store.writer import LogWriter


class Recorder:
    """Records the runs of one process into one store.

    Nothing is opened, found or written before the first run begins.

    Args:
        store_path: Folder of the store; created if it is missing.
        session_id: Shared by all processes of one session.
        argv: Command line, recorded without its secrets.
    """

    def __init__(self, store_path: Path, *, session_id: str, argv: Sequence[str]) -> None:
        self.store_path = store_path
        self.session_id = session_id
        self._argv = tuple(argv)
        self.meters = Meters()
        self._facts: dict[Path, SessionFacts] = {}
        self._snapshots: dict[tuple[Path, str], Snapshot] = {}
        self._manifests: dict[tuple[str, str, str], Artifact] = {}
        self._kept: set[str] = set()
        self._open: dict[str, Recording] = {}

    @cached_property
    def store(self) -> Store:
        """The store, opened at first use."""
        from pytest_mlrun.store.store import Store

        return Store.open(self.store_path, create=True)

    @cached_property
    def shared(self) -> Shared:
        """What the processes of this machine find once."""
        from pytest_mlrun.store.shared import Shared

        return Shared(self.store.path)

    @cached_property
    def writer(self) -> LogWriter:
        """The live log of this process."""
        return self.store.writer(session_id=self.session_id)

    @cached_property
    def looks(self) -> Looks:
        """The looks of this process at held-out rows."""
        from pytest_mlrun.recorder.looking import Looks

        return Looks(self.store)

    @property
    def used(self) -> bool:
        """Whether any run began."""
        return "writer" in self.__dict__

    def begin(self, plan: RunPlan) -> Recording:
        """Write the start of a run and return it.

        Raises:
            StoreError: If the store cannot be written.
        """
        facts = self._facts_of(plan.project.root)
        run_id = new_id()
        recording = Recording(self, run_id, plan, facts.code)
        context = {
            **facts.context,
            "rand.seed": json.dumps(plan.seed),
            "rand.seed_source": json.dumps(plan.seed_source),
            "rand.hash_seed": json.dumps(os.environ.get("PYTHONHASHSEED")),
            "pinned": json.dumps(plan.pinned),
            "project": json.dumps(str(plan.project.root)),
            **plan.context,
        }
        self.writer.start(
            RunStart(
                run_id=run_id,
                session_id=self.session_id,
                experiment=plan.experiment,
                name=plan.name,
                test=plan.test,
                case=plan.case,
                attempt=plan.attempt,
                parent_id=plan.parent_id,
                started_us=now_us(),
                params=plan.params,
                tags=plan.tags,
                context=context,
            )
        )
        for artifact in facts.artifacts:
            recording.link(artifact)
        self._open[run_id] = recording
        return recording

    def finish(self, recording: Recording, end: RunEnd, *, last: bool = False) -> RunRecord:
        """Write the end of a run, durably; nothing can be recorded after the last one."""
        self._open.pop(recording.id, None)
        finish = self.writer.finish_and_seal if last else self.writer.finish
        return finish(recording.id, end)

    def select(self, recording: Recording, choice: Choice) -> None:
        """Give a run the winner that a rule chooses among the runs recorded so far; see ``select_winner``."""
        from pytest_mlrun.recorder.selection import select_winner

        select_winner(recording, choice, self.store.reader(), self.store.objects, session_id=self.session_id)

    def give_winner(self, recording: Recording, recorded: RunRecord) -> None:
        """Give a replay the winner that the recorded run was given; see ``give_recorded_winner``."""
        from pytest_mlrun.recorder.selection import give_recorded_winner

        give_recorded_winner(recording, recorded, self.store.reader(), self.store.objects)

    def verify(self, project: Project, name: str) -> Snapshot:
        """Return the named snapshot after its content was compared with ``mlrun.lock``.

        Raises:
            DataError: If it is unknown, missing, unlocked, unreadable or changed.
        """
        from pytest_mlrun.recorder.snapshots import find_snapshot

        key = (project.root, name)
        if key not in self._snapshots:
            self._snapshots[key] = find_snapshot(project, name, shared=self.shared)
        return self._snapshots[key]

    def provide(self, project: Project, snapshot: Snapshot) -> None:
        """Use data that was held to its digest already, whatever ``mlrun.lock`` says."""
        self._snapshots[project.root, snapshot.name] = snapshot

    def keep(self, snapshot: Snapshot) -> None:
        """Put the files of a snapshot into the store, unless they are there; see ``keep_files``.

        Raises:
            DataError: If the data changed while it was copied.
            StoreWriteError: If the store refuses.
        """
        from pytest_mlrun.recorder.keeping import keep_files

        if snapshot.digest not in self._kept:
            keep_files(self.store.objects, snapshot, shared=self.shared)
            self._kept.add(snapshot.digest)

    def manifest_of(self, snapshot: Snapshot, *, role: str) -> Artifact:
        """Store the listing of a snapshot's files, once, so that a later run can be compared file by file."""
        key = (snapshot.name, snapshot.digest, role)
        if key not in self._manifests:
            files = [[entry.path, entry.size_bytes, entry.sha256] for entry in snapshot.manifest.files]
            listing = {"digest": snapshot.digest, "kind": snapshot.manifest.kind, "files": files}
            digest, size_bytes = self._keep_for_session(json.dumps(listing, sort_keys=True).encode(), role)
            self._manifests[key] = Artifact(
                f"data/{snapshot.name}.json", digest, size_bytes, "application/json", role, time_us=now_us()
            )
        return self._manifests[key]

    def close(self, *, interrupted: BaseException | None = None) -> tuple[RunRecord, ...]:
        """Finish what is still open as interrupted, seal the log, and return the runs finished here.

        Raises:
            StoreWriteError: If the store refuses; the log then stays where recovery finds it.
        """
        finished: list[RunRecord] = []
        try:
            for recording in tuple(self._open.values()):
                if not recording.closed:
                    error = interrupted or KeyboardInterrupt()
                    recording.finish("error", error=error, text="interrupted", phase="call")
                    finished.extend(recording.family())
        finally:
            if self.used:
                self.writer.close()
        return tuple(finished)

    def _keep_for_session(self, content: bytes, role: str) -> tuple[str, int]:
        # A collector that runs before the first run refers to the object must know that one will.
        staged = self.store.objects.stage_bytes(content)
        try:
            self.writer.hold(staged.digest, role=role)
        except BaseException:
            self.store.objects.discard(staged)
            raise
        self.store.objects.publish(staged)
        return staged.digest, staged.size_bytes

    def _facts_of(self, root: Path) -> SessionFacts:
        if root not in self._facts:
            self._facts[root] = find_session_facts(
                self.store,
                self.shared,
                session_id=self.session_id,
                root=root,
                argv=self._argv,
                keep=self._keep_for_session,
            )
        return self._facts[root]
