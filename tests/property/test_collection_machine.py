"""Whatever is stored, dropped, pinned, finished, killed and collected in any order: what somebody keeps is there."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from pytest_mlrun.errors import ArtifactError
from pytest_mlrun.records.identity import now_us
from pytest_mlrun.records.retention import Fates, Retention
from pytest_mlrun.records.run import Artifact, RunEnd, RunRecord, RunStart
from pytest_mlrun.rules.retention import Scope, decide
from pytest_mlrun.store.collection import collect
from pytest_mlrun.store.files import Steps
from pytest_mlrun.store.layout import list_tombstones
from pytest_mlrun.store.objects import Staged
from pytest_mlrun.store.store import Store
from pytest_mlrun.store.verify import verify_store
from pytest_mlrun.store.writer import LogWriter

YEAR_US = 365 * 86_400_000_000
contents = st.integers(0, 4).map(lambda number: b"object %d" % number)
some = st.integers(0, 9)


class Killed(BaseException):
    """Ends a collection as a signal would: nothing catches it."""


class Deadly(Steps):
    """Kill at one of the steps."""

    def __init__(self, last: int) -> None:
        self._left = last

    def reach(self, step: str) -> None:  # noqa: ARG002 - any step will do
        self._left -= 1
        if self._left == 0:
            raise Killed


@dataclass(eq=False)
class Remembered:
    """A run, as a dict would keep it."""

    artifacts: dict[str, bytes] = field(default_factory=dict)
    pinned: bool = False
    gone: bool = False


@dataclass(eq=False)
class Process:
    """A writing process, its runs, and an artifact whose object it has not published yet."""

    writer: LogWriter
    open_run: str = ""
    runs: list[str] = field(default_factory=list)
    half: tuple[Staged, str, bytes] | None = None


class CollectionMachine(RuleBasedStateMachine):
    """Processes write and go; collections come, are killed, and come again, a year after everything ended."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="collection-machine-"))
        self.store = Store.open(self.folder / "store", create=True)
        self.runs: dict[str, Remembered] = {}
        self.living: list[Process] = []
        self.files = 0

    def pick(self, at: int) -> Process:
        return self.living[at % len(self.living)]

    # -- writers ---------------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.living) < 3)
    @rule()
    def begin_process(self) -> None:
        self.living.append(Process(self.store.writer(session_id="s")))

    @precondition(lambda self: self.living)
    @rule(at=some)
    def start(self, at: int) -> None:
        process = self.pick(at)
        if not process.open_run:
            process.open_run = f"01920000-0000-7000-8000-{len(self.runs):012x}"
            process.writer.start(RunStart(process.open_run, "s", "e", "run", "t"))
            process.runs.append(process.open_run)
            self.runs[process.open_run] = Remembered()

    @precondition(lambda self: any(process.open_run and not process.half for process in self.living))
    @rule(content=contents)
    def refer(self, content: bytes) -> None:
        process = next(process for process in self.living if process.open_run and not process.half)
        self.files += 1
        name = f"file-{self.files}"
        staged = self.store.objects.stage_bytes(content)
        artifact = Artifact(name, staged.digest, staged.size_bytes, time_us=now_us())
        process.writer.artifact(process.open_run, artifact)
        process.half = (staged, name, content)

    @precondition(lambda self: any(process.half for process in self.living))
    @rule()
    def publish(self) -> None:
        process = next(process for process in self.living if process.half)
        if process.half is not None:
            staged, name, content = process.half
            self.store.objects.publish(staged)
            self.runs[process.open_run].artifacts[name] = content
            process.half = None

    @rule(content=contents)
    def record(self, content: bytes) -> None:
        process = Process(self.store.writer(session_id="s"))
        self.living.insert(0, process)
        self.start(0)
        self.refer(content)
        while process.half:
            self.publish()
        process.writer.finish(process.open_run, RunEnd("finished", "passed"))
        process.writer.close()
        self.living.remove(process)

    @precondition(lambda self: any(process.open_run for process in self.living))
    @rule(at=some)
    def drop(self, at: int) -> None:
        process = next(process for process in self.living if process.open_run)
        names = list(self.runs[process.open_run].artifacts)
        if names:
            name = names[at % len(names)]
            process.writer.drop(process.open_run, name)
            del self.runs[process.open_run].artifacts[name]

    @precondition(lambda self: any(process.open_run and not process.half for process in self.living))
    @rule()
    def finish(self) -> None:
        process = next(process for process in self.living if process.open_run and not process.half)
        process.writer.finish(process.open_run, RunEnd("finished", "passed"))
        process.open_run = ""

    @precondition(lambda self: any(not process.open_run for process in self.living))
    @rule()
    def close(self) -> None:
        process = next(process for process in self.living if not process.open_run)
        process.writer.close()
        self.living.remove(process)

    @precondition(lambda self: any(not process.half for process in self.living))
    @rule()
    def kill(self) -> None:
        process = next(process for process in self.living if not process.half)
        process.writer._shut()
        process.writer._file_lock.release()
        self.living.remove(process)
        self.store.recover()

    # -- collections -----------------------------------------------------------------------------------------------

    @precondition(lambda self: self.runs)
    @rule(at=some, pinned=st.booleans())
    def pin(self, at: int, pinned: bool) -> None:
        run_id = list(self.runs)[at % len(self.runs)]
        self.store.annotate(run_id, tags={"keep": "yes" if pinned else "no"}, note="", who="ada")
        self.runs[run_id].pinned = pinned

    def decide(self, runs: Sequence[RunRecord], live: AbstractSet[str]) -> Fates:
        return decide([Scope(runs, Retention(), {})], reachable=set(), live=live, now_us=now_us() + YEAR_US)

    @rule(last=st.sampled_from([0, 1, 2, 3, 4, 5, 6, 7, 8]))
    def collect(self, last: int) -> None:
        live = {run_id for process in self.living for run_id in process.runs}
        expired = [run for run_id, run in self.runs.items() if run_id not in live and not run.pinned]
        before = len(list_tombstones(self.store.path))
        try:
            collect(self.store.path, self.decide, who="ada@laptop", now_us=now_us(), delete=True, steps=Deadly(last))
        except Killed:
            if len(list_tombstones(self.store.path)) > before:
                for run in expired:
                    run.gone = True  # perhaps
            return
        for run in expired:
            run.gone = True
        kept = [run for run in self.runs.values() if run not in expired]
        never_gone = {content for run in kept if not run.gone for content in run.artifacts.values()}
        named = {content for run in kept for content in run.artifacts.values()}
        halves = {process.half[2] for process in self.living if process.half}
        assert never_gone <= {self.store.objects.read(digest) for digest in self.store.objects} <= named | halves
        trash = self.store.path / "trash"
        assert not trash.exists() or list(trash.iterdir()) == []

    # -- what must always hold -------------------------------------------------------------------------------------

    @invariant()
    def what_no_collection_could_take_is_there(self) -> None:
        reader = self.store.reader()
        for run in reader.runs():
            remembered = self.runs[run.run_id]
            for name, content in remembered.artifacts.items():
                try:
                    assert reader.read_artifact(run, name) == content
                except ArtifactError:
                    assert remembered.gone

    @rule()
    def nothing_is_damaged(self) -> None:
        assert list(verify_store(self.store)) == []

    def teardown(self) -> None:
        for process in list(self.living):
            process.half = None
            process.writer.close()
        self.store.recover()
        shutil.rmtree(self.folder)


def test_what_somebody_keeps_is_there_whatever_is_collected() -> None:
    run_state_machine_as_test(
        CollectionMachine, settings=settings(max_examples=8, stateful_step_count=25, deadline=None)
    )


@pytest.mark.slow
def test_what_somebody_keeps_is_there_whatever_is_collected_many_times() -> None:
    run_state_machine_as_test(
        CollectionMachine, settings=settings(max_examples=80, stateful_step_count=40, deadline=None)
    )
