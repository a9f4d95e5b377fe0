"""Record, compact, collect, merge and read beside each other, while somebody kills."""

from __future__ import annotations

import itertools
import json
import os
import random
import select
import signal
from collections.abc import Callable
from pathlib import Path

from pytest_mlrun.errors import StoreError
from pytest_mlrun.records.identity import now_us
from pytest_mlrun.records.run import Artifact, RunStart
from pytest_mlrun.store.reader import Reader
from pytest_mlrun.store.store import Store
from pytest_mlrun.store.writer import LogWriter
from tests.crash.store_dying import ENDED, Acks, Job, deadly, open_store, points_of, run_id
from tests.crash.store_jobs import collect_a_year_later

ATTEMPTS = 1 << 24
"""Numbers of runs are below it: what is above is the attempt."""
KEEPERS = ("keep_compacting", "keep_compacting briefly", "keep_collecting", "keep_merging")
_AT_WORK = ("another gc is at work", "changes faster", "was not free")


def crowd(job: Job) -> None:
    """Record runs one by one into a crowded store, sealing often; leave out those that an earlier life finished."""
    acks = Acks(Path(str(job["acks"])))
    store = open_store(job)
    done = list_finished(store, int(job["nonce"]))
    writer = store.writer(session_id="s")
    for number in sorted(set(range(int(job["runs"]))) - done):
        run = run_id(job, number + ATTEMPTS * int(job["life"]))
        acks.write("finish", run, record(store, writer, run, number))
        if number % 5 == 4:
            writer.close()
            writer = store.writer(session_id="s")
    writer.close()


def list_finished(store: Store, nonce: int) -> set[int]:
    """List the numbers of the runs of one process that have finished, in whichever of its lives."""
    runs = [run for run in store.reader().runs() if run.status == "finished" and run.run_id[:8] == f"{nonce:08x}"]
    return {int(run.run_id[-12:], 16) % ATTEMPTS for run in runs}


def record(store: Store, writer: LogWriter, run: str, number: int) -> str:
    """Record a run with points and an object that others have too; every fourth is to stay for ever."""
    writer.start(RunStart(run, "s", "crash", f"run-{number}", "test_crash.py::test"))
    if number % 4 == 0:
        writer.tags(run, {"keep": "yes"})
    staged = store.objects.stage_bytes(body_of(number))
    writer.artifact(run, Artifact("model", staged.digest, staged.size_bytes, time_us=now_us()))
    store.objects.publish(staged)
    loss = writer.channel(run, "loss")
    for step in range(points_of(number)):
        writer.append(loss, step / 7, step)
    return writer.finish(run, ENDED).digest


def body_of(number: int) -> bytes:
    """Say what the object of a run is: the same for many runs, of which some keep it."""
    return b"object %d" % (number % 23)


def _pause() -> None:
    select.select([], [], [], 0.02)


def keep_compacting(job: Job) -> None:
    """Recover and compact until told to stop."""
    store, stop = open_store(job), Path(str(job["stop"]))
    while not stop.exists():
        store.recover()
        store.compact(brief=bool(job.get("brief", 0)))
        _pause()


def keep_collecting(job: Job) -> None:
    """Delete what nobody pins until told to stop."""
    store, stop = open_store(job), Path(str(job["stop"]))
    while not stop.exists():
        try:
            collect_a_year_later(store.path, steps=deadly(job))
        except StoreError as error:
            if not any(text in error.headline for text in _AT_WORK):
                raise
        _pause()


def keep_merging(job: Job) -> None:
    """Record runs into another store and merge it into this one until told to stop."""
    acks, stop = Acks(Path(str(job["acks"]))), Path(str(job["stop"]))
    store, other = open_store(job), Store.open(Path(str(job["store"])).with_name("other"), create=True)
    for number in itertools.count(ATTEMPTS * int(job["life"])):
        if stop.exists():
            return
        writer = other.writer(session_id="s")
        digest = record(other, writer, run_id(job, number), number % ATTEMPTS)
        writer.close()
        if store.merge(other).lost:
            raise SystemExit("a merge lost a run")
        acks.write("finish", run_id(job, number), digest)
        _pause()


def keep_reading(job: Job) -> None:
    """Read until told to stop: nothing twice, and nothing that finished ever missing or without its points."""
    acks, stop = Path(str(job["acks"])), Path(str(job["stop"]))
    reader = Reader(Path(str(job["store"])))
    looks = 0
    while not stop.exists():
        lines = acks.read_text().rpartition("\n")[0].splitlines() if acks.exists() else []
        finished = [json.loads(line)[1] for line in lines]
        seen = reader.runs()
        runs = {run.run_id: run for run in seen}
        if len(runs) != len(seen):
            raise SystemExit("a run is there twice")
        if not set(finished) <= runs.keys():
            raise SystemExit("a finished run is not there")
        for run_id_ in finished[-3:]:
            reader.series(run_id_, "loss")
            if runs[run_id_].tags.get("keep"):
                reader.read_artifact(runs[run_id_], "model")
        if reader.damaged():
            raise SystemExit("something is damaged")
        looks += 1
        _pause()
    if not looks:
        raise SystemExit("nothing was read")


def run_crowd(job: Job, *, start: Callable[[Job], int], end: Callable[[int], int]) -> list[int]:
    """Run writers beside those who tidy up, merge and read; kill some, if asked, and let them live again."""
    stop, chance = Path(str(job["stop"])), random.Random(int(job.get("seed", 0)))
    kills, codes = int(job.get("kills", 0)), []
    jobs = [{**job, "nonce": nonce + 1, "life": 0} for nonce in range(int(job["count"]))]
    for at, name in enumerate(KEEPERS):
        verb, _, briefly = name.partition(" ")
        jobs.append({**job, "verb": verb, "brief": int(bool(briefly)), "nonce": 0xE0 + at, "life": 0})
    living = {start(one): one for one in jobs}
    reader = start({**job, "verb": "keep_reading"})
    while any(one["verb"] == "crowd" for one in living.values()):
        if kills and chance.random() < 0.1:
            kills -= 1
            os.kill(chance.choice(sorted(living)), signal.SIGKILL)
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == reader:
            raise SystemExit("the reader ended before it was told to")
        if pid:
            ended, code = living.pop(pid), os.waitstatus_to_exitcode(status)
            codes.append(code)
            if code not in {0, -signal.SIGKILL}:
                raise SystemExit(f"{ended['verb']} ended with {code}")
            if code:
                again: Job = {**ended, "life": int(ended["life"]) + 1}
                living[start(again)] = again
        _pause()
    stop.touch()
    return codes + [end(pid) for pid in (*living, reader)]
