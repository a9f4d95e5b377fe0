"""Measure what a gate costs beside computing its metric twice with scikit-learn."""
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
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence

import numpy as np

import pytest_mlrun
from benchmarks.figures import markdown_table
from benchmarks.machine import machine_facts, render_facts
from pytest_mlrun.rules.metrics import compute_metrics

METRICS = ("log_loss", "brier", "accuracy", "roc_auc", "f1", "precision", "recall")
JACKKNIFED = ("matthews_corrcoef",)
GOAL_MS = 20.0


def measure(metrics: Sequence[str], *, rows: int, reps: int) -> dict[str, dict[str, float]]:
    """Return for each metric the medians in ms of CPU: the metric twice, the whole gate, and their difference."""
    rng = np.random.default_rng(20261125)
    truth = (rng.random(rows) < 0.4).astype(np.int64)
    logit = 2.0 * truth - 1 + rng.standard_normal(rows)
    outs = [1 / (1 + np.exp(-(logit + noise * rng.standard_normal(rows)))) for noise in (0.0, 0.3)]
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        with pytest_mlrun.record(experiment="cost", name="base", store=store) as base:
            base.evaluate("test", truth, outs[0], metrics=list(metrics))
        for metric in metrics:
            # A run for each: a real one judges once, and does not read back hundreds of verdicts.
            with pytest_mlrun.record(experiment="cost", name="new", store=store) as new:
                new.evaluate("test", truth, outs[1], metrics=[metric])
                gate = new.no_regression(f"test_{metric}", against="base", margin=0.01)
                twice = _twice(metric, truth, outs)
                found[metric] = _compare(twice, lambda gate=gate: new.judge(gate), reps)  # type: ignore[misc]
    return found


def _twice(metric: str, truth: object, outs: Sequence[object]) -> Callable[[], object]:
    return lambda: [compute_metrics([metric], truth, out) for out in outs]  # type: ignore[arg-type]


def _compare(twice: Callable[[], object], judge: Callable[[], object], reps: int) -> dict[str, float]:
    spent: tuple[list[float], list[float]] = ([], [])
    for _ in range(reps + 2):
        for work, times in zip((twice, judge), spent, strict=True):
            start = time.process_time()
            work()
            times.append((time.process_time() - start) * 1e3)
    # The first two rounds import and warm up.
    metric, gate = (statistics.median(times[2:]) for times in spent)
    return {"metric_twice_ms": metric, "gate_ms": gate, "more_ms": gate - metric}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000, help="rows that both models were evaluated on")
    parser.add_argument("--reps", type=int, default=30, help="rounds, metric and gate in turn")
    parser.add_argument("--json", type=Path, help="file for every figure")
    chosen = parser.parse_args(arguments)
    found = measure((*METRICS, *JACKKNIFED), rows=chosen.rows, reps=chosen.reps)
    facts = machine_facts(Path(tempfile.gettempdir()), core=-1, realtime=False)
    print(render_facts(facts, "benchmarks/gate_cost.py"))
    rows = [[name, *(f"{value:.1f}" for value in times.values())] for name, times in found.items()]
    print(markdown_table(["metric", "computed twice, ms", "gate, ms", "more, ms"], rows))
    if chosen.json is not None:
        chosen.json.write_text(json.dumps({"rows": chosen.rows, "reps": chosen.reps, "metrics": found}, indent=1))
    # Without a closed form the metric is computed 50 times over for each model: no goal holds there.
    return int(max(found[name]["more_ms"] for name in METRICS) > GOAL_MS)


if __name__ == "__main__":
    sys.exit(main())
