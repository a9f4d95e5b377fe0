"""Measure what thousands of small segments cost, what compacting them takes, and what reading costs afterwards."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import numpy as np

from benchmarks.machine import machine_facts, render_facts
from pytest_mlrun.records.identity import new_id
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.store.digest import compute_run_digest, compute_series_digests
from pytest_mlrun.store.points import Series
from pytest_mlrun.store.segment import write_segment
from pytest_mlrun.store.series import write_series
from pytest_mlrun.store.store import Store

_POINTS = 100

Result = TypeVar("Result")


def write_store(path: Path, runs: int) -> Store:
    """Write a store in which every run has a segment of its own, as after so many sessions of one test."""
    store = Store.open(path, create=True)
    chance = np.random.default_rng(0)
    for number in range(runs):
        record, series = _make_run(number, chance)
        name = new_id()
        write_series(path / "pts" / f"{name}.arrow", [(record.run_id, series)])
        write_segment(path / "seg" / f"{name}.arrow", [record], replaces=(f"log:{name}",), series=(name,))
    return store


def _make_run(number: int, chance: np.random.Generator) -> tuple[RunRecord, Series]:
    steps, values = np.arange(_POINTS), chance.random(_POINTS)
    digest = compute_series_digests(steps, steps * 1000, values, [_POINTS])[0]
    record = RunRecord(
        run_id=new_id(),
        session_id=new_id(),
        experiment="sweep",
        name=f"run-{number}",
        test="tests/test_sweep.py::test_sweep",
        case="",
        attempt=1,
        parent_id=None,
        status="finished",
        outcome="passed",
        cause="",
        cause_detail="",
        error="",
        started_us=number + 1,
        ended_us=number + 2,
        params={f"p{at}": repr(float(chance.random())) for at in range(10)},
        metrics={"loss": float(values[-1]), **{f"m{at}": float(chance.random()) for at in range(4)}},
        tags={"team": "risk", "stage": "trial"},
        context={f"fact-{at:02}": '"a recorded fact"' for at in range(60)},
        artifacts=(),
        gates=(),
        series={"loss": digest},
    )
    return replace(record, digest=compute_run_digest(record)), Series("loss", steps, steps * 1000, values, digest)


def measure_reading(store: Store) -> dict[str, float]:
    """Return what three questions cost, in milliseconds."""
    reader = store.reader()
    first_ms, best = _time(lambda: reader.top("sweep", by="m0", goal="max"))
    again_ms, _ = _time(lambda: reader.top("sweep", by="m0", goal="max"))
    series_ms, _ = _time(lambda: reader.series(best[0].run_id, "loss"))
    return {"top-20, first": first_ms, "top-20, again": again_ms, "one series": series_ms}


def _time(ask: Callable[[], Result]) -> tuple[float, Result]:
    began = time.perf_counter()
    answer = ask()
    return 1000 * (time.perf_counter() - began), answer


def main(argv: Sequence[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--json", type=Path, help="also write every figure here")
    args = parser.parse_args(argv)
    with TemporaryDirectory() as folder:
        facts = machine_facts(Path(folder), core=-1, realtime=False)
        store = write_store(Path(folder) / "store", args.runs)
        before = measure_reading(store)
        began_s, cpu_s = time.perf_counter(), time.process_time()
        done = store.compact()
        wall_s, cpu_s = time.perf_counter() - began_s, time.process_time() - cpu_s
        after = measure_reading(store)
    if done is None:
        sys.stderr.write("the store of this measurement was locked\n")
        return 1
    rows = [f"| {name} | {before[name]:.1f} ms | {after[name]:.1f} ms |" for name in before]
    sizes = f"| size | {done.before.size_bytes / 1e6:.1f} MB | {done.after.size_bytes / 1e6:.1f} MB |"
    counts = f"| segments | {done.before.segments} | {done.after.segments} |"
    table = "\n".join(["| | before | after |", "|---|---|---|", counts, sizes, *rows])
    command = f"python -m benchmarks.compaction --runs {args.runs}"
    sys.stdout.write(f"{render_facts(facts, command)}\n\n{table}\n\ncompacting: {wall_s:.2f} s, {cpu_s:.2f} s of CPU\n")
    if args.json is not None:
        figures = {"machine": facts, "before": before, "after": after, "wall_s": wall_s, "cpu_s": cpu_s}
        args.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
