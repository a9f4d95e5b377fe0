"""Do store work in processes that die: a server that forks one child a job, and never works itself.

A job is a line of JSON on standard input, its answer a line of JSON on standard output. Starting an interpreter for
every kill would take minutes; a fork of this one takes milliseconds.
"""

from __future__ import annotations

import errno
import gc
import json
import mmap
import os
import resource
import signal
import struct
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from pytest_mlrun.errors import MlrunError, RunClosedError, StoreWriteError
from pytest_mlrun.records.identity import now_us
from pytest_mlrun.records.run import Artifact, RunStart
from pytest_mlrun.records.verdict import Verdict
from pytest_mlrun.store.bundle import open_bundle
from pytest_mlrun.store.layout import LogFiles
from pytest_mlrun.store.locks import try_lock
from pytest_mlrun.store.reader import Reader
from pytest_mlrun.store.store import Store
from tests.crash.parents import end_without
from tests.crash.store_crowd import crowd, keep_collecting, keep_compacting, keep_merging, keep_reading, run_crowd
from tests.crash.store_dying import ENDED, Acks, Job, break_disk, deadly, open_store, points_of, run_id
from tests.crash.store_jobs import REFUSED, collect_a_year_later

GROWTH_POINTS = 2100
"""More than the points file holds at first."""


def work(job: Job) -> None:
    """Record two runs that finish, one that does not, and close."""
    acks = Acks(Path(str(job["acks"])))
    writer = open_store(job).writer(session_id="s")
    for number, points in ((1, GROWTH_POINTS), (2, 3), (3, 5)):
        run = run_id(job, number)
        writer.start(RunStart(run, "s", "crash", f"run-{number}", "test_crash.py::test"))
        acks.write("start", run)
        writer.params(run, {"depth": str(number)})
        acks.write("param", run, "depth", str(number))
        loss, accuracy = writer.channels(run, ("loss", "accuracy"))
        for step in range(points):
            writer.append(loss, step / 7, step)
            acks.write("point", run, "loss", step, step / 7)
        writer.append(accuracy, 0.5, None)
        acks.write("metric", run, "accuracy", 0.5)
        if number != 3 or job["verb"] == "finish":
            acks.write("finish", run, writer.finish(run, ENDED).digest)
    if job["verb"] == "seal":
        writer.seal()
    else:
        writer.close()


def everything(job: Job) -> None:
    """Record a run that has an event of every kind, and seal it."""
    acks = Acks(Path(str(job["acks"])))
    store = open_store(job)
    writer = store.writer(session_id="s")
    run = run_id(job, 1)
    writer.start(RunStart(run, "s", "crash", "run-1", "test_crash.py::test"))
    acks.write("start", run)
    writer.params(run, {"depth": "3"})
    acks.write("param", run, "depth", "3")
    writer.tags(run, {"team": "a"})
    writer.context(run, {"host.name": '"here"'})
    for name, content in (("lost", "a checkpoint"), ("model", f"model {job.get('nonce', 1)}"), ("shared", "shared")):
        staged = store.objects.stage_bytes(content.encode())
        writer.hold(staged.digest, role="model")
        writer.artifact(run, Artifact(name, staged.digest, staged.size_bytes, time_us=now_us()))
        store.objects.publish(staged)
        acks.write("artifact", run, name, content) if name != "lost" else writer.drop(run, name)
    loss = writer.channel(run, "loss")
    for step in range(GROWTH_POINTS):
        writer.append(loss, step / 7, step)
        acks.write("point", run, "loss", step, step / 7)
    writer.gate(run, Verdict("floor", "loss", "PASS", calibrated=False, estimate=0.5))
    acks.write("finish", run, writer.finish(run, ENDED).digest)
    writer.seal()


def annotate(job: Job) -> None:
    """Say something about a run later."""
    open_store(job).annotate(run_id(job, 1), tags={"later": "yes"}, note="looked at", who="ada")


def recover(job: Job) -> None:
    """Recover the store."""
    open_store(job).recover()


def union(job: Job) -> None:
    """Merge another store into this one."""
    open_store(job).merge(Store.open(Path(str(job["other"]))))


def take(job: Job) -> None:
    """Take the run of a bundle into the store."""
    open_store(job).take_bundle(open_bundle(Path(str(job["other"]))))


def collect(job: Job) -> None:
    """Delete what nobody pins, as if it were a year later."""
    collect_a_year_later(Path(str(job["store"])), steps=deadly(job))


def compact(job: Job) -> None:
    """Compact the store, thoroughly or as a session does at its end."""
    open_store(job).compact(brief=bool(job.get("brief", 0)))


def quarantine(job: Job) -> None:
    """Put damaged files aside; on a disk without hard links, if so asked."""
    if job.get("no_links"):
        os.link = _refuse_links
    open_store(job).quarantine()


def _refuse_links(*_: object, **__: object) -> NoReturn:
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


def heal(job: Job) -> None:
    """Do what a person does after a crash: recover, compact, and recover again."""
    store = open_store(job)
    store.recover()
    store.compact()
    store.recover()


def stream(job: Job) -> None:
    """Record runs for ever; the number of points and of runs returned from stands in a shared map."""
    counts = _map_counts(Path(str(job["acks"])))
    writer = open_store(job).writer(session_id="s")
    points = 0
    for number in range(1 << 40):
        run = run_id(job, number)
        writer.start(RunStart(run, "s", "crash", f"run-{number}", "test_crash.py::test"))
        loss = writer.channel(run, "loss")
        for step in range(points_of(number)):
            writer.append(loss, step / 7, step)
            points += 1
            struct.pack_into("<q", counts, 0, points)
        writer.finish(run, ENDED)
        struct.pack_into("<q", counts, 8, number + 1)


def _map_counts(path: Path) -> mmap.mmap:
    with path.open("r+b") as file:
        return mmap.mmap(file.fileno(), 16)


def first(job: Job) -> None:
    """Be one of several that use a store first."""
    store = open_store(job)
    writer = store.writer(session_id="s")
    run = run_id(job, 1)
    writer.start(RunStart(run, "s", "crash", "run", "test_crash.py::test"))
    writer.append(writer.channel(run, "loss"), 0.5, 0)
    writer.finish(run, ENDED)
    writer.close()
    Acks(Path(str(job["acks"]))).write("store", store.store_id)


def full(job: Job) -> None:
    """Log until the file-size limit is met, then say how the refusal reads."""
    acks = Acks(Path(str(job["acks"])))
    writer = open_store(job).writer(session_id="s")
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(job["limit"]), int(job["limit"])))
    run = run_id(job, 1)
    writer.start(RunStart(run, "s", "crash", "run", "test_crash.py::test"))
    attempt: Callable[[int], object]
    if job["what"] == "points":
        loss = writer.channel(run, "loss")
        attempt = lambda number: writer.append(loss, number / 7, number)  # noqa: E731
    else:
        attempt = lambda number: writer.tags(run, {f"tag-{number}": "x" * 500})  # noqa: E731
    for number in range(1 << 20):
        try:
            attempt(number)
        except MlrunError as error:
            acks.write("refused", type(error).__name__, error.headline, error.where, number)
            break
    Reader(Path(str(job["store"]))).runs()
    if job["what"] == "points":
        writer.tags(run, {"small": "still fits"})
    os._exit(0)


@contextmanager
def suppress_refusal(acks: Acks) -> Iterator[None]:
    """Write down that a call was refused."""
    try:
        yield
    except RunClosedError as error:
        acks.write("refused", error.headline)


def fork(job: Job) -> None:
    """Fork while a run is under way: the child is refused, the parent goes on."""
    acks = Acks(Path(str(job["acks"])))
    writer = open_store(job).writer(session_id="s")
    run = run_id(job, 1)
    writer.start(RunStart(run, "s", "crash", "run", "test_crash.py::test"))
    loss = writer.channel(run, "loss")
    writer.append(loss, 0.0, 0)
    child = os.fork()
    if child == 0:
        with suppress_refusal(acks):
            writer.append(loss, 9.0, 9)
        with suppress_refusal(acks):
            writer.tags(run, {"a": "b"})
        lock = LogFiles(Path(str(job["store"])), writer.log).lock
        writer.close()
        del writer
        gc.collect()
        acks.write("lock", "still held" if try_lock(lock) is None else "free")
        os._exit(0)
    os.waitpid(child, 0)
    writer.append(loss, 1.0, 1)
    writer.finish(run, ENDED)
    writer.close()


def survivor(job: Job) -> None:
    """Die while a forked child lives on, as a data loader's worker does."""
    writer = open_store(job).writer(session_id="s")
    run = run_id(job, 1)
    writer.start(RunStart(run, "s", "crash", "run", "test_crash.py::test"))
    writer.append(writer.channel(run, "loss"), 0.5, 0)
    lives, born = os.pipe()
    if os.fork() == 0:
        os.close(int(job["release"]))
        os.write(born, b"!")
        os.read(int(job["wait"]), 1)
        os._exit(0)
    os.read(lives, 1)  # until then the child is a copy of this process that has not yet let go of the lock
    os.kill(os.getpid(), signal.SIGKILL)


VERBS: dict[str, Callable[[Job], None]] = {
    "everything": everything,
    "annotate": annotate,
    "work": work,
    "finish": work,
    "seal": work,
    "recover": recover,
    "union": union,
    "import": take,
    "gc": collect,
    "compact": compact,
    "quarantine": quarantine,
    "heal": heal,
    "crowd": crowd,
    "keep_compacting": keep_compacting,
    "keep_reading": keep_reading,
    "keep_collecting": keep_collecting,
    "keep_merging": keep_merging,
    "stream": stream,
    "first": first,
    "full": full,
    "fork": fork,
    "survivor": survivor,
}


def _child(job: Job) -> NoReturn:
    code = 1
    try:
        if job.get("fail_at"):
            break_disk(job)
        VERBS[str(job["verb"])](job)
        code = 0
    except StoreWriteError as error:
        if not job.get("fail_at") or error.headline != str(job["headline"]) or not error.where:
            raise
        code = REFUSED
    finally:
        if code == 1:
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


def _run(job: Job) -> list[int]:
    if job["verb"] == "first":
        return [_end(child) for child in [_start({**job, "nonce": at + 1}) for at in range(int(job["count"]))]]
    if job["verb"] == "crowd":
        return run_crowd(job, start=_start, end=_end)
    child = _start(job)
    if job["verb"] == "stream":
        counts = _map_counts(Path(str(job["acks"])))
        while struct.unpack_from("<q", counts)[0] < int(job["kill_at"]):
            pass
        os.kill(child, signal.SIGKILL)
    return [_end(child)]


def serve() -> None:
    """Answer jobs until standard input ends."""
    wait, release = os.pipe()
    for line in sys.stdin:
        job = json.loads(line)
        codes = _run({"last": 0, **job, "wait": wait, "release": release})
        sys.stdout.write(json.dumps(codes) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    end_without(int(sys.argv[1]))
    serve()
