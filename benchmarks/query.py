"""Measure how long the best twenty runs of a store take beside other trackers, and our own other questions."""
# ruff: noqa: E402 - the import path must be right before anything is imported

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    # As a script, this folder comes first on the path, and its logging.py would be everybody's ``import logging``.
    sys.path[:] = [str(ROOT), *(entry for entry in sys.path if Path(entry).resolve() != ROOT / "benchmarks")]

import argparse
import json
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from statistics import median

from benchmarks.figures import format_number, markdown_table, shuffled
from benchmarks.fill import describe_run
from benchmarks.goals import goal_line
from benchmarks.machine import machine_facts, render_facts
from benchmarks.processes import default_core, measured_environment, pin, positive, run_timed
from benchmarks.searches import NAMES, OURS, best_of, load_search, python_for

WARM = 9
COLD_GOAL_MS = {10_000: 250.0, 1_000_000: 400.0}
WARM_GOAL_MS = {1_000_000: 25.0}
RATIO_RUNS = 10_000
RATIO_GOAL = 3.0
HISTORY_GOAL_MS = 5.0


@dataclass
class Timing:
    """What was measured of one store.

    Attributes:
        runs: Number of runs in it.
        name: Name of the tracker, or of a question of ours.
        title: How the report names it.
        status: ``measured``, or why not.
        cold_ms: Whole processes that ask once, from their start to their end.
        first_ms: The part of them after the imports of ours and of the benchmark: opening and asking.
        warm_ms: Asking again in a process that has asked.
    """

    runs: int
    name: str
    title: str
    status: str = "measured"
    cold_ms: list[float] = field(default_factory=list)
    first_ms: list[float] = field(default_factory=list)
    warm_ms: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Plan:
    """What is to be measured.

    Attributes:
        runs: Sizes of the stores.
        points: Points of the store that one run's history is read from; 0 for none.
        names: The trackers.
        pythons: Interpreters, of which the first that has a tracker is taken for it.
        reps: Rounds.
        core: The core that everything runs on; negative for any.
        realtime: Whether with round-robin priority.
        timeout_s: Limit of one process.
    """

    runs: tuple[int, ...]
    points: int
    names: tuple[str, ...]
    pythons: tuple[str, ...]
    reps: int
    core: int
    realtime: bool
    timeout_s: float


def measure(plan: Plan, folder: Path) -> list[Timing]:
    """Fill the stores, then ask them round by round, each time in another order."""
    timings = []
    for runs in plan.runs:
        for name in plan.names:
            search = load_search(name)
            if runs <= search.most_runs:
                timings.append(Timing(runs, name, search.title))
        timings.append(Timing(runs, "count", "pytest-mlrun: count"))
    if plan.points:
        timings.append(Timing(plan.points, "history", "pytest-mlrun: one series"))
    for timing in timings:
        _attempt(timing, plan, folder, _fill)
    pin(plan.core, realtime=plan.realtime)
    for number in range(plan.reps):
        for timing in shuffled(timings, number):
            _attempt(timing, plan, folder, _ask)
        sys.stderr.write(f"round {number + 1} of {plan.reps} done\n")
    return timings


class _FailedError(Exception):
    """A process failed; the text says why."""


def _attempt(timing: Timing, plan: Plan, folder: Path, step: object) -> None:
    if timing.status != "measured":
        return
    try:
        step(timing, plan, folder)  # type: ignore[operator]
    except _FailedError as error:
        timing.status = f"failed: {error}"
        sys.stderr.write(f"{timing.title}, {timing.runs}: {timing.status}\n")


def _fill(timing: Timing, plan: Plan, folder: Path) -> None:
    home = _home(timing, folder)
    filled = home / "filled"
    if filled.exists() or timing.name == "count":
        return
    (home / "store").mkdir(parents=True, exist_ok=True)
    _run(timing, plan, folder, "fill", timing.runs)
    filled.touch()


def _ask(timing: Timing, plan: Plan, folder: Path) -> None:
    timing.cold_ms.append(_run(timing, plan, folder, "ask", 0))
    figures = _home(timing, folder) / "figures.json"
    timing.first_ms.append(json.loads(figures.read_text(encoding="utf-8"))["first_ms"])
    _run(timing, plan, folder, "ask", WARM)
    told = json.loads(figures.read_text(encoding="utf-8"))
    timing.warm_ms.append(median(told["warm_ms"]))
    if told["found"] != _expected(timing):
        raise _FailedError("the answer is wrong")


def _run(timing: Timing, plan: Plan, folder: Path, kind: str, number: int) -> float:
    home = _home(timing, folder)
    command = [
        _python_of(timing.name, plan), "-P", "-m", "benchmarks.asking",
        kind, timing.name, str(home / "store"), str(number), str(home / "figures.json"),
    ]  # fmt: skip
    environment = measured_environment(home)
    if kind == "fill":
        finished = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, check=False)
        code, output = finished.returncode, finished.stderr
        wall_s = 0.0
    else:
        wall_s, _, code = run_timed(command, cwd=home, environment=environment, output=home / "output.txt")
        output = (home / "output.txt").read_text(encoding="utf-8", errors="replace")
    if code:
        raise _FailedError((output.strip().splitlines() or [f"exit code {code}"])[-1][:200])
    return wall_s * 1e3


def _python_of(name: str, plan: Plan) -> str:
    python = python_for(name, plan.pythons) if name in NAMES else plan.pythons[0]
    if python is None:
        raise _FailedError("not installed")
    return python


def _home(timing: Timing, folder: Path) -> Path:
    name = OURS if timing.name == "count" else timing.name
    return folder / f"{name}-{timing.runs}"


_ANSWERS: dict[int, list[int]] = {}


def _expected(timing: Timing) -> list[int]:
    if timing.name == "count":
        return [timing.runs]
    if timing.name == "history":
        return [1_000]
    if timing.runs not in _ANSWERS:
        _ANSWERS[timing.runs] = best_of(map(describe_run, range(timing.runs)))
    return _ANSWERS[timing.runs]


def render(timings: Sequence[Timing]) -> str:
    """Lay out the figures: medians, and the whole range of the cold processes."""
    rows = []
    for timing in timings:
        if timing.status != "measured":
            rows.append([timing.title, f"{timing.runs:,}", timing.status, "", "", ""])
            continue
        spread = f"{format_number(min(timing.cold_ms))} to {format_number(max(timing.cold_ms))}"
        medians = [format_number(median(values)) for values in (timing.cold_ms, timing.first_ms, timing.warm_ms)]
        rows.append([timing.title, f"{timing.runs:,}", medians[0], spread, *medians[1:]])
    return markdown_table(["", "runs or points", "cold ms", "min to max", "of it asking ms", "warm ms"], rows)


def judge(timings: Sequence[Timing]) -> list[str]:
    """Say of each goal what was found and whether it is met; nothing of a goal that was not measured."""
    measured = {(timing.name, timing.runs): timing for timing in timings if timing.status == "measured"}
    lines = []
    for (name, runs), timing in measured.items():
        cold, warm = median(timing.cold_ms), median(timing.warm_ms)
        if name == OURS and runs in COLD_GOAL_MS:
            goal = f"{runs:,} runs, cold process, at most {COLD_GOAL_MS[runs]:g} ms"
            lines.append(goal_line(goal, f"{format_number(cold)} ms", met=cold <= COLD_GOAL_MS[runs]))
        if name == OURS and runs in WARM_GOAL_MS:
            goal = f"{runs:,} runs, warm, at most {WARM_GOAL_MS[runs]:g} ms"
            lines.append(goal_line(goal, f"{format_number(warm)} ms", met=warm <= WARM_GOAL_MS[runs]))
        if name == "history":
            goal = f"one series among {runs:,} points, warm, at most {HISTORY_GOAL_MS:g} ms"
            lines.append(goal_line(goal, f"{format_number(warm)} ms", met=warm <= HISTORY_GOAL_MS))
    others = [
        timing for (name, runs), timing in measured.items() if runs == RATIO_RUNS and name in NAMES and name != OURS
    ]
    if others and (OURS, RATIO_RUNS) in measured:
        fastest = min(others, key=lambda timing: median(timing.cold_ms))
        ratio = median(fastest.cold_ms) / median(measured[OURS, RATIO_RUNS].cold_ms)
        goal = f"{RATIO_RUNS:,} runs, cold process, at least {RATIO_GOAL:g} x the fastest peer"
        lines.append(goal_line(goal, f"{format_number(ratio)} x ({fastest.title})", met=ratio >= RATIO_GOAL))
    return lines


def parse_arguments(arguments: Sequence[str]) -> tuple[Plan, Path | None, Path | None]:
    """Read the command line: the plan, where the figures go, and where the stores are kept."""
    parser = argparse.ArgumentParser(prog="benchmarks/query.py", description=__doc__)
    parser.add_argument("--runs", type=positive, nargs="+", default=[1_000, 10_000, 30_000], metavar="N")
    parser.add_argument("--points", type=int, default=0, metavar="N", help="points of the store for one run's history")
    parser.add_argument("--peers", nargs="*", choices=NAMES, default=list(NAMES), metavar="NAME")
    parser.add_argument("--python", action="append", default=[], metavar="PATH", help="for what this one lacks")
    parser.add_argument("--reps", type=positive, default=5)
    parser.add_argument("--core", type=int, default=default_core(), help="negative for any")
    parser.add_argument("--realtime", action="store_true", help="round-robin priority (needs root)")
    parser.add_argument("--timeout", type=float, default=600.0, help="seconds of one process")
    parser.add_argument("--stores", type=Path, metavar="FOLDER", help="keep the stores here, and take those that are")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every single figure")
    args = parser.parse_args(arguments)
    names = tuple(dict.fromkeys([OURS, *args.peers]))
    pythons = (sys.executable, *args.python)
    plan = Plan(
        tuple(args.runs), args.points, names, pythons, args.reps, args.core, args.realtime, args.timeout
    )  # fmt: skip
    return plan, args.json, args.stores


def main(arguments: Sequence[str]) -> int:
    """Measure and print the report."""
    plan, json_file, stores = parse_arguments(arguments)
    command = shlex.join(["python", "benchmarks/query.py", *arguments])
    with nullcontext(stores) if stores else tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        timings = measure(plan, folder)
        facts = machine_facts(folder, core=plan.core, realtime=plan.realtime)
    parts = ["### The best twenty", render_facts(facts, command), render(timings), "\n".join(judge(timings))]
    sys.stdout.write("\n\n".join(parts) + "\n")
    if json_file is not None:
        figures = {"command": command, "machine": facts, "timings": [asdict(timing) for timing in timings]}
        json_file.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
