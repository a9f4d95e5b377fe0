"""Measure one peer once, in a process of its own: time it, log until killed, or read back."""

from __future__ import annotations

import json
import math
import mmap
import os
import random
import signal
import struct
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path

from benchmarks.peers import Peer, Point, load_peer
from benchmarks.processes import family_of, pin

COUNTER = struct.Struct("<q")
RELATIVE_ERROR = 1e-6  # TensorBoard keeps 32-bit values


@dataclass(frozen=True)
class Task:
    """What the process is to do.

    Attributes:
        kind: ``time``, ``kill`` or ``read``.
        peer: Name of the peer.
        folder: Empty folder for its files; for ``read`` the folder that it wrote.
        points: Number of points to log, or that may be asked back.
        counter: For ``kill``, the file that holds the number of acknowledged points.
        core: For ``time``, the core to stay on; negative leaves it to the scheduler.
        realtime: For ``time``, whether to ask for round-robin priority.
    """

    kind: str
    peer: str
    folder: str
    points: int
    counter: str = ""
    core: int = -1
    realtime: bool = False


@dataclass(frozen=True)
class Timing:
    """What one run took.

    Attributes:
        points: Number of points logged.
        start_s: Imports and the start of the run, wall.
        calls_s: All the calls, wall.
        finish_s: From the last call until the tracker says the run is finished, wall.
        cpu_s: Calls and finish, on all threads and child processes.
        sync_s: To force to disk what the tracker left to the kernel, wall; in no total.
        size_bytes: Files afterwards.
    """

    points: int
    start_s: float
    calls_s: float
    finish_s: float
    cpu_s: float
    sync_s: float
    size_bytes: int


def make_values(count: int) -> list[float]:
    """Return the values to log: noise, so that no compression flatters anybody."""
    stream = random.Random(20261104)
    return [stream.random() for _ in range(count)]


def time_logging(peer: Peer, folder: Path, values: Sequence[float]) -> Timing:
    """Log the values and time it; the clock is read twice, not once a point."""
    marks: list[float] = []
    cpu_before: list[float] = []

    def first() -> Iterator[Point]:
        cpu_before.append(cpu_of_children_s() + time.process_time())
        marks.append(time.perf_counter())
        yield from ()

    def last() -> Iterator[Point]:
        marks.append(time.perf_counter())
        yield from ()

    began = time.perf_counter()
    peer.log_points(folder, chain(first(), enumerate(values), last()))
    finished = time.perf_counter()
    cpu_s = time.process_time() + cpu_of_children_s() - cpu_before[0]
    sync_began = time.perf_counter()
    sync_folder(folder)
    sync_s = time.perf_counter() - sync_began
    return Timing(
        points=len(values),
        start_s=marks[0] - began,
        calls_s=marks[1] - marks[0],
        finish_s=finished - marks[1],
        cpu_s=cpu_s,
        sync_s=sync_s,
        size_bytes=size_of_folder(folder),
    )


def acknowledge(
    values: Sequence[float], write_count: Callable[[int], None], *, then: Callable[[], object]
) -> Iterator[Point]:
    """Hand out the points and note each one when the call that logged it has returned."""
    for step, value in enumerate(values):
        yield step, value
        write_count(step + 1)
    then()


def log_until_killed(peer: Peer, folder: Path, values: Sequence[float], counter: Path) -> None:
    """Log with the number of acknowledged points in a shared page, and wait for the end."""
    with counter.open("r+b") as file, mmap.mmap(file.fileno(), COUNTER.size) as page:
        points = acknowledge(values, lambda count: COUNTER.pack_into(page, 0, count), then=signal.pause)
        peer.log_points(folder, points)


def count_kept(read: Iterator[Point], values: Sequence[float]) -> int:
    """Count the acknowledged points that were read back, each once and with its value."""
    kept = {
        step
        for step, value in read
        if 0 <= step < len(values) and math.isclose(value, values[step], rel_tol=RELATIVE_ERROR)
    }
    return len(kept)


def cpu_of_children_s() -> float:
    """Return the CPU time of this process's children, ended or alive, and of theirs."""
    times = os.times()
    total = times.children_user + times.children_system
    tick_s = 1 / os.sysconf("SC_CLK_TCK")
    for pid in family_of(os.getpid()):
        try:
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:
            continue
        total += sum(int(field) for field in fields[11:15]) * tick_s
    return total


def sync_folder(folder: Path) -> None:
    """Force every file to disk."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            descriptor = os.open(path, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)


def size_of_folder(folder: Path) -> int:
    """Return the bytes of all files; a hole in a sparse file counts as nothing."""
    sizes = [path.lstat() for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return sum(min(size.st_size, size.st_blocks * 512) for size in sizes)


def perform(task: Task) -> dict[str, float]:
    """Do the task and return its figures."""
    peer, folder, values = load_peer(task.peer), Path(task.folder), make_values(task.points)
    if task.kind == "read":
        return {"kept": count_kept(peer.read_points(folder), values)}
    if task.kind == "kill":
        log_until_killed(peer, folder, values, Path(task.counter))
        return {}
    pin(task.core, realtime=task.realtime)
    return asdict(time_logging(peer, folder, values))


if __name__ == "__main__":
    # Not stdout: the trackers print there.
    Path(sys.argv[2]).write_text(json.dumps(perform(Task(**json.loads(sys.argv[1])))), encoding="utf-8")
