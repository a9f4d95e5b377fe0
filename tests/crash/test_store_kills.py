"""A process that is killed anywhere loses nothing that it was told is recorded, and doubles nothing."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest

from pytest_mlrun.store.reader import Reader
from pytest_mlrun.store.store import Store
from pytest_mlrun.store.verify import verify_store
from tests.crash.store_jobs import (
    KILLED,
    Server,
    check_acks,
    check_recovered,
    copy_folder,
    read_acks,
    read_trace,
    steps_worth_a_kill,
)


@pytest.mark.parametrize(
    "verb", [pytest.param("work", marks=pytest.mark.slow), "finish", pytest.param("seal", marks=pytest.mark.slow)]
)
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
