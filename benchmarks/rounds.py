"""Measure every tracker round by round, each run in a process of its own."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from benchmarks.comparison import MEASURED, Kill, Result
from benchmarks.figures import shuffled
from benchmarks.measurement import COUNTER, Task, Timing
from benchmarks.peers import installed_versions, load_peer
from benchmarks.processes import end_orphans, family_of, measured_environment, python_command

KILL_SLACK = 200_000  # points that a fast tracker may log between the decision to kill and the kill
POLL_S = 0.001


@dataclass(frozen=True)
class Plan:
    """What is to be measured.

    Attributes:
        peers: Names of the trackers.
        points: Points a run; slow trackers get fewer.
        reps: Rounds.
        kills: Killed runs of each tracker.
        folder: Where the trackers write.
        core: The core of the measured process; negative for any.
        realtime: Whether it gets round-robin priority.
        timeout_s: Limit of one run.
    """

    peers: tuple[str, ...]
    points: int
    reps: int
    kills: int
    folder: Path
    core: int
    realtime: bool
    timeout_s: float


class MeasurementError(Exception):
    """A measured process failed; the text is the last line that it wrote."""


def measure(plan: Plan) -> list[Result]:
    """Measure every tracker, interleaved; one that fails says why and is left out from there on."""
    results = [_describe(name) for name in plan.peers]
    for result in results:
        _attempt(result, partial(_measure_empty, result, plan))
    for number in range(plan.reps):
        for result in shuffled(results, number):
            _attempt(result, partial(_measure_once, result, plan))
        _say(f"round {number + 1} of {plan.reps} done")
    fractions = random.Random(1)
    for number in range(plan.kills):
        fraction = fractions.random()
        for result in results:
            _attempt(result, partial(_kill_once, result, plan, fraction))
        _say(f"kill {number + 1} of {plan.kills} done")
    return results


def _describe(name: str) -> Result:
    peer = load_peer(name)
    versions = installed_versions(peer)
    status = "not installed" if versions is None else MEASURED
    return Result(name, peer.title, peer.note, versions or {}, status)


def _attempt(result: Result, step: Callable[[], None]) -> None:
    if result.status == MEASURED:
        try:
            step()
        except MeasurementError as error:
            result.status = f"failed: {error}"
            _say(f"{result.title}: {result.status}")


def _measure_empty(result: Result, plan: Plan) -> None:
    """Run without a point: the size to take off, and warm file caches for everybody."""
    with _home(plan) as home:
        result.empty_bytes = Timing(**_perform(_task("time", result, home, 0, plan), home, plan)).size_bytes


def _measure_once(result: Result, plan: Plan) -> None:
    points = min(plan.points, load_peer(result.name).most_points)
    with _home(plan) as home:
        result.timings.append(Timing(**_perform(_task("time", result, home, points, plan), home, plan)))
        if len(result.timings) == 1:
            result.kept = _perform(_task("read", result, home, points, plan), home, plan)["kept"]


def _kill_once(result: Result, plan: Plan, fraction: float) -> None:
    """Kill a run with SIGKILL once a part of its points is acknowledged, then read it back in a fresh process."""
    points = min(plan.points, load_peer(result.name).most_points)
    with _home(plan) as home:
        task = _task("kill", result, home, points + KILL_SLACK, plan)
        acknowledged = _kill_after(1 + int(fraction * (points - 1)), task, home, plan)
        kept = _perform(_task("read", result, home, acknowledged, plan), home, plan)["kept"]
    result.kills.append(Kill(acknowledged, kept))


def _kill_after(target: int, task: Task, home: Path, plan: Plan) -> int:
    """Start the task, kill it when ``target`` points are acknowledged, and return how many were by then."""
    counter = Path(task.counter)
    counter.write_bytes(COUNTER.pack(0))
    output = home / "output.txt"
    deadline = time.monotonic() + plan.timeout_s
    with output.open("wb") as file:
        process = subprocess.Popen(
            _command(task, home), cwd=home, env=measured_environment(home), stdout=file, stderr=subprocess.STDOUT
        )
        while _count(counter) < target and process.poll() is None and time.monotonic() < deadline:
            time.sleep(POLL_S)
        # Only the process that logs, as the kernel's OOM killer does: a tracker's second process may save what it has.
        survivors = family_of(process.pid)
        process.kill()
        process.wait()
    end_orphans(survivors)
    if _count(counter) < target:
        raise MeasurementError(_last_line(output) or f"{target} points were not logged in {plan.timeout_s:g} s")
    return _count(counter)


def _count(counter: Path) -> int:
    (count,) = COUNTER.unpack(counter.read_bytes())
    return int(count)


def _task(kind: str, result: Result, home: Path, points: int, plan: Plan) -> Task:
    return Task(kind, result.name, str(home / "run"), points, str(home / "counter"), plan.core, plan.realtime)


def _command(task: Task, home: Path) -> list[str]:
    return python_command("benchmarks.measurement", json.dumps(asdict(task)), str(home / "figures.json"))


def _perform(task: Task, home: Path, plan: Plan) -> dict[str, int]:
    """Run a task to its end and return its figures."""
    output = home / "output.txt"
    with output.open("wb") as file:
        try:
            finished = subprocess.run(
                _command(task, home), cwd=home, env=measured_environment(home), stdout=file, stderr=subprocess.STDOUT,
                timeout=plan.timeout_s, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise MeasurementError(f"not done in {plan.timeout_s:g} s") from None
    if finished.returncode:
        raise MeasurementError(_last_line(output) or f"exit code {finished.returncode}")
    figures: dict[str, int] = json.loads((home / "figures.json").read_text(encoding="utf-8"))
    return figures


@contextmanager
def _home(plan: Plan) -> Iterator[Path]:
    """Give a run a home of its own, empty, and remove it afterwards."""
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=plan.folder, ignore_cleanup_errors=True) as name:
        home = Path(name).resolve()
        (home / "run").mkdir()
        yield home


def _last_line(output: Path) -> str:
    lines: Sequence[str] = output.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1][:200] if lines else ""


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
