"""Stores that record, are copied while runs go on, and are merged in any order, hold equal sets in the end."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from pytest_mlrun.records.run import Artifact, RunEnd, RunStart
from pytest_mlrun.store.bundle import open_bundle
from pytest_mlrun.store.bundle_write import export_run
from pytest_mlrun.store.store import Store
from pytest_mlrun.store.verify import verify_store
from pytest_mlrun.store.writer import LogWriter

COUNT = 3
some = st.integers(0, COUNT - 1)
Told = dict[str, tuple[object, ...]]


def tell(store: Store) -> Told:
    """Everything about runs that have ended."""
    reader = store.reader()
    return {
        run.run_id: (
            run.status,
            run.digest,
            repr(run),
            {name: repr(reader.series(run.run_id, name).values.tolist()) for name in run.series},
            [reader.read_artifact(run, artifact.name) for artifact in run.artifacts],
            reader.annotations(run.run_id),
        )
        for run in reader.runs()
        if not run.status.startswith("running")
    }


class MergeMachine(RuleBasedStateMachine):
    """Three stores; what each run finally is, only its writer knows."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="merge-machine-"))
        self.stores = [Store.open(self.folder / f"{at}", create=True) for at in range(COUNT)]
        self.going: list[tuple[int, LogWriter, str]] = []
        self.final: dict[str, tuple[str, str]] = {}
        self.homes: list[set[str]] = [set() for _ in range(COUNT)]
        self.numbers = itertools.count(1)

    @rule(at=some)
    def begin(self, at: int) -> None:
        number = next(self.numbers)
        run_id = f"01920000-0000-7000-8000-{number:012x}"
        writer = self.stores[at].writer(session_id="s")
        writer.start(RunStart(run_id, "s", "machine", f"run-{number}", "test_a.py::test", params={"seed": "1"}))
        self.going.append((at, writer, run_id))

    @precondition(lambda self: self.going)
    @rule(which=st.integers(0, 9), values=st.lists(st.floats(), min_size=1, max_size=3))
    def log(self, which: int, values: list[float]) -> None:
        at, writer, run_id = self.going[which % len(self.going)]
        channel = writer.channel(run_id, "loss")
        for step, value in enumerate(values):
            writer.append(channel, value, step)
        number = next(self.numbers)
        staged = self.stores[at].objects.stage_bytes(b"object %d" % (number % 4))
        writer.artifact(run_id, Artifact(f"file-{number}", staged.digest, staged.size_bytes))
        self.stores[at].objects.publish(staged)

    @precondition(lambda self: self.going)
    @rule(which=st.integers(0, 9), at=some)
    def leave_a_beginning_elsewhere(self, which: int, at: int) -> None:
        """Copy a store while a run goes on, as a synchronised folder is, and take the copy for over."""
        home, _, run_id = self.going[which % len(self.going)]
        if at == home or run_id in self.homes[at]:
            return
        copy = self.folder / f"copy-{next(self.numbers)}"
        shutil.copytree(self.stores[home].path, copy, ignore=shutil.ignore_patterns("*.lock"))
        Store.open(copy).recover()
        self.stores[at].merge(Store.open(copy))
        self.homes[at] |= {run.run_id for run in Store.open(copy).reader().runs()}

    @precondition(lambda self: self.going)
    @rule(which=st.integers(0, 9), ends=st.booleans())
    def end(self, which: int, ends: bool) -> None:
        at, writer, run_id = self.going.pop(which % len(self.going))
        if ends:
            writer.finish(run_id, RunEnd("finished", "passed"))
        writer.seal()
        (run,) = [run for run in self.stores[at].reader().runs() if run.run_id == run_id]
        self.final[run_id] = (run.status, run.digest)
        self.homes[at].add(run_id)

    @rule(at=some, number=st.integers(1, 9))
    def annotate(self, at: int, number: int) -> None:
        run_id = f"01920000-0000-7000-8000-{number:012x}"
        self.stores[at].annotate(run_id, tags={"at": str(at)}, note="", who="ada")

    @rule(mine=some, theirs=some)
    def merge(self, mine: int, theirs: int) -> None:
        if mine == theirs:
            return
        before = tell(self.stores[theirs])
        self.stores[mine].merge(self.stores[theirs])
        assert tell(self.stores[theirs]) == before
        busy = {run_id for at, _, run_id in self.going if at == mine}
        assert before.keys() - busy <= tell(self.stores[mine]).keys()
        again = self.stores[mine].merge(self.stores[theirs])
        assert (again.added, again.superseded, again.annotations, again.objects, again.lost) == ((), (), 0, 0, ())

    @rule(mine=some, theirs=some)
    def import_one(self, mine: int, theirs: int) -> None:
        told = tell(self.stores[theirs])
        busy = {run_id for _, _, run_id in self.going}
        for run_id in sorted(told.keys() - busy)[:1]:
            file = self.folder / "run.mlrun"
            export_run(self.stores[theirs].path, run_id, file, choice="all")
            self.stores[mine].take_bundle(open_bundle(file))
            assert run_id in tell(self.stores[mine])

    def teardown(self) -> None:
        while self.going:
            self.end(0, ends=True)
        unions = []
        for order in itertools.permutations(range(COUNT)):
            union = Store.open(self.folder / f"union-{order}", create=True)
            for at in order:
                union.merge(self.stores[at])
            assert list(verify_store(union)) == []
            unions.append(tell(union))
        # Associative: first two of them, then the third; and back again.
        pair = Store.open(self.folder / "pair", create=True)
        pair.merge(self.stores[1])
        pair.merge(self.stores[2])
        self.stores[0].merge(pair)
        unions.append(tell(self.stores[0]))
        pair.merge(self.stores[0])
        unions.append(tell(pair))
        assert all(told == unions[0] for told in unions)
        assert {run_id: told[:2] for run_id, told in unions[0].items()} == self.final
        shutil.rmtree(self.folder)


def test_stores_merged_in_any_order_hold_equal_sets() -> None:
    run_state_machine_as_test(MergeMachine, settings=settings(max_examples=6, stateful_step_count=12, deadline=None))


@pytest.mark.slow
def test_stores_merged_in_any_order_hold_equal_sets_many_times() -> None:
    run_state_machine_as_test(MergeMachine, settings=settings(max_examples=100, stateful_step_count=25, deadline=None))
