"""Whatever is logged, finished, killed, sealed, recovered, compacted in any order: readers see what a dict saw."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from pytest_mlrun.errors import MetricError, RunClosedError
from pytest_mlrun.records.run import Artifact, RunEnd, RunRecord, RunStart
from pytest_mlrun.records.verdict import Verdict
from pytest_mlrun.store.digest import compute_run_digest
from pytest_mlrun.store.event import Event, EventEncoder
from pytest_mlrun.store.files import Steps
from pytest_mlrun.store.layout import LogFiles
from pytest_mlrun.store.reader import Reader
from pytest_mlrun.store.store import Store
from pytest_mlrun.store.verify import verify_store
from pytest_mlrun.store.writer import LogWriter

Point = tuple[str, int | None]

names = st.sampled_from(["loss", "val_auc", "läuft", "a.b/c"])
texts = st.dictionaries(st.sampled_from(["depth", "lr", "größe"]), st.sampled_from(['"x"', "0.1", "null", "[1,2]"]))
values = st.floats() | st.sampled_from([float("nan"), float("inf"), float("-inf"), -0.0, 5e-324])
steps = st.none() | st.integers(0, 3) | st.integers(-(2**63), 2**63 - 1)
ends = st.sampled_from(
    [RunEnd("finished", "passed"), RunEnd("failed", "failed", cause="nan", cause_detail="loss"), RunEnd("killed", "")]
)


@dataclass
class Remembered:
    """A run, as a dict would keep it."""

    status: str = "running"
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    points: dict[str, list[Point]] = field(default_factory=dict)
    artifacts: list[str] = field(default_factory=list)
    gates: list[str] = field(default_factory=list)
    digest: str | None = None

    def told(self) -> tuple[object, ...]:
        last = {name: logged[-1][0] for name, logged in self.points.items()}
        series = {
            name: kept for name, logged in self.points.items() if (kept := [p for p in logged if p[1] is not None])
        }
        return self.status, self.params, self.tags, last, series, self.artifacts, self.gates


@dataclass(eq=False)
class Process:
    """A writing process, and the runs that it has not finished."""

    writer: LogWriter
    open_runs: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)


def read(reader: Reader, run: RunRecord) -> tuple[object, ...]:
    metrics = {name: repr(value) for name, value in run.metrics.items()}
    series: dict[str, list[Point]] = {}
    for name in run.metrics:
        found = reader.series(run.run_id, name)
        if len(found):
            series[name] = list(zip(map(repr, found.values.tolist()), found.steps.tolist(), strict=True))
    artifacts = [artifact.name for artifact in run.artifacts]
    return run.status, run.params, run.tags, metrics, series, artifacts, [gate.metric for gate in run.gates]


some = st.integers(0, 9)

DEATHS = (
    "compact.begin",
    "install.pts.before-rename",
    "install.pts.after-rename",
    "install.seg.before-rename",
    "install.seg.after-rename",
    "compact.removed-segment",
    "compact.removed-series",
    "clear.removed-segment",
)


class DiedError(Exception):
    """Stands for the death of a process."""


class Dying(Steps):
    """End the process when a step is reached for the n-th time."""

    def __init__(self, step: str, left: int) -> None:
        self.step = step
        self.left = left

    def reach(self, step: str) -> None:
        self.left -= step == self.step
        if step == self.step and self.left == 0:
            raise DiedError


def logs(machine: StoreMachine) -> bool:
    return machine.under_way() != []


class StoreMachine(RuleBasedStateMachine):
    """Processes come, log, and go in every way there is; readers look all the time."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="store-machine-"))
        self.store = Store.open(self.folder / "store", create=True)
        self.old_reader = self.store.reader()
        self.runs: dict[str, Remembered] = {}
        self.living: list[Process] = []
        self.dead: list[Process] = []
        self.objects = 0

    def under_way(self) -> list[tuple[Process, str]]:
        return [(process, run_id) for process in self.living for run_id in process.open_runs]

    def pick(self, at: int) -> tuple[Process, str, Remembered]:
        process, run_id = self.under_way()[at % len(self.under_way())]
        return process, run_id, self.runs[run_id]

    # -- processes -------------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.living) < 3)
    @rule(count=st.integers(0, 3))
    def begin_process(self, count: int) -> None:
        self.living.append(Process(Store.open(self.store.path).writer(session_id="s")))
        for _ in range(count):
            self.start(len(self.living) - 1)

    @precondition(lambda self: self.living)
    @rule(at=some)
    def start(self, at: int) -> None:
        process = self.living[at % len(self.living)]
        run_id = f"01920000-0000-7000-8000-{len(self.runs):012x}"
        process.writer.start(RunStart(run_id, "s", "machine", "run", "test_a.py::test", params={"seed": "1"}))
        process.open_runs.append(run_id)
        process.runs.append(run_id)
        self.runs[run_id] = Remembered(params={"seed": "1"})

    @precondition(lambda self: self.living)
    @rule(at=some, torn=st.integers(0, 2**16))
    def kill(self, at: int, torn: int) -> None:
        process = self.living.pop(at % len(self.living))
        events = LogFiles(self.store.path, process.writer.log).events
        message = EventEncoder().encode(Event(1 << 20, 1, "tags", "nobody", {"lost": "x" * 99}))
        process.writer._shut()
        with events.open("ab") as file:
            file.write(message[: torn % len(message)])  # what a kill in the middle of a write leaves
        process.writer._file_lock.release()
        self.dead.append(process)

    @precondition(lambda self: self.living)
    @rule(at=some, orphan=st.booleans())
    def seal(self, at: int, orphan: bool) -> None:
        process = self.living.pop(at % len(self.living))
        if orphan:
            process.writer.seal()
            self._orphan(process)
        else:
            process.writer.close()
            if process.open_runs:
                self.dead.append(process)  # left to recovery

    @precondition(lambda self: self.dead)
    @rule()
    def recover(self) -> None:
        recovered = sorted(run.run_id for run in self.store.recover())
        assert recovered == sorted(run_id for process in self.dead for run_id in process.runs)
        for process in self.dead:
            self._orphan(process)
        self.dead.clear()

    def _orphan(self, process: Process) -> None:
        for run_id in process.open_runs:
            self.runs[run_id].status = "orphaned"
        process.open_runs.clear()

    # -- files -----------------------------------------------------------------------------------------------------

    @rule(brief=st.booleans())
    def compact(self, brief: bool) -> None:
        done = Store.open(self.store.path).compact(brief=brief)
        assert done is not None
        assert done.quarantined == ()
        assert done.after.segments <= (done.before.segments if brief else 1)

    @rule(step=st.sampled_from(DEATHS), at=st.integers(1, 3))
    def compact_and_die(self, step: str, at: int) -> None:
        with suppress(DiedError):
            Store.open(self.store.path, steps=Dying(step, at)).compact()

    @rule()
    def put_aside_what_is_damaged(self) -> None:
        assert self.store.quarantine() == ()

    # -- what a run logs -------------------------------------------------------------------------------------------

    @precondition(logs)
    @rule(at=some, content=texts)
    def params(self, at: int, content: dict[str, str]) -> None:
        process, run_id, remembered = self.pick(at)
        process.writer.params(run_id, content)
        remembered.params.update(content)

    @precondition(logs)
    @rule(at=some, content=texts)
    def tags(self, at: int, content: dict[str, str]) -> None:
        process, run_id, remembered = self.pick(at)
        process.writer.tags(run_id, content)
        remembered.tags.update(content)

    @precondition(logs)
    @rule(at=some, name=names, logged=st.lists(st.tuples(values, steps), min_size=1, max_size=5))
    def metric(self, at: int, name: str, logged: list[tuple[float, int | None]]) -> None:
        process, run_id, remembered = self.pick(at)
        channel = process.writer.channel(run_id, name)
        for value, step in logged:
            process.writer.append(channel, value, step)
            remembered.points.setdefault(name, []).append((repr(value), step))

    @precondition(logs)
    @rule(at=some, step=st.sampled_from([2**63, "x", 0.5]))
    def refused_metric(self, at: int, step: int) -> None:
        process, run_id, _ = self.pick(at)
        channel = process.writer.channel(run_id, "refused")
        with pytest.raises(MetricError):
            process.writer.append(channel, 1.0, step)

    @precondition(logs)
    @rule(at=some)
    def artifact(self, at: int) -> None:
        process, run_id, remembered = self.pick(at)
        self.objects += 1
        staged = self.store.objects.stage_bytes(b"object %d" % self.objects)
        process.writer.artifact(run_id, Artifact(f"file-{self.objects}", staged.digest, staged.size_bytes))
        self.store.objects.publish(staged)
        remembered.artifacts.append(f"file-{self.objects}")

    @precondition(logs)
    @rule(at=some, name=names)
    def gate(self, at: int, name: str) -> None:
        process, run_id, remembered = self.pick(at)
        process.writer.gate(run_id, Verdict("floor", name, "PASS", calibrated=False, estimate=float("nan")))
        remembered.gates.append(name)

    @precondition(logs)
    @rule(at=some, end=ends)
    def finish(self, at: int, end: RunEnd) -> None:
        process, run_id, _ = self.pick(at)
        self._finished(process, process.writer.finish(run_id, end))
        with pytest.raises(RunClosedError):
            process.writer.tags(run_id, {"late": "1"})

    @precondition(logs)
    @rule(at=some, end=ends)
    def finish_and_seal(self, at: int, end: RunEnd) -> None:
        process, run_id, _ = self.pick(at)
        self._finished(process, process.writer.finish_and_seal(run_id, end))
        self.living.remove(process)
        self._orphan(process)

    def _finished(self, process: Process, record: RunRecord) -> None:
        process.open_runs.remove(record.run_id)
        remembered = self.runs[record.run_id]
        remembered.status, remembered.digest = record.status, record.digest
        assert record.digest == compute_run_digest(record)

    # -- what must always hold -------------------------------------------------------------------------------------

    @invariant()
    def a_reader_of_any_age_sees_what_was_logged(self) -> None:
        self._check(self.old_reader)

    @rule()
    def a_new_reader_sees_the_same(self) -> None:
        self._check(Store.open(self.store.path).reader())

    @rule()
    def nothing_is_damaged(self) -> None:
        assert list(verify_store(self.store)) == []
        assert self.old_reader.damaged() == ()

    def _check(self, reader: Reader) -> None:
        found = reader.runs()
        assert sorted(run.run_id for run in found) == sorted(self.runs)
        for run in found:
            remembered = self.runs[run.run_id]
            assert read(reader, run) == remembered.told()
            if remembered.digest is not None:
                assert run.digest == remembered.digest == compute_run_digest(run)
            elif run.status == "orphaned":
                assert run.digest == compute_run_digest(run)

    def teardown(self) -> None:
        for process in self.living:
            process.writer.close()
            if process.open_runs:
                self.dead.append(process)
        if self.dead:
            self.recover()
        self.compact(brief=False)
        self.nothing_is_damaged()
        self.a_new_reader_sees_the_same()
        assert list((self.store.path / "live").iterdir()) == []
        assert list((self.store.path / "tmp").iterdir()) == []
        shutil.rmtree(self.folder)


def test_readers_see_what_was_logged_whatever_becomes_of_the_processes() -> None:
    run_state_machine_as_test(StoreMachine, settings=settings(max_examples=25, stateful_step_count=30, deadline=None))


@pytest.mark.slow
def test_readers_see_what_was_logged_whatever_becomes_of_the_processes_many_times() -> None:
    run_state_machine_as_test(StoreMachine, settings=settings(max_examples=150, stateful_step_count=60, deadline=None))
