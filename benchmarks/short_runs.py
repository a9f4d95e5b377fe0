"""Measure a short run, 10 params and 5 metrics, beside other trackers: alone, and by 8 processes at once."""
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
import os
import shlex
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from benchmarks.figures import format_number, markdown_table, shuffled
from benchmarks.goals import goal_line
from benchmarks.machine import machine_facts, render_facts
from benchmarks.meeting import Meeting
from benchmarks.processes import measured_environment, pin, positive
from benchmarks.searches import NAMES, OURS, load_search, python_for

OVER_SYNC_GOAL_MS = 1.0
RATIO_GOAL = 5.0
CROWD_GOAL_MS = 1.5
CROWD = 8
RECORD_BYTES = 8_192  # what a run writes into our log
SYNCS = 50


@dataclass
class Timing:
    """What was measured of one tracker.

    Attributes:
        name: Its name.
        title: How the report names it.
        status: ``measured``, or why not.
        run_ms: Median over the runs of one process, round by round.
        crowd_ms: Wall time of eight processes, all of them ready, from the first run's beginning to the last one's end,
            by their runs.
        close_ms: What closing takes after the runs of one process, by its runs.
    """

    name: str
    title: str
    status: str = "measured"
    run_ms: list[float] = field(default_factory=list)
    crowd_ms: list[float] = field(default_factory=list)
    close_ms: list[float] = field(default_factory=list)


class _FailedError(Exception):
    """A process failed; the text says why."""


def measure(
    names: Sequence[str], runs: int, reps: int, pythons: Sequence[str], folder: Path
) -> tuple[list[Timing], list[float]]:
    """Measure the trackers round by round, each time in another order, and before each round the disk."""
    timings = [Timing(name, load_search(name).title) for name in names]
    syncs_ms = []
    for number in range(reps):
        syncs_ms.append(measure_sync(folder))
        for timing in shuffled(timings, number):
            if timing.status != "measured":
                continue
            python = python_for(timing.name, pythons)
            try:
                if python is None:
                    raise _FailedError("not installed")
                with tempfile.TemporaryDirectory(prefix="benchmark-", dir=folder, ignore_cleanup_errors=True) as home:
                    alone = _record(timing.name, Path(home), runs, 1, python)
                    timing.run_ms.append(median(alone[0]["run_ms"]))
                    timing.close_ms.append(round(alone[0]["close_ms"] / runs, 3))
                    crowd = _record(timing.name, Path(home), max(runs // CROWD, 1), CROWD, python)
                    wall_ms = max(one["end_ms"] for one in crowd) - min(one["begin_ms"] for one in crowd)
                    timing.crowd_ms.append(wall_ms / sum(len(one["run_ms"]) for one in crowd))
            except _FailedError as error:
                timing.status = f"failed: {error}"
                sys.stderr.write(f"{timing.title}: {timing.status}\n")
        sys.stderr.write(f"round {number + 1} of {reps} done\n")
    return timings, syncs_ms


def _record(name: str, home: Path, runs: int, processes: int, python: str) -> list[dict[str, Any]]:
    (home / "store").mkdir(exist_ok=True)
    homes = [home / f"home-{number}" for number in range(processes)]
    before, after = Meeting(), Meeting()
    descriptors = (*before.descriptors, *after.descriptors)
    running = []
    for number, own in enumerate(homes):
        own.mkdir(exist_ok=True)
        command = [
            python, "-P", "-m", "benchmarks.asking", "record", name, str(home / "store"), str(runs),
            str(own / "figures.json"), str(number * (runs + 1) + 1_000_000 * processes), *map(str, descriptors),
        ]  # fmt: skip
        with (own / "errors.txt").open("wb") as errors:
            running.append(
                subprocess.Popen(
                    command, cwd=own, env=measured_environment(own), stdout=subprocess.DEVNULL, stderr=errors,
                    pass_fds=descriptors,
                )
            )  # fmt: skip
    for meeting in (before, after):
        meeting.begin()
    for meeting in (before, after):
        meeting.dismiss(processes)
    for process, own in zip(running, homes, strict=True):
        if process.wait():
            lines = (own / "errors.txt").read_text(encoding="utf-8", errors="replace").strip().splitlines()
            raise _FailedError((lines or [f"exit code {process.returncode}"])[-1][:200])
    return [json.loads((own / "figures.json").read_text(encoding="utf-8")) for own in homes]


def measure_sync(folder: Path) -> float:
    """Return the median of a small append and fdatasync, in milliseconds: the least that a durable run can take."""
    times = []
    with (folder / "sync").open("ab", buffering=0) as file:
        for _ in range(SYNCS):
            began = time.perf_counter()
            file.write(bytes(RECORD_BYTES))
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - began) * 1e3)
    return median(times)


def judge(timings: Sequence[Timing], sync_ms: float) -> list[str]:
    """Say of each goal what was found and whether it is met."""
    measured = {timing.name: timing for timing in timings if timing.status == "measured"}
    if OURS not in measured:
        return []
    ours, crowd = median(measured[OURS].run_ms), median(measured[OURS].crowd_ms)
    over = ours - sync_ms
    goal = f"a durable run, at most one fdatasync ({format_number(sync_ms)} ms) and {OVER_SYNC_GOAL_MS:g} ms"
    lines = [goal_line(goal, f"{format_number(ours)} ms", met=over <= OVER_SYNC_GOAL_MS)]
    others = [timing for name, timing in measured.items() if name != OURS]
    if others:
        fastest = min(others, key=lambda timing: median(timing.run_ms))
        ratio = median(fastest.run_ms) / ours
        goal = f"at least {RATIO_GOAL:g} x faster than the fastest peer with a local query"
        lines.append(goal_line(goal, f"{format_number(ratio)} x ({fastest.title})", met=ratio >= RATIO_GOAL))
    goal = f"{CROWD} processes at once, at most {CROWD_GOAL_MS:g} ms a run"
    lines.append(goal_line(goal, f"{format_number(crowd)} ms", met=crowd <= CROWD_GOAL_MS))
    return lines


def render(timings: Sequence[Timing]) -> str:
    """Lay out the figures: medians, and the range over the rounds."""
    rows = []
    for timing in timings:
        if timing.status != "measured":
            rows.append([timing.title, timing.status, "", "", ""])
            continue
        spread = f"{format_number(min(timing.run_ms))} to {format_number(max(timing.run_ms))}"
        medians = [format_number(median(values)) for values in (timing.run_ms, timing.crowd_ms, timing.close_ms)]
        rows.append([timing.title, medians[0], spread, *medians[1:]])
    return markdown_table(["", "ms a run", "min to max", f"{CROWD} at once, ms a run", "closing, ms a run"], rows)


def main(arguments: Sequence[str]) -> int:
    """Measure and print the report."""
    parser = argparse.ArgumentParser(prog="benchmarks/short_runs.py", description=__doc__)
    parser.add_argument("--runs", type=positive, default=200, metavar="N", help="runs of a process, and of eight")
    parser.add_argument("--peers", nargs="*", choices=NAMES, default=list(NAMES), metavar="NAME")
    parser.add_argument("--python", action="append", default=[], metavar="PATH", help="for what this one lacks")
    parser.add_argument("--reps", type=positive, default=3)
    parser.add_argument("--realtime", action="store_true", help="round-robin priority (needs root)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every single figure")
    args = parser.parse_args(arguments)
    command = shlex.join(["python", "benchmarks/short_runs.py", *arguments])
    names = tuple(dict.fromkeys([OURS, *args.peers]))
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name).resolve()
        facts = machine_facts(folder, core=-1, realtime=args.realtime)
        pin(-1, realtime=args.realtime)
        timings, syncs_ms = measure(names, args.runs, args.reps, (sys.executable, *args.python), folder)
    parts = [
        "### Short runs",
        render_facts(facts, command),
        render(timings),
        "\n".join(judge(timings, median(syncs_ms))),
    ]
    sys.stdout.write("\n\n".join(parts) + "\n")
    if args.json is not None:
        figures = {
            "command": command,
            "machine": facts,
            "syncs_ms": syncs_ms,
            "timings": [asdict(one) for one in timings],
        }
        args.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
