"""Two stores that record, die, recover, compact, collect, merge and import in any order keep what a dict keeps."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from pytest_mlrun.errors import ArtifactError, StoreDamagedError
from pytest_mlrun.records.annotation import Annotation
from pytest_mlrun.records.identity import now_us
from pytest_mlrun.records.run import Artifact, RunEnd, RunRecord, RunStart
from pytest_mlrun.records.verdict import Verdict
from pytest_mlrun.store.bundle import open_bundle
from pytest_mlrun.store.bundle_write import export_run
from pytest_mlrun.store.digest import compute_run_digest
from pytest_mlrun.store.files import Steps
from pytest_mlrun.store.reader import Reader
from pytest_mlrun.store.store import Store
from pytest_mlrun.store.verify import verify_store
from pytest_mlrun.store.writer import LogWriter
from tests.crash.store_jobs import KILLED, collect_a_year_later, run_server

PIN = "keep"
some = st.integers(0, 9)
places = st.integers(0, 1)
values = st.floats() | st.sampled_from([float("nan"), float("inf"), -0.0, 5e-324])
contents = st.integers(0, 4).map(lambda number: b"object %d" % number)
deaths = st.sampled_from([0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 8, 11, 15])
"""At which of the instants that it passes somebody dies; 0 is at none."""


class DiedError(BaseException):
    """Stands for the death of a process: nothing catches it."""


class Dying(Steps):
    """Die at one of the next steps."""

    def __init__(self, left: int = 0) -> None:
        self.left = left

    def reach(self, step: str) -> None:  # noqa: ARG002 - any step will do
        self.left -= 1
        if self.left == 0:
            raise DiedError


@dataclass
class Content:
    """What a run may say of itself."""

    finished: bool = False
    events: int = 0
    tags: dict[str, str] = field(default_factory=dict)
    points: dict[str, list[tuple[str, int | None]]] = field(default_factory=dict)
    artifacts: dict[str, bytes] = field(default_factory=dict)
    gates: list[str] = field(default_factory=list)
    digest: str = ""

    def rank(self) -> tuple[bool, int, int]:
        return self.finished, self.events, len(self.artifacts)

    def told(self) -> tuple[object, ...]:
        last = {name: logged[-1][0] for name, logged in self.points.items()}
        series = {
            name: kept for name, logged in self.points.items() if (kept := [p for p in logged if p[1] is not None])
        }
        return self.finished, self.tags, last, series, sorted(self.artifacts), self.gates


def tell(reader: Reader, run: RunRecord) -> tuple[object, ...]:
    metrics = {name: repr(value) for name, value in run.metrics.items()}
    series = {}
    for name in run.series:
        found = reader.series(run.run_id, name)
        series[name] = list(zip(map(repr, found.values.tolist()), found.steps.tolist(), strict=True))
    tags = {name: value for name, value in run.tags.items() if name != PIN}
    artifacts = sorted(artifact.name for artifact in run.artifacts)
    return run.status == "finished", tags, metrics, series, artifacts, [gate.metric for gate in run.gates]


@dataclass(eq=False)
class Kept:
    """A run in a store: what it may say, two things where a call was cut short; whether its objects may be gone."""

    may_be: list[Content]
    gone: bool = False


@dataclass(eq=False)
class Process:
    """A writing process, and the runs that it has not finished."""

    place: int
    writer: LogWriter
    steps: Dying
    open_runs: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)


class Place:
    """A store, and a dict of what it should hold."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.store = Store.open(folder / "store", create=True)
        self.old_reader = self.store.reader()
        self.runs: dict[str, Kept] = {}
        self.notes: dict[str, Annotation] = {}
        self.dead: list[Process] = []

    def pinned(self) -> set[str]:
        last = {
            note.run_id: note.tags[PIN]
            for note in sorted(self.notes.values(), key=lambda note: (note.time_us, note.annotation_id))
        }
        return {run_id for run_id, value in last.items() if value != "no"}


Do = Callable[[str, Place, int, Path], bool]
"""Do what a verb says to a place, with another store or a bundle, and die at the n-th step; say whether it died."""


def die_here(verb: str, place: Place, last: int, other: Path) -> bool:
    """Do it in this process, and let it die by an exception that nothing catches."""
    store = Store.open(place.store.path, steps=Dying(last))
    try:
        match verb:
            case "recover":
                store.recover()
            case "compact" | "brief":
                done = store.compact(brief=verb == "brief")
                assert done is not None
                assert done.quarantined == ()
            case "quarantine":
                assert store.quarantine() == ()
            case "gc":
                collect_a_year_later(store.path, steps=Dying(last))
            case "union":
                assert store.merge(Store.open(other)).lost == ()
            case "import":
                store.take_bundle(open_bundle(other))
    except DiedError:
        return True
    return False


@contextmanager
def processes_that_die() -> Iterator[Do]:
    """Give a way to do it in a process of its own, which is killed, or exits at once."""
    with run_server() as send:

        def die_there(verb: str, place: Place, last: int, other: Path) -> bool:
            verb, brief = ("compact", 1) if verb == "brief" else (verb, 0)
            how = "exit" if last % 2 else "kill"
            codes = send(verb, place.folder, last=last, other=str(other), brief=brief, how=how)
            assert codes in ([0], KILLED, [9])
            return codes != [0]

        yield die_there


class WholeMachine(RuleBasedStateMachine):
    """Whoever writes, reads, merges or tidies up may die at any instant; what was acknowledged is there, and once."""

    def __init__(self, do: Do) -> None:
        super().__init__()
        self.do = do
        self.folder = Path(tempfile.mkdtemp(prefix="whole-machine-"))
        self.places = [Place(self.folder / f"{at}") for at in range(2)]
        self.living: list[Process] = []
        self.count = 0

    # -- processes that record -------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.living) < 3)
    @rule(at=places, last=deaths)
    def begin_process(self, at: int, last: int) -> None:
        steps = Dying(last)
        with suppress(DiedError):
            writer = Store.open(self.places[at].store.path, steps=steps).writer(session_id="s")
            self.living.append(Process(at, writer, steps))

    @contextmanager
    def acting(self, process: Process, last: int) -> Iterator[None]:
        """Let a process act; if it dies of that, what it was about to say may have been said or not."""
        mine = self.places[process.place].runs
        before = {run_id: deepcopy(mine[run_id].may_be) for run_id in process.runs}
        process.steps.left = last
        try:
            yield
        except DiedError:
            for run_id, earlier in before.items():
                kept = mine[run_id]
                kept.may_be = [*earlier, *(now for now in kept.may_be if now not in earlier)]
            self.bury(process)
        process.steps.left = 0

    def bury(self, process: Process) -> None:
        if not process.writer._closed_reason:
            process.writer._shut()
        process.writer._file_lock.release()
        self.living.remove(process)
        self.places[process.place].dead.append(process)

    @precondition(lambda self: self.living)
    @rule(at=some, last=deaths)
    def start(self, at: int, last: int) -> None:
        process = self.living[at % len(self.living)]
        self.count += 1
        run_id = f"01920000-0000-7000-8000-{self.count:012x}"
        process.steps.left = last
        try:
            process.writer.start(RunStart(run_id, "s", "machine", "run", "test_a.py::test", params={"seed": "1"}))
        except DiedError:
            self.bury(process)
            # Whether anybody ever hears of it: whoever looks first decides.
            seen = [run for run in self.places[process.place].store.reader().runs() if run.run_id == run_id]
            if not seen:
                return
        process.steps.left = 0
        process.open_runs.append(run_id)
        process.runs.append(run_id)
        self.places[process.place].runs[run_id] = Kept([Content()])

    def busy(self, at: int) -> tuple[Process, str, Content]:
        pairs = [(process, run_id) for process in self.living for run_id in process.open_runs]
        process, run_id = pairs[at % len(pairs)]
        (content,) = self.places[process.place].runs[run_id].may_be
        content.events += 1
        return process, run_id, content

    @precondition(lambda self: any(process.open_runs for process in self.living))
    @rule(at=some, name=st.sampled_from(["team", "läuft"]), value=st.sampled_from(["a", "ß"]), last=deaths)
    def tag(self, at: int, name: str, value: str, last: int) -> None:
        process, run_id, content = self.busy(at)
        with self.acting(process, last):
            content.tags = {**content.tags, name: value}
            process.writer.tags(run_id, {name: value})

    @precondition(lambda self: any(process.open_runs for process in self.living))
    @rule(
        at=some,
        name=st.sampled_from(["loss", "a.b/c"]),
        logged=st.lists(st.tuples(values, st.none() | some), min_size=1),
    )
    def points(self, at: int, name: str, logged: list[tuple[float, int | None]]) -> None:
        process, run_id, content = self.busy(at)
        channel = process.writer.channel(run_id, name)
        for value, step in logged:
            process.writer.append(channel, value, step)
            content.points.setdefault(name, []).append((repr(value), step))

    @precondition(lambda self: any(process.open_runs for process in self.living))
    @rule(at=some, body=contents, last=deaths)
    def artifact(self, at: int, body: bytes, last: int) -> None:
        process, run_id, content = self.busy(at)
        self.count += 1
        name = f"file-{self.count}"
        objects = Store.open(self.places[process.place].store.path, steps=process.steps).objects
        with self.acting(process, last):
            staged = objects.stage_bytes(body)
            content.artifacts = {**content.artifacts, name: body}
            process.writer.artifact(run_id, Artifact(name, staged.digest, staged.size_bytes, time_us=now_us()))
            objects.publish(staged)

    @precondition(lambda self: any(process.open_runs for process in self.living))
    @rule(at=some, last=deaths)
    def gate(self, at: int, last: int) -> None:
        process, run_id, content = self.busy(at)
        with self.acting(process, last):
            content.gates = [*content.gates, "loss"]
            process.writer.gate(run_id, Verdict("floor", "loss", "PASS", calibrated=False, estimate=float("nan")))

    @precondition(lambda self: any(process.open_runs for process in self.living))
    @rule(at=some, seals=st.booleans(), last=deaths)
    def finish(self, at: int, seals: bool, last: int) -> None:
        process, run_id, content = self.busy(at)
        end = RunEnd("finished", "passed")
        with self.acting(process, last):
            content.finished = True
            record = process.writer.finish_and_seal(run_id, end) if seals else process.writer.finish(run_id, end)
            assert record.digest == compute_run_digest(record)
            content.digest = record.digest
            process.open_runs.remove(run_id)
            if seals:
                self.living.remove(process)

    @precondition(lambda self: self.living)
    @rule(at=some, orphan=st.booleans(), last=deaths)
    def close(self, at: int, orphan: bool, last: int) -> None:
        process = self.living[at % len(self.living)]
        with self.acting(process, last):
            (process.writer.seal if orphan else process.writer.close)()
            self.living.remove(process)
            if process.open_runs and not orphan:
                self.places[process.place].dead.append(process)  # left to recovery

    @precondition(lambda self: self.living)
    @rule(at=some)
    def kill(self, at: int) -> None:
        self.bury(self.living[at % len(self.living)])

    # -- those who tidy up -----------------------------------------------------------------------------------------

    def run(self, verb: str, place: Place, last: int, other: Path = Path()) -> bool:
        died = self.do(verb, place, last, other)
        if not died and verb in {"recover", "union", "import"}:
            place.dead.clear()
        if verb == "recover":
            self.settle(place)
        return died

    def settle(self, place: Place) -> None:
        """Of a run that has ended here, only one thing can be true from now on: what a reader sees, if it may be."""
        for run in self.check(place, place.store.reader()):
            if not run.status.startswith("running"):
                kept = place.runs[run.run_id]
                told = tell(place.store.reader(), run)
                kept.may_be = [content for content in kept.may_be if content.told() == told][:1]

    @rule(verb=st.sampled_from(["recover", "compact", "brief", "quarantine"]), at=places, last=deaths)
    def tidy_up(self, verb: str, at: int, last: int) -> None:
        self.run(verb, self.places[at], last)

    @rule(at=places, which=some, pinned=st.booleans())
    def pin(self, at: int, which: int, pinned: bool) -> None:
        place = self.places[at]
        if place.runs:
            run_id = list(place.runs)[which % len(place.runs)]
            note = place.store.annotate(run_id, tags={PIN: "yes" if pinned else "no"}, note="", who="ada")
            place.notes[note.annotation_id] = note

    @rule(at=places, last=deaths)
    def collect(self, at: int, last: int) -> None:
        place = self.places[at]
        writing = {run_id for process in self.living for run_id in process.runs if process.place == at}
        for run_id in place.runs.keys() - place.pinned() - writing:
            place.runs[run_id].gone = True  # perhaps
        died = self.run("gc", place, last)
        assert died or not (place.store.path / "trash").exists() or not any((place.store.path / "trash").iterdir())

    # -- from one store to the other -------------------------------------------------------------------------------

    def ended(self, place: Place) -> dict[str, Kept]:
        self.settle(place)
        over = {run.run_id for run in place.store.reader().runs() if not run.status.startswith("running")}
        return {run_id: kept for run_id, kept in place.runs.items() if run_id in over}

    def take(
        self, at: int, verb: str, other: Path, offered: dict[str, Kept], notes: dict[str, Annotation], last: int
    ) -> None:
        place = self.places[at]
        writing = {run_id for process in self.living for run_id in process.open_runs if process.place == at}
        died = self.run(verb, place, last, other)
        seen = {run.run_id for run in place.store.reader().runs()}
        for run_id in sorted(offered.keys() - writing):
            here, there = place.runs.get(run_id), offered[run_id]
            if here is None:
                if run_id in seen or not died:
                    place.runs[run_id] = deepcopy(there)
            elif not any(content.finished for content in here.may_be):
                both = [*here.may_be, *deepcopy(there.may_be)]
                here.may_be = both if died or len(both) > 2 else [max(both, key=Content.rank)]
                here.gone |= there.gone
        self.settle(place)
        present = {path.stem for path in (place.store.path / "annotations").glob("*.json")}
        assert place.notes.keys() <= present <= place.notes.keys() | notes.keys()
        assert died or notes.keys() <= present
        place.notes |= {name: note for name, note in notes.items() if name in present}

    @rule(at=places, last=deaths)
    def merge(self, at: int, last: int) -> None:
        source = self.places[1 - at]
        self.take(at, "union", source.store.path, self.ended(source), dict(source.notes), last)

    @rule(at=places, last=deaths)
    def merge_a_copy_taken_for_over(self, at: int, last: int) -> None:
        """Copy a store while its runs go on, as a synchronised folder is, and take their processes for dead."""
        self.count += 1
        source, copy = self.places[1 - at], Place(self.folder / f"copy-{self.count}")
        shutil.rmtree(copy.store.path)
        shutil.copytree(source.store.path, copy.store.path, ignore=shutil.ignore_patterns("*.lock"))
        copy.runs = deepcopy(source.runs)
        self.run("recover", copy, 0)
        self.take(at, "union", copy.store.path, self.ended(copy), dict(source.notes), last)
        shutil.rmtree(copy.folder)

    @rule(at=places, which=some, last=deaths)
    def import_one(self, at: int, which: int, last: int) -> None:
        source = self.places[1 - at]
        whole = {run_id: kept for run_id, kept in self.ended(source).items() if not kept.gone}
        if whole:
            run_id = sorted(whole)[which % len(whole)]
            bundle = self.folder / "run.mlrun"
            export_run(source.store.path, run_id, bundle, choice="all")
            notes = {name: note for name, note in source.notes.items() if note.run_id == run_id}
            self.take(at, "import", bundle, {run_id: whole[run_id]}, notes, last)

    # -- what must always hold -------------------------------------------------------------------------------------

    @invariant()
    def readers_of_any_age_see_what_was_acknowledged(self) -> None:
        for place in self.places:
            self.check(place, place.old_reader)

    @rule(at=places)
    def a_new_reader_sees_the_same_and_nothing_is_damaged(self, at: int) -> None:
        place = self.places[at]
        self.check(place, Store.open(place.store.path).reader())
        if not place.dead:
            assert list(verify_store(place.store)) == []

    def check(self, place: Place, reader: Reader) -> list[RunRecord]:
        found = reader.runs()
        assert reader.damaged() == ()
        assert sorted(run.run_id for run in found) == sorted(place.runs)
        dead = {run_id for process in place.dead for run_id in process.runs}
        writing = {run_id for process in self.living for run_id in process.open_runs if process.place in self.at(place)}
        for run in found:
            kept, told = place.runs[run.run_id], tell(reader, run)
            (content, *_) = [content for content in kept.may_be if content.told() == told]
            if run.run_id in writing:
                assert run.status == "running"
            elif run.run_id not in dead:
                assert run.status in {"finished", "orphaned"}
            if not run.status.startswith("running"):
                row = replace(run, tags=content.tags)  # a pin is no part of the row
                assert run.digest == compute_run_digest(row)
                assert content.digest in {"", run.digest}
            for artifact in run.artifacts:
                try:
                    assert reader.read_artifact(run, artifact.name) == content.artifacts[artifact.name]
                except (ArtifactError, StoreDamagedError):
                    assert kept.gone or (run.run_id in dead and len(kept.may_be) > 1)
        return found

    def at(self, place: Place) -> list[int]:
        return [number for number, other in enumerate(self.places) if other is place]

    def teardown(self) -> None:
        for process in list(self.living):
            self.bury(process)
        for at in (0, 1):
            self.run("recover", self.places[at], 0)
        for at in (0, 1, 0):
            self.merge(at, 0)
            self.tidy_up("compact", at, 0)
        for place in self.places:
            self.check(place, Store.open(place.store.path).reader())
            assert list(verify_store(place.store)) == []
            assert list((place.store.path / "live").iterdir()) == []
            assert len(list((place.store.path / "seg").iterdir())) <= 1
            assert not [path.name for path in (place.store.path / "tmp").iterdir() if path.suffix in {".seg", ".pts"}]
        digests = [{run.run_id: run.digest for run in place.store.reader().runs()} for place in self.places]
        assert digests[0] == digests[1]
        shutil.rmtree(self.folder)


def machine_of(do: Do) -> type[RuleBasedStateMachine]:
    class Machine(WholeMachine):
        def __init__(self) -> None:
            super().__init__(do)

    return Machine


def test_what_was_acknowledged_is_there_once_whatever_dies_at_any_instant() -> None:
    run_state_machine_as_test(
        machine_of(die_here), settings=settings(max_examples=4, stateful_step_count=20, deadline=None)
    )


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_what_was_acknowledged_is_there_once_whatever_dies_at_any_instant_many_times() -> None:
    run_state_machine_as_test(
        machine_of(die_here), settings=settings(max_examples=200, stateful_step_count=50, deadline=None)
    )


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_what_was_acknowledged_is_there_once_whichever_process_is_killed() -> None:
    with processes_that_die() as do:
        run_state_machine_as_test(
            machine_of(do), settings=settings(max_examples=40, stateful_step_count=40, deadline=None)
        )
