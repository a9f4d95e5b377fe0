"""A process that is killed anywhere loses nothing that it was told is recorded, and doubles nothing."""

from __future__ import annotations

import json
import os
import random
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.store.reader import Reader
from pytest_mlrun.store.store import Store
from pytest_mlrun.store.verify import verify_store

KILLED = [-9]
Server = Callable[..., list[int]]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Send jobs to processes that may die."""
    command = [sys.executable, str(Path(__file__).with_name("store_child.py"))]
    # Not measured: a killed process leaves a coverage file that spoils the others when they are combined.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        stdin, stdout = process.stdin, process.stdout
        if stdin is None or stdout is None:
            pytest.fail("the server has no pipes")

        def send(verb: str, folder: Path, **facts: str | int) -> list[int]:
            job = {"store": str(folder / "store"), "acks": str(folder / "acks"), "trace": str(folder / "trace")}
            stdin.write(json.dumps({"verb": verb, **job, **facts}) + "\n")
            stdin.flush()
            codes: list[int] = json.loads(stdout.readline())
            return codes

        yield send
        stdin.close()
        process.wait(timeout=30)


def read_acks(folder: Path) -> list[list[object]]:
    path = folder / "acks"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def read_trace(folder: Path) -> list[str]:
    return (folder / "trace").read_text().splitlines()


def check_acks(folder: Path, runs: list[RunRecord]) -> None:
    """Compare what the store shows with what calls returned from."""
    reader = Reader(folder / "store")
    by_id = {run.run_id: run for run in runs}
    assert len(by_id) == len(runs), "a run is doubled"
    points: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for kind, run_id, *facts in read_acks(folder):
        run = by_id[str(run_id)]
        if kind == "param":
            assert run.params[str(facts[0])] == facts[1]
        elif kind == "metric":
            assert run.metrics[str(facts[0])] == facts[1]
        elif kind == "finish":
            assert (run.status, run.digest) == ("finished", facts[0])
        elif kind == "point":
            points.setdefault((str(run_id), str(facts[0])), []).append((int(str(facts[1])), float(str(facts[2]))))
    for (run_id, name), expected in points.items():
        series = reader.series(run_id, name)
        found = list(zip(series.steps.tolist(), series.values.tolist(), strict=True))
        # One more point may be there: its call was on the way back when the process died.
        assert found[: len(expected)] == expected
        assert len(found) <= len(expected) + 1


def check_recovered(folder: Path) -> None:
    store = Store.open(folder / "store")
    store.recover()

    runs = store.reader().runs()

    check_acks(folder, runs)
    assert {run.status for run in runs} <= {"finished", "orphaned"}
    assert list((folder / "store" / "live").iterdir()) == []
    assert list((folder / "store" / "tmp").glob("*.seg")) == []
    assert list(verify_store(store)) == []
    assert store.recover() == ()


def steps_worth_a_kill(trace: list[str]) -> list[int]:
    """Choose the first and last occurrence of every step, counted from 1."""
    first = {step: at for at, step in reversed(list(enumerate(trace, start=1)))}
    last = {step: at for at, step in enumerate(trace, start=1)}
    return sorted({*first.values(), *last.values()})


@pytest.mark.parametrize("verb", ["work", "finish", "seal"])
def test_a_kill_at_any_step_of_recording_loses_and_doubles_nothing(server: Server, tmp_path: Path, verb: str) -> None:
    rehearsal = tmp_path / "rehearsal"
    rehearsal.mkdir()
    assert server(verb, rehearsal) == [0]
    check_recovered(rehearsal)
    steps = steps_worth_a_kill(read_trace(rehearsal))

    for last in steps:
        folder = tmp_path / f"{last}"
        folder.mkdir()
        assert server(verb, folder, last=last) == KILLED
        if (folder / "store" / "mlrun.json").exists():
            check_acks(folder, Reader(folder / "store").runs())
            check_recovered(folder)

    assert len(steps) > (20 if verb == "work" else 30)


@pytest.mark.parametrize("unfinished", [True, False])
def test_a_kill_at_any_step_of_recovery_is_healed_by_the_next(server: Server, tmp_path: Path, unfinished: bool) -> None:
    dead = tmp_path / "dead"
    dead.mkdir()
    if unfinished:
        assert server("work", dead) == [0]
    else:
        assert server("seal", tmp_path / "dead", last=before_seal(server, tmp_path)) == KILLED
    assert list((dead / "store" / "live").glob("*.arrows")) != []
    rehearsal = copy_folder(dead, tmp_path / "rehearsal")
    assert server("recover", rehearsal) == [0]
    steps = len(read_trace(rehearsal))

    for last in range(1, steps + 1):
        folder = copy_folder(dead, tmp_path / f"{last}")
        assert server("recover", folder, last=last) == KILLED
        check_acks(folder, Reader(folder / "store").runs())
        check_recovered(folder)

    assert steps >= 8


def before_seal(server: Server, tmp_path: Path) -> int:
    rehearsal = tmp_path / "whole"
    rehearsal.mkdir()
    assert server("seal", rehearsal) == [0]
    return read_trace(rehearsal).index("seal.begin") + 1


def copy_folder(source: Path, target: Path) -> Path:
    shutil.copytree(source, target)
    (target / "trace").write_text("")
    return target


def test_eight_processes_that_use_a_new_store_first_lose_nothing(server: Server, tmp_path: Path) -> None:
    assert server("first", tmp_path, count=8) == [0] * 8

    store = Store.open(tmp_path / "store")
    runs = store.reader().runs()

    assert {run.run_id[:8] for run in runs} == {f"{number:08x}" for number in range(1, 9)}
    assert {run.status for run in runs} == {"finished"}
    assert {str(fact) for _, fact in read_acks(tmp_path)} == {store.store_id}
    assert list(verify_store(store)) == []


def test_a_forked_child_is_refused_and_its_parent_goes_on(server: Server, tmp_path: Path) -> None:
    assert server("fork", tmp_path) == [0]

    store = Store.open(tmp_path / "store")
    (run,) = store.reader().runs()

    refusal = "this run belongs to the parent process: a forked child cannot log to it"
    assert read_acks(tmp_path) == [["refused", refusal], ["refused", refusal], ["lock", "still held"]]
    assert (run.status, run.tags) == ("finished", {})
    assert store.reader().series(run.run_id, "loss").values.tolist() == [0.0, 1.0]


def test_a_child_that_outlives_its_killed_parent_does_not_hold_up_recovery(server: Server, tmp_path: Path) -> None:
    assert server("survivor", tmp_path) == KILLED

    (run,) = Store.open(tmp_path / "store").recover()

    assert (run.status, run.metrics) == ("orphaned", {"loss": 0.5})


@pytest.mark.parametrize(("what", "limit"), [("points", 100_000), ("events", 100_000)])
def test_a_full_disk_is_one_clear_error_and_costs_nothing_recorded_before(
    server: Server, tmp_path: Path, what: str, limit: int
) -> None:
    assert server("full", tmp_path, what=what, limit=limit) == [0]

    ((_, kind, headline, where, number),) = read_acks(tmp_path)
    (run,) = Store.open(tmp_path / "store").recover()

    assert (kind, headline) == ("StoreWriteError", "the run store cannot be written: the file-size limit is reached")
    assert str(where).startswith(str(tmp_path / "store" / "live"))
    assert isinstance(number, int)
    if what == "points":
        assert Reader(tmp_path / "store").series(run.run_id, "loss").steps.tolist() == list(range(number))
        assert run.tags == {"small": "still fits"}
    else:
        assert sorted(run.tags) == sorted(f"tag-{at}" for at in range(number))
    assert list(verify_store(Store.open(tmp_path / "store"))) == []


def stream_points(number: int) -> int:
    return 3000 if number % 10 == 9 else 20 + 37 * number % 200


def stream_run(nonce: int, number: int) -> str:
    return f"{nonce:08x}-0000-7000-8000-{number:012x}"


def kill_streams(server: Server, folder: Path, *, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    for nonce in range(1, kills + 1):
        acks = folder / "acks"
        acks.write_bytes(bytes(16))

        assert server("stream", folder, nonce=nonce, kill_at=chance.randrange(1, 4000)) == KILLED

        points, finished = struct.unpack("<qq", acks.read_bytes())
        store = Store.open(folder / "store")
        runs = {run.run_id: run for run in store.recover()}
        for number in range(finished):
            run = runs[stream_run(nonce, number)]
            assert run.status == "finished"
            assert run.series["loss"].startswith(f"{stream_points(number)}:sha256:")
            points -= stream_points(number)
        if points > 0:
            series = store.reader().series(stream_run(nonce, finished), "loss")
            count = len(series)
            assert points <= count <= stream_points(finished)
            assert series.steps.tolist() == list(range(count))
            assert series.values.tolist() == [step / 7 for step in range(count)]
    everything = Store.open(folder / "store").reader().runs()
    assert len({run.run_id for run in everything}) == len(everything)
    assert {run.status for run in everything} <= {"finished", "orphaned"}
    assert list(verify_store(Store.open(folder / "store"))) == []


def test_ten_kills_at_random_instants_lose_no_returned_point(server: Server, tmp_path: Path) -> None:
    kill_streams(server, tmp_path, kills=10, seed=1)


@pytest.mark.slow
def test_two_hundred_kills_at_random_instants_lose_no_returned_point(server: Server, tmp_path: Path) -> None:
    kill_streams(server, tmp_path, kills=200, seed=2)
