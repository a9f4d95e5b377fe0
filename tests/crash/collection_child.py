"""Collect, or write, in processes that die: a server that forks one child a job, and never works itself.

A job is a line of JSON on standard input, its answer a line of JSON on standard output; see ``store_child.py``.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import NoReturn

from pytest_mlrun.errors import StoreError
from pytest_mlrun.records.identity import new_id, now_us
from pytest_mlrun.records.retention import Fate, Fates
from pytest_mlrun.records.run import Artifact, RunEnd, RunRecord, RunStart
from pytest_mlrun.store.collection import collect
from pytest_mlrun.store.files import Steps
from pytest_mlrun.store.store import Store
from pytest_mlrun.store.writer import LogWriter
from tests.crash.parents import end_without

KEPT, EXPIRED, LIVE = Fate("kept", kept=True), Fate("expired", kept=False), Fate("live", kept=True)
ENDED = RunEnd("finished", "passed")
Job = dict[str, str | int]


def decide(runs: Sequence[RunRecord], live: AbstractSet[str]) -> Fates:
    """Keep runs whose name says so, and those under way."""
    fates = {run.run_id: LIVE if run.run_id in live else KEPT if "keep" in run.name else EXPIRED for run in runs}
    return Fates(dict(sorted(fates.items(), key=lambda entry: not entry[1].kept)))


def put(store: Store, writer: LogWriter, run_id: str, name: str, content: bytes, role: str = "artifact") -> None:
    """Log an artifact as a recording does."""
    staged = store.objects.stage_bytes(content)
    writer.artifact(run_id, Artifact(name, staged.digest, staged.size_bytes, role=role, time_us=now_us()))
    store.objects.publish(staged)


class Deadly(Steps):
    """Write down every step reached, let a late writer come in, and end the process at one of the steps."""

    def __init__(self, job: Job, store: Store) -> None:
        self._job = job
        self._store = store
        self._trace = os.open(str(job["trace"]), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._left = int(job["last"])

    def reach(self, step: str) -> None:
        os.write(self._trace, f"{step}\n".encode())
        if step == "gc.roots-read" and self._job.get("late"):
            writer = self._store.writer(session_id="late")
            run_id = new_id()
            writer.start(RunStart(run_id, "late", "e", "keep late", "t"))
            put(self._store, writer, run_id, "model", b"wanted again")
            writer.finish(run_id, ENDED)
            writer.close()
        self._left -= 1
        if self._left == 0:
            os._exit(9)


def gc(job: Job) -> None:
    """Collect once."""
    store = Store.open(Path(str(job["store"])))
    collect(store.path, decide, who="ada@laptop", now_us=now_us(), delete=True, steps=Deadly(job, store))


def write(job: Job) -> None:
    """Record runs that put colliding objects, and look after every put whether what is referred to is there."""
    chance = random.Random(int(job["seed"]))
    store = Store.open(Path(str(job["store"])), create=True)
    for number in range(int(job["sessions"])):
        writer = store.writer(session_id="s")
        for _ in range(4):
            run_id = new_id()
            writer.start(RunStart(run_id, "s", "e", "keep" if chance.random() < 0.2 else "old", "t"))
            mine = [b"object %d" % chance.randrange(40) for _ in range(6)]
            for at, content in enumerate(mine):
                put(store, writer, run_id, f"file-{at}", content)
            record = writer.finish(run_id, ENDED)
            missing = [artifact for artifact in record.artifacts if not store.objects.intact(artifact.digest)]
            if missing:
                raise RuntimeError(f"session {number}: {missing} went under the hands of its owner")
        writer.close()


def collect_for_ever(job: Job) -> None:
    """Collect until killed."""
    store = Store.open(Path(str(job["store"])), create=True)
    while True:
        try:
            collect(store.path, decide, who="ada@laptop", now_us=now_us(), delete=True)
        except StoreError as error:
            if "changes faster" not in error.headline:
                raise


def stress(job: Job) -> None:
    """Let writers write while collections go on and are killed at random."""
    chance = random.Random(int(job["seed"]))
    writers = [_start({**job, "verb": "write", "seed": int(job["seed"]) * 100 + at}) for at in range(4)]
    for _ in range(int(job["kills"])):
        collector = _start({**job, "verb": "collect_for_ever"})
        time.sleep(chance.uniform(0.05, 0.4))
        os.kill(collector, signal.SIGKILL)
        if _end(collector) != -signal.SIGKILL:
            raise RuntimeError("a collection failed")
    codes = [_end(writer) for writer in writers]
    if any(codes):
        raise RuntimeError(f"writers ended with {codes}")


VERBS = {"gc": gc, "write": write, "collect_for_ever": collect_for_ever, "stress": stress}


def _child(job: Job) -> NoReturn:
    code = 1
    try:
        VERBS[str(job["verb"])](job)
        code = 0
    finally:
        if code:
            traceback.print_exc()
        os._exit(code)


def _start(job: Job) -> int:
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        end_without(parent)
        _child(job)
    return child


def _end(child: int) -> int:
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def serve() -> None:
    """Answer jobs until standard input ends."""
    for line in sys.stdin:
        code = _end(_start({"last": 0, **json.loads(line)}))
        sys.stdout.write(json.dumps([code]) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    end_without(int(sys.argv[1]))
    serve()
