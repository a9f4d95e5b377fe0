"""Measure how long the verification of a snapshot takes, beside sha256sum, BLAKE3 and dvc."""
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
import random
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from statistics import median

from benchmarks.figures import format_number, markdown_table, shuffled
from benchmarks.goals import goal_line
from benchmarks.machine import machine_facts, render_facts
from benchmarks.processes import measured_environment, pin, positive
from pytest_mlrun.pillars.snapshots.manifest import hash_source
from pytest_mlrun.pillars.snapshots.verify import verify_snapshot
from pytest_mlrun.records.project import DataSource
from pytest_mlrun.store.shared import Shared

SMALL_BYTES = 4_096
LARGE_FILES = 4
SETTLED_S = 2.1
AGAIN_GOAL_MS = 100.0
SPEED_GOAL = 0.9
_MIB = 1 << 20
_BLAKE3 = """
import sys
from blake3 import blake3
for path in sys.stdin.read().split("\\0")[:-1]:
    blake3(max_threads=blake3.AUTO).update_mmap(path).hexdigest()
"""

Case = Callable[[], object]


def make_files(folder: Path, count: int, size_bytes: int) -> Path:
    """Write a folder of files of noise."""
    folder.mkdir()
    noise = random.Random(0).randbytes(min(size_bytes, _MIB))
    for number in range(count):
        whole = number.to_bytes(8, "little") + noise * (size_bytes // len(noise))
        (folder / f"{number:06d}.bin").write_bytes(whole[:size_bytes])
    return folder


def make_cases(folder: Path, small: int, large_bytes: int) -> dict[str, Case]:
    """Return what is measured, by its name in the report; a program that is not installed is left out."""
    many = make_files(folder / "many", small, SMALL_BYTES)
    large = make_files(folder / "large", LARGE_FILES, large_bytes // LARGE_FILES)
    cases: dict[str, Case] = {}
    for name, data in {"large": large, "many": many}.items():
        cases[f"{name}: ours"] = lambda data=data: hash_source(data)  # type: ignore[misc]
        for program, jobs in (("sha256sum", "1"), ("sha256sum", "0"), ("b3sum", "1")):
            if shutil.which(program):
                label = f"{name}: {program}" + (", one a core" if jobs == "0" else "")
                cases[label] = _shell(f"find . -type f -print0 | xargs -0 -n 64 -P {jobs} {program} > /dev/null", data)
        if name == "large" and f"{name}: sha256sum, one a core" in cases:
            command = "find . -type f -print0 | xargs -0 -n 1 -P 0 sha256sum > /dev/null"
            cases[f"{name}: sha256sum, one a core"] = _shell(command, data)
        if find_spec("blake3") is not None:
            python = f"{shlex.quote(sys.executable)} -c {shlex.quote(_BLAKE3)}"
            cases[f"{name}: BLAKE3 in Python, all cores"] = _shell(f"find . -type f -print0 | {python}", data)
    if shutil.which("dvc"):
        for name, data in {"large": large, "many": many}.items():
            cases[f"{name}: dvc add"] = _dvc(folder / f"dvc-{name}", data)
    cases["many, unchanged: ours"] = _verified(folder, many)
    return cases


def _shell(command: str, folder: Path) -> Case:
    return lambda: subprocess.run(["sh", "-c", command], cwd=folder, check=True)


def _dvc(home: Path, data: Path) -> Case:
    def add() -> None:
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir()
        environment = measured_environment(home)
        subprocess.run(["dvc", "init", "--no-scm", "-q"], cwd=home, env=environment, check=True)
        (home / data.name).symlink_to(data) if data.is_file() else shutil.copytree(data, home / data.name)
        began = time.perf_counter()
        subprocess.run(["dvc", "add", "-q", data.name], cwd=home, env=environment, check=True)
        add.took_s = time.perf_counter() - began  # type: ignore[attr-defined]

    return add


def _verified(folder: Path, data: Path) -> Case:
    """Verify a snapshot once, and return how it is verified again."""
    cache = Shared(folder / "store")
    (folder / "store").mkdir()
    locked = hash_source(data)
    source = DataSource("many", data.name)
    time.sleep(SETTLED_S)  # what changed within the grain of the clock is not remembered as unchanged
    verify_snapshot(source, folder, locked, cache=cache)

    def refuse(_: Path) -> object:
        raise RuntimeError("hashed again")

    return lambda: verify_snapshot(source, folder, locked, cache=cache, hasher=refuse)  # type: ignore[arg-type]


def measure(cases: Mapping[str, Case], reps: int) -> dict[str, list[float]]:
    """Return the milliseconds of each case, round by round, each time in another order."""
    times: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(reps):
        for name in shuffled(list(cases), number):
            began = time.perf_counter()
            cases[name]()
            took_s = getattr(cases[name], "took_s", time.perf_counter() - began)
            times[name].append(took_s * 1e3)
        sys.stderr.write(f"round {number + 1} of {reps} done\n")
    return times


def judge(times: Mapping[str, Sequence[float]], small: int) -> list[str]:
    """Say of each goal what was found and whether it is met."""
    lines = []
    best = times.get("large: sha256sum, one a core")
    if best:
        ratio = median(best) / median(times["large: ours"])
        goal = f"large files at least {SPEED_GOAL:g} x as fast as one sha256sum a core"
        lines.append(goal_line(goal, f"{format_number(ratio)} x", met=ratio >= SPEED_GOAL))
    again = median(times["many, unchanged: ours"])
    goal = f"{small:,} unchanged files again, at most {AGAIN_GOAL_MS:g} ms"
    lines.append(goal_line(goal, f"{format_number(again)} ms", met=again <= AGAIN_GOAL_MS))
    return lines


def render(times: Mapping[str, Sequence[float]], small: int, large_bytes: int) -> str:
    """Lay out the figures."""
    rows = []
    for name, values in times.items():
        size = large_bytes if name.startswith("large") else small * SMALL_BYTES
        speed = format_number(size / median(values) * 1e3 / (1 << 30))
        spread = f"{format_number(min(values))} to {format_number(max(values))}"
        rows.append([name, format_number(median(values)), spread, "" if "unchanged" in name else speed])
    return markdown_table(["", "ms", "min to max", "GiB/s"], rows)


def main(arguments: Sequence[str]) -> int:
    """Measure and print the report."""
    parser = argparse.ArgumentParser(prog="benchmarks/hashing.py", description=__doc__)
    parser.add_argument("--small", type=positive, default=10_000, metavar="N", help="number of files of 4 KiB")
    parser.add_argument("--large", type=positive, default=1_024, metavar="MIB", help="size of four files together")
    parser.add_argument("--reps", type=positive, default=5)
    parser.add_argument("--realtime", action="store_true", help="round-robin priority (needs root)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every single figure")
    args = parser.parse_args(arguments)
    command = shlex.join(["python", "benchmarks/hashing.py", *arguments])
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name).resolve()
        facts = machine_facts(folder, core=-1, realtime=args.realtime)
        pin(-1, realtime=args.realtime)
        times = measure(make_cases(folder, args.small, args.large * _MIB), args.reps)
    what = f"{LARGE_FILES} files of {args.large // LARGE_FILES} MiB, {args.small:,} of 4 KiB, in the page cache"
    table = render(times, args.small, args.large * _MIB)
    parts = ["### Verifying a snapshot", render_facts(facts, command), what, table, "\n".join(judge(times, args.small))]
    sys.stdout.write("\n\n".join(parts) + "\n")
    if args.json is not None:
        figures = {"command": command, "machine": facts, "times_ms": times}
        args.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
