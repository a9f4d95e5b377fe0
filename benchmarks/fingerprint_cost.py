"""Measure what a fingerprint costs by the size of the array, and what looking for draws without a seed costs."""
# ruff: noqa: E402 - the import path must be right before anything is imported

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    # As a script, this folder comes first on the path, and its logging.py would be everybody's ``import logging``.
    sys.path[:] = [str(ROOT), *(entry for entry in sys.path if Path(entry).resolve() != ROOT / "benchmarks")]

import argparse
import hashlib
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence

import numpy as np

import pytest_mlrun
from benchmarks.figures import markdown_table
from benchmarks.machine import machine_facts, render_facts
from pytest_mlrun.pillars.randomness import end_state
from pytest_mlrun.pillars.unpinned import Draws, noticed

SIZES = (100, 10_000, 1_000_000)


def measure_marks(*, marks: int, reps: int) -> dict[int, dict[str, float]]:
    """Return for each size the medians of the CPU time of a mark, of its digest alone, and its bytes on disk."""
    rng = np.random.default_rng(20261125)
    found: dict[int, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:
            array = rng.standard_normal(size).astype(np.float32)
            steps = max(1, min(marks, 20_000_000 // size))
            times = [_mark(Path(folder) / "store", array, steps) for _ in range(reps)]
            found[size] = {
                "mark_us": statistics.median(us for us, _ in times),
                "sha256_us": _cpu_us(lambda array=array: hashlib.sha256(array.data).digest(), steps),  # type: ignore[misc]
                "bytes": times[0][1] / steps,
            }
    return found


def _mark(store: Path, array: np.ndarray, steps: int) -> tuple[float, float]:
    with pytest_mlrun.record(experiment="cost", store=store) as run:
        run.fingerprint("weights", array, 0)
        spent = 0.0
        for step in range(1, steps + 1):
            array *= np.float32(0.999)
            start = time.process_time()
            run.fingerprint("weights", array, step)
            spent += time.process_time() - start
    row = pytest_mlrun.open_store(store).find(run.id)
    kept = sum(artifact.size_bytes for artifact in row.artifacts if artifact.role == "fingerprints")
    return spent / steps * 1e6, kept


def measure_draws(*, reps: int) -> dict[str, float]:
    """Return CPU microseconds of one watched block, and of a seeded RandomState outside and inside one."""

    def block() -> None:
        with noticed(Draws()):
            pass

    def seeded() -> object:
        return np.random.RandomState(3)

    found = {"states of the generators": _cpu_us(end_state, reps), "a block that looks": _cpu_us(block, reps)}
    found["RandomState(3), not looked at"] = _cpu_us(seeded, reps)
    with noticed(Draws()):
        found["RandomState(3), looked at"] = _cpu_us(seeded, reps)
    return found


def _cpu_us(work: Callable[[], object], times: int) -> float:
    work()
    spent = []
    for _ in range(5):
        start = time.process_time()
        for _ in range(times):
            work()
        spent.append((time.process_time() - start) / times * 1e6)
    return statistics.median(spent)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--marks", type=int, default=900, help="marks a run, fewer of large arrays")
    parser.add_argument("--reps", type=int, default=5, help="runs of each size")
    parser.add_argument("--json", type=Path, help="file for every figure")
    chosen = parser.parse_args(arguments)
    marks = measure_marks(marks=chosen.marks, reps=chosen.reps)
    draws = measure_draws(reps=chosen.marks)
    facts = machine_facts(Path(tempfile.gettempdir()), core=-1, realtime=False)
    print(render_facts(facts, "benchmarks/fingerprint_cost.py"))
    rows = [
        [f"{size:,}", f"{found['mark_us']:.0f}", f"{found['sha256_us']:.0f}", f"{found['bytes']:.0f}"]
        for size, found in marks.items()
    ]
    print(markdown_table(["float32 values", "mark, CPU us", "of it SHA-256", "bytes a step"], rows))
    print(markdown_table(["", "CPU us"], [[name, f"{value:.0f}"] for name, value in draws.items()]))
    if chosen.json is not None:
        chosen.json.write_text(json.dumps({"marks": marks, "draws": draws}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
