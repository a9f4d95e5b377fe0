"""Whatever order things happen in, selections run once, last, and the session ends."""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from xdist.scheduler import (  # type: ignore[import-untyped]
    LoadFileScheduling,
    LoadGroupScheduling,
    LoadScheduling,
    LoadScopeScheduling,
    WorkStealingScheduling,
)

from pytest_mlrun.session.holding import HoldingScheduler

SCHEDULERS = [LoadScheduling, LoadScopeScheduling, LoadFileScheduling, LoadGroupScheduling, WorkStealingScheduling]
END = -1
MOST_STEPS = 2000


class Worker:
    """One xdist worker: it starts a test only when it knows the next one, or that there is none."""

    def __init__(self, name: str) -> None:
        self.gateway = SimpleNamespace(id=name)
        self.queue: deque[int] = deque()
        self.current: int | None = None
        self.shutting_down = False
        self.steal: list[int] | None = None
        self.ended = False

    def send_runtest_some(self, indices: Sequence[int]) -> None:
        self.queue.extend(indices)

    def send_steal(self, indices: Sequence[int]) -> None:
        self.steal = list(indices)

    def shutdown(self) -> None:
        self.queue.append(END)
        self.shutting_down = True

    def fetch(self) -> None:
        if self.current is None and self.queue:
            self.current = self.queue.popleft()
            self.ended = self.current == END

    @property
    def ready(self) -> bool:
        return self.current is not None and bool(self.queue)


class Controller:
    """What xdist's controller does with a scheduler, one event at a time, in an order that chance decides."""

    def __init__(self, scheduler: type[Any], collection: list[str], *, workers: int, chance: random.Random) -> None:
        self.collection = collection
        self.selections = frozenset(name for name in collection if "winner" in name)
        self.chance = chance
        option = SimpleNamespace(loadscopereorder=True)
        config = SimpleNamespace(
            getvalue=lambda _: ["popen"] * workers, getoption=lambda _: None, option=option, hook=None
        )
        self.released = 0
        self.done: list[tuple[str, str]] = []
        self.early: list[str] = []
        self.crashed: list[str] = []
        self.workers: list[Worker] = []
        self.ending = False
        self.sched = HoldingScheduler(scheduler(config), announced=lambda: self.selections, release=self.release)
        for index in range(workers):
            self.workers.append(Worker(f"gw{index}"))
            self.sched.add_node(self.workers[-1])
        for worker in self.workers:
            self.collected(worker)

    def release(self) -> None:
        self.released += 1

    def collected(self, worker: Worker) -> None:
        self.sched.add_node_collection(worker, self.collection)
        if self.sched.collection_is_completed:
            self.sched.schedule()
        self.look()

    def look(self) -> None:
        if self.sched.tests_finished:
            self.end()

    def end(self) -> None:
        if not self.ending:
            self.ending = True
            for worker in self.sched.nodes:
                worker.shutdown()

    def run(self, *, crashes: int = 0, stop_after: int | None = None) -> None:
        for _ in range(MOST_STEPS):
            if not self.workers:
                return
            if crashes and self.chance.random() < 0.1:
                crashes -= 1
                self.crash(self.chance.choice(self.workers))
            elif stop_after is not None and len(self.done) >= stop_after:
                self.end()
            self.step(self.chance.choice(self.workers or [Worker("none")]))
        raise AssertionError(f"the session hangs: {[(w.current, list(w.queue)) for w in self.workers]}")

    def step(self, worker: Worker) -> None:
        worker.fetch()
        if worker.steal is not None:
            asked, worker.steal = worker.steal, None
            given = asked if set(asked) <= set(worker.queue) else []
            worker.queue = deque(index for index in worker.queue if index not in given)
            self.sched.remove_pending_tests_from_node(worker, given)
        elif worker.ended:
            self.workers.remove(worker)
            if worker in self.sched.nodes:
                assert self.sched.remove_node(worker) is None
        elif worker.ready:
            index, worker.current = worker.current, None
            assert index is not None
            worker.fetch()
            name = self.collection[index]
            if name in self.selections and not self.released:
                self.early.append(name)
            self.done.append((name, worker.gateway.id))
            self.sched.mark_test_complete(worker, index)
        self.look()

    def crash(self, worker: Worker) -> None:
        self.workers.remove(worker)
        if worker in self.sched.nodes:
            found = self.sched.remove_node(worker)
            if found is not None:
                self.crashed.append(found)
        self.ending = False
        clone = Worker(worker.gateway.id + "x")
        self.workers.append(clone)
        self.sched.add_node(clone)
        self.collected(clone)

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.done]


def collect(chance: random.Random) -> list[str]:
    files = [f"test_{letter}.py" for letter in "abcd"[: chance.randint(1, 4)]]
    tests = [f"{file}::test_{index}" for file in files for index in range(chance.randint(0, 5))]
    winners = [
        f"{chance.choice(['test_a.py', 'test_z.py'])}::test_winner{index}" for index in range(chance.randint(1, 3))
    ]
    return [*tests, *winners]


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_selections_run_once_last_in_order_and_in_one_worker(scheduler: type[Any]) -> None:
    for seed in range(200):
        chance = random.Random(seed)
        collection = collect(chance)
        session = Controller(scheduler, collection, workers=chance.randint(1, 4), chance=chance)

        session.run()

        tests, winners = split(session)
        assert Counter(session.names) == Counter(collection), seed
        assert (session.early, session.released) == ([], 1), seed
        assert winners == [name for name in collection if "winner" in name], seed
        assert session.names == [*tests, *winners], seed
        assert len({worker for name, worker in session.done if name in winners}) == 1, seed


# After a crash, xdist's schedulers by scope may wait for work units that were done: they hang without us too.
@pytest.mark.parametrize("scheduler", [LoadScheduling, WorkStealingScheduling])
def test_after_crashes_of_any_worker_every_test_ran_and_selections_ran_last(scheduler: type[Any]) -> None:
    for seed in range(200):
        chance = random.Random(seed)
        collection = collect(chance)
        session = Controller(scheduler, collection, workers=chance.randint(1, 4), chance=chance)

        session.run(crashes=chance.randint(1, 3))

        tests, winners = split(session)
        assert set(session.names) | set(session.crashed) == set(collection), seed
        assert session.early == [], seed
        assert max(Counter(winners).values(), default=0) <= 1, seed
        assert session.names == [*tests, *winners], seed


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_new_worker_takes_over_the_selections_of_one_that_crashed(scheduler: type[Any]) -> None:
    collection = ["test_a.py::test_0", "test_b.py::test_0", "test_z.py::test_winner0", "test_z.py::test_winner1"]
    session = Controller(scheduler, collection, workers=2, chance=random.Random(0))
    while not session.released:
        session.step(session.chance.choice(session.workers))

    session.crash(next(worker for worker in session.workers if worker.queue))
    session.run()

    assert session.crashed == ["test_z.py::test_winner0"]
    assert split(session)[1] == ["test_z.py::test_winner1"]
    assert session.released == 1


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_stopped_session_ends_and_releases_no_selection(scheduler: type[Any]) -> None:
    for seed in range(200):
        chance = random.Random(seed)
        collection = [f"test_{letter}.py::test_{index}" for letter in "abc" for index in range(4)]
        collection += ["test_z.py::test_winner0", "test_z.py::test_winner1"]
        session = Controller(scheduler, collection, workers=chance.randint(1, 4), chance=chance)

        session.run(stop_after=chance.randint(0, 5))

        _, winners = split(session)
        assert (session.released, session.early) == (0, winners), seed


def test_without_selections_the_scheduler_is_left_alone() -> None:
    chance = random.Random(0)
    collection = [f"test_a.py::test_{index}" for index in range(9)]
    session = Controller(LoadScheduling, collection, workers=3, chance=chance)

    session.run()

    assert Counter(session.names) == Counter(collection)
    assert session.released == 0


def test_workers_that_collected_differently_end_the_session() -> None:
    reports: list[Any] = []

    def report(**facts: Any) -> None:
        reports.append(facts)

    hook = SimpleNamespace(pytest_collectreport=report)
    config = SimpleNamespace(
        getvalue=lambda _: ["popen"] * 2, getoption=lambda _: None, option=SimpleNamespace(), hook=hook
    )
    sched = HoldingScheduler(LoadScheduling(config), announced=lambda: frozenset({"w1", "w2"}), release=lambda: None)
    workers = [Worker("gw0"), Worker("gw1")]
    for worker, collection in zip(workers, [["a", "w1"], ["a", "w2"]], strict=True):
        sched.add_node(worker)
        sched.add_node_collection(worker, collection)

    sched.schedule()

    assert len(reports) == 1
    assert sched.tests_finished


def test_a_crashed_test_that_is_run_again_holds_the_selection_back() -> None:
    chance = random.Random(0)
    session = Controller(LoadScheduling, ["t0", "t1", "winner"], workers=1, chance=chance)
    (worker,) = session.workers
    session.step(worker)
    assert session.names == ["t0"]

    session.workers.remove(worker)
    crashed = session.sched.remove_node(worker)
    assert crashed == "t1"
    session.sched.mark_test_pending(crashed)
    session.look()
    clone = Worker("gw1")
    session.workers.append(clone)
    session.sched.add_node(clone)
    session.collected(clone)
    session.run()

    assert session.names == ["t0", "t1", "winner"]
    assert session.early == []


def split(session: Controller) -> tuple[list[str], list[str]]:
    winners = [name for name in session.names if name in session.selections]
    return [name for name in session.names if name not in session.selections], winners
