"""Do store work in processes that die: a server that forks one child a job, and never works itself.

A job is a line of JSON on standard input, its answer a line of JSON on standard output. Starting an interpreter for
every kill would take minutes; a fork of this one takes milliseconds.
"""

from __future__ import annotations

import errno
import gc
import itertools
import json
import mmap
import os
import random
import resource
import select
import signal
import struct
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from pytest_mlrun.errors import MlrunError, RunClosedError
from pytest_mlrun.records.identity import now_us
from pytest_mlrun.records.run import Artifact, RunEnd, RunStart
from pytest_mlrun.records.verdict import Verdict
from pytest_mlrun.store.bundle import open_bundle
from pytest_mlrun.store.files import Steps
from pytest_mlrun.store.layout import LogFiles
from pytest_mlrun.store.locks import try_lock
from pytest_mlrun.store.reader import Reader
from pytest_mlrun.store.store import Store
from tests.crash.store_jobs import DIED, collect_a_year_later

Job = dict[str, str | int]

ENDED = RunEnd("finished", "passed")
GROWTH_POINTS = 2100
"""More than the points file holds at first."""


class Deadly(Steps):
    """Write down every step reached, and end the process at one of them: by a signal, or by leaving at once.

    Where asked, it writes down which functions of the package were at work as well.
    """

    def __init__(self, trace: Path, last: int, *, how: str, sites: bool) -> None:
        self._sites = sites
        self._how = how
        self._trace = os.open(trace, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._left = last

    def reach(self, step: str) -> None:
        told = "\t".join([step, *name_callers()]) if self._sites else step
        os.write(self._trace, f"{told}\n".encode())
        self._left -= 1
        if self._left == 0 and self._how == "exit":
            os._exit(DIED)
        elif self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def name_callers() -> Iterator[str]:
    """Yield ``file:function`` of all that is at work in the package."""
    frame = sys._getframe(1)
    while frame.f_back is not None:
        frame = frame.f_back
        path = Path(frame.f_code.co_filename)
        if path.parent.name == "store":
            yield f"{path.name}:{frame.f_code.co_qualname}"


class Acks:
    """Remember outside the process what a call returned from."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def write(self, kind: str, *facts: object) -> None:
        os.write(self._file, json.dumps([kind, *facts]).encode() + b"\n")


def run_id(job: Job, number: int) -> str:
    """Give the id of a job's run."""
    return f"{int(job.get('nonce', 1)):08x}-0000-7000-8000-{number:012x}"


def _open(job: Job) -> Store:
    return Store.open(Path(str(job["store"])), create=True, steps=_deadly(job))


def _deadly(job: Job) -> Deadly:
    return Deadly(
        Path(str(job["trace"])), int(job["last"]), how=str(job.get("how", "kill")), sites=bool(job.get("sites", 0))
    )


def work(job: Job) -> None:
    """Record two runs that finish, one that does not, and close."""
    acks = Acks(Path(str(job["acks"])))
    writer = _open(job).writer(session_id="s")
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
    store = _open(job)
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
    _open(job).annotate(run_id(job, 1), tags={"later": "yes"}, note="looked at", who="ada")


def recover(job: Job) -> None:
    """Recover the store."""
    _open(job).recover()


def union(job: Job) -> None:
    """Merge another store into this one."""
    _open(job).merge(Store.open(Path(str(job["other"]))))


def take(job: Job) -> None:
    """Take the run of a bundle into the store."""
    _open(job).take_bundle(open_bundle(Path(str(job["other"]))))


def collect(job: Job) -> None:
    """Delete what nobody pins, as if it were a year later."""
    collect_a_year_later(Path(str(job["store"])), steps=_deadly(job))


def compact(job: Job) -> None:
    """Compact the store, thoroughly or as a session does at its end."""
    _open(job).compact(brief=bool(job.get("brief", 0)))


def quarantine(job: Job) -> None:
    """Put damaged files aside; on a disk without hard links, if so asked."""
    if job.get("no_links"):
        os.link = _refuse_links
    _open(job).quarantine()


def _refuse_links(*_: object, **__: object) -> NoReturn:
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


def heal(job: Job) -> None:
    """Do what a person does after a crash: recover, compact, and recover again."""
    store = _open(job)
    store.recover()
    store.compact()
    store.recover()


def crowd(job: Job) -> None:
    """Record runs one by one into a crowded store, sealing often; write down each that finished."""
    acks = Acks(Path(str(job["acks"])))
    store = _open(job)
    writer = store.writer(session_id="s")
    for number in range(int(job["runs"])):
        run = run_id(job, number)
        writer.start(RunStart(run, "s", "crash", f"run-{number}", "test_crash.py::test"))
        loss = writer.channel(run, "loss")
        for step in range(points_of(number)):
            writer.append(loss, step / 7, step)
        acks.write("finish", run, writer.finish(run, ENDED).digest)
        if number % 5 == 4:
            writer.close()
            writer = store.writer(session_id="s")
    writer.close()


def keep_compacting(job: Job) -> None:
    """Recover and compact until told to stop."""
    store, stop = _open(job), Path(str(job["stop"]))
    while not stop.exists():
        store.recover()
        store.compact(brief=bool(job.get("brief", 0)))


def keep_reading(job: Job) -> None:
    """Read until told to stop: nothing twice, and nothing that finished ever missing or without its points."""
    acks, stop = Path(str(job["acks"])), Path(str(job["stop"]))
    reader = Reader(Path(str(job["store"])))
    looks = 0
    while not stop.exists():
        lines = acks.read_text().rpartition("\n")[0].splitlines() if acks.exists() else []
        finished = [json.loads(line)[1] for line in lines]
        seen = [run.run_id for run in reader.runs()]
        if len(set(seen)) != len(seen):
            raise SystemExit("a run is there twice")
        if not set(finished) <= set(seen):
            raise SystemExit("a finished run is not there")
        for run in finished[-3:]:
            reader.series(run, "loss")
        if reader.damaged():
            raise SystemExit("something is damaged")
        looks += 1
    if not looks:
        raise SystemExit("nothing was read")


def stream(job: Job) -> None:
    """Record runs for ever; the number of points and of runs returned from stands in a shared map."""
    counts = _map_counts(Path(str(job["acks"])))
    writer = _open(job).writer(session_id="s")
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


def points_of(number: int) -> int:
    """Say how many points the stream's run gets: some runs outgrow the points file, most are short."""
    return 3000 if number % 10 == 9 else 20 + 37 * number % 200


def _map_counts(path: Path) -> mmap.mmap:
    with path.open("r+b") as file:
        return mmap.mmap(file.fileno(), 16)


def first(job: Job) -> None:
    """Be one of several that use a store first."""
    store = _open(job)
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
    writer = _open(job).writer(session_id="s")
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
    writer = _open(job).writer(session_id="s")
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
    writer = _open(job).writer(session_id="s")
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
    "stream": stream,
    "first": first,
    "full": full,
    "fork": fork,
    "survivor": survivor,
}


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
    child = os.fork()
    if child == 0:
        _child(job)
    return child


def _end(child: int) -> int:
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def _run(job: Job) -> list[int]:
    if job["verb"] == "first":
        return [_end(child) for child in [_start({**job, "nonce": at + 1}) for at in range(int(job["count"]))]]
    if job["verb"] == "crowd":
        return _run_crowd(job)
    child = _start(job)
    if job["verb"] == "stream":
        counts = _map_counts(Path(str(job["acks"])))
        while struct.unpack_from("<q", counts)[0] < int(job["kill_at"]):
            pass
        os.kill(child, signal.SIGKILL)
    return [_end(child)]


def _run_crowd(job: Job) -> list[int]:
    """Run writers, compactors and a reader beside each other; kill some, if asked, and start others in their place."""
    stop, chance = Path(str(job["stop"])), random.Random(int(job.get("seed", 0)))
    nonces, kills = itertools.count(1), int(job.get("kills", 0))
    writers = {_start({**job, "nonce": next(nonces)}) for _ in range(int(job["count"]))}
    compactors = {_start({**job, "verb": "keep_compacting", "brief": brief}): brief for brief in (0, 1)}
    reader = _start({**job, "verb": "keep_reading"})
    codes: list[int] = []
    while writers:
        if kills and chance.random() < 0.1:
            kills -= 1
            os.kill(chance.choice([*sorted(writers), *sorted(compactors)]), signal.SIGKILL)
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid in compactors:
            brief = compactors.pop(pid)
            compactors[_start({**job, "verb": "keep_compacting", "brief": brief})] = brief
        elif pid == reader:
            raise SystemExit("the reader ended before it was told to")
        elif pid:
            writers.discard(pid)
            codes.append(os.waitstatus_to_exitcode(status))
            if codes[-1]:
                writers.add(_start({**job, "nonce": next(nonces)}))
        select.select([], [], [], 0.02)
    stop.touch()
    return codes + [_end(pid) for pid in (*compactors, reader)]


def serve() -> None:
    """Answer jobs until standard input ends."""
    wait, release = os.pipe()
    for line in sys.stdin:
        job = json.loads(line)
        codes = _run({"last": 0, **job, "wait": wait, "release": release})
        sys.stdout.write(json.dumps(codes) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
