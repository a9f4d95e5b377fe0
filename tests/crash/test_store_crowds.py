"""Many processes that record, tidy up, merge and read at once, killed or not, leave every run once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from pytest_mlrun.store.layout import list_segments
from pytest_mlrun.store.store import Store
from pytest_mlrun.store.verify import verify_store
from tests.crash.store_crowd import ATTEMPTS, body_of
from tests.crash.store_jobs import Server, check_recovered, read_acks


def run_crowd(server: Server, folder: Path, *, count: int, runs: int, kills: int = 0, seed: int = 0) -> None:
    codes = server("crowd", folder, count=count, runs=runs, kills=kills, seed=seed, stop=str(folder / "stop"))
    assert set(codes) == ({0, -9} if kills else {0})
    assert codes.count(-9) <= kills
    for _ in range(2):
        assert server("heal", folder) == [0]
    check_recovered(folder)
    check_each_finished_once(folder, count=count, runs=runs, kills=kills)
    check_objects(folder)


def check_each_finished_once(folder: Path, *, count: int, runs: int, kills: int) -> None:
    """Of each run of each process, in whichever life, there is one that finished; of what was killed, a beginning."""
    everything = Store.open(folder / "store").reader().runs()
    finished = Counter(
        (int(run.run_id[:8], 16), int(run.run_id[-12:], 16) % ATTEMPTS)
        for run in everything
        if run.status == "finished" and int(run.run_id[:8], 16) <= count
    )
    assert finished == Counter((nonce, number) for nonce in range(1, count + 1) for number in range(runs))
    assert [run.status for run in everything if run.status != "finished"] <= ["orphaned"] * kills
    merged = {run.run_id for run in everything if run.run_id.startswith("000000e")}
    assert {str(ack[1]) for ack in read_acks(folder) if str(ack[1]).startswith("000000e")} <= merged
    assert merged != set()
    assert len(list_segments(folder / "store")) == 1


def check_objects(folder: Path) -> None:
    """What a run that is to stay refers to was never collected; what nobody keeps was."""
    store = Store.open(folder / "store")
    reader = store.reader()
    kept = [run for run in reader.runs() if run.tags.get("keep") and run.status == "finished"]
    for run in kept:
        assert reader.read_artifact(run, "model") == body_of(int(run.run_id[-12:], 16) % ATTEMPTS)
    assert kept != []
    assert list(verify_store(store)) == []


@pytest.mark.slow
def test_whoever_records_tidies_up_merges_and_reads_beside_each_other_loses_and_doubles_nothing(
    server: Server, tmp_path: Path
) -> None:
    run_crowd(server, tmp_path, count=3, runs=20)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_eight_processes_of_two_hundred_runs_leave_each_of_1600_once(server: Server, tmp_path: Path) -> None:
    run_crowd(server, tmp_path, count=8, runs=200)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_eight_processes_killed_at_random_until_all_is_done_leave_each_of_1600_once(
    server: Server, tmp_path: Path, seed: int
) -> None:
    run_crowd(server, tmp_path, count=8, runs=200, kills=60, seed=seed)
