"""Measure how often the regression gate errs exactly at its margin, with real models, beside rules of thumb."""
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
import tempfile
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from importlib.util import module_from_spec, spec_from_file_location
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from benchmarks.figures import markdown_table
from benchmarks.machine import machine_facts, render_facts
from pytest_mlrun.rules.gate_policy import GatePolicy
from pytest_mlrun.rules.metrics import compute_metrics
from pytest_mlrun.rules.no_regression import Compared, NoRegression, judge_no_regression
from pytest_mlrun.rules.scored_rows import ScoredRows, ruled_out
from pytest_mlrun.rules.statistics.decision import MIN_EFF

if TYPE_CHECKING:
    from numpy.typing import NDArray

DATA = ("churn", "digits")
MODELS = ("logistic", "forest", "boosting")
GOALS: Mapping[str, int] = {"log_loss": -1, "brier": -1, "accuracy": 1, "roc_auc": 1, "f1": 1, "precision": 1}
ARMS = ("retrained", "30 % fewer rows", "10 % wrong labels")
SIZES = (200, 500, 2_000)
PROMISED_FROM = 500
ALPHA = 0.05
ALLOWED = 0.005
RULES = ("new >= base", "new >= base - 0.005", "abs(new - base) < 0.01")
POOL, TRAIN, SEEDS = 20_000, 1_500, 24
SEED = 20261125


@dataclass(frozen=True, slots=True)
class Cell:
    """What came of all trials of one data set, model, arm, metric and number of rows; shares of the trials.

    Attributes:
        failed: FAIL exactly at the margin, which is wrong.
        passed: PASS exactly at the margin, which is wrong.
        refused: INCONCLUSIVE because too few rows decide, or a model calls a class impossible.
        alarms: Rule to how often it turns red.
        ours: How often the gate with a margin of 0.005 fails, and passes.
    """

    data: str
    model: str
    arm: str
    metric: str
    n: int
    trials: int
    failed: float
    passed: float
    refused: float
    alarms: dict[str, float]
    ours: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Pool:
    """Labels of many rows, and what every seed of every arm says of them."""

    truth: NDArray[np.int64]
    scores: Mapping[str, NDArray[np.float64]]


# -- models ------------------------------------------------------------------------------------------------------------


def _churn(rng: np.random.Generator, count: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Draw fresh customers from the generator of the churn example."""
    path = ROOT / "examples" / "churn_lightgbm" / "make_snapshot.py"
    spec = spec_from_file_location("make_churn", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path} is not there: run this in a checkout")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    features: list[NDArray[Any]] = []
    truth: list[NDArray[np.int64]] = []
    while sum(map(len, truth)) < count:
        columns = module.draw_customers(rng)
        truth.append(columns["churned"].astype(np.int64))
        known = [name for name in columns if name not in {"customer_id", "month", "churned"}]
        features.append(np.column_stack([columns[name].astype(float) for name in known]))
    return np.concatenate(features)[:count], np.concatenate(truth)[:count]


def _digits(rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    from sklearn.datasets import load_digits

    rows, digit = load_digits(return_X_y=True)
    order = rng.permutation(len(rows))
    return rows[order], (digit[order] % 2).astype(np.int64)


def _make(model: str, seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if model == "logistic":
        return make_pipeline(StandardScaler(), LogisticRegression(max_iter=200))
    if model == "forest":
        return RandomForestClassifier(40, min_samples_leaf=2, random_state=seed)
    return HistGradientBoostingClassifier(max_iter=40, max_leaf_nodes=12, max_features=0.5, random_state=seed)


def train(data: str, model: str, *, pool: int, seeds: int) -> Pool:
    """Train every arm under every seed, which draws the training rows too, and score the pool."""
    rng = np.random.default_rng([SEED, DATA.index(data)])
    if data == "churn":
        rows, truth = _churn(rng, pool + TRAIN * 4)
        held, size = pool, TRAIN
    else:
        rows, truth = _digits(rng)
        held, size = len(rows) // 2, len(rows) // 3
    scores: dict[str, list[NDArray[np.float64]]] = {arm: [] for arm in ("base", *ARMS[1:])}
    for seed in range(seeds):
        drawn = held + rng.permutation(len(rows) - held)[:size]
        wrong = np.where(rng.random(size) < 0.1, 1 - truth[drawn], truth[drawn])
        fewer = drawn[: size * 7 // 10]
        arms = {"base": (drawn, truth[drawn]), ARMS[1]: (fewer, truth[fewer]), ARMS[2]: (drawn, wrong)}
        for arm, (chosen, labels) in arms.items():
            fitted = _make(model, seed).fit(rows[chosen], labels)
            scores[arm].append(fitted.predict_proba(rows[:held])[:, 1])
    return Pool(truth[:held], {arm: np.array(found) for arm, found in scores.items()})


# -- trials ------------------------------------------------------------------------------------------------------------


def judge_cells(data: str, model: str, *, sizes: Sequence[int], trials: int, pool: int, seeds: int) -> list[Cell]:
    """Train once, then judge samples of the pool: in each the margin is the exact difference of two trained models."""
    warnings.simplefilter("ignore")
    found = train(data, model, pool=pool, seeds=seeds)
    known = {
        arm: [compute_metrics(list(GOALS), found.truth, score) for score in scores]
        for arm, scores in found.scores.items()
    }
    cells: list[Cell] = []
    for place, arm in enumerate(ARMS):
        for n in sizes:
            rng = np.random.default_rng([SEED, DATA.index(data), MODELS.index(model), place, n])
            drawn = [_draw(rng, found, known, arm, n) for _ in range(trials)]
            named = {"data": data, "model": model, "arm": arm}
            cells += [_count([each[name] for each in drawn], metric=name, n=n, **named) for name in GOALS]
    return cells


@dataclass(frozen=True, slots=True)
class _Trial:
    decision: str
    may_fail: bool
    may_pass: bool
    refused: bool
    estimate: float
    low: float
    high: float


def _draw(
    rng: np.random.Generator, pool: Pool, known: Mapping[str, list[dict[str, float]]], arm: str, n: int
) -> dict[str, _Trial]:
    """Judge one sample of rows by every metric: a model of the arm against one of the base."""
    first, second = (int(seed) for seed in rng.choice(len(pool.scores["base"]), 2, replace=False))
    new_arm = "base" if arm == ARMS[0] else arm
    new, base = pool.scores[new_arm][first], pool.scores["base"][second]
    rows = rng.integers(0, len(pool.truth), n)
    found = {}
    for metric, sign in GOALS.items():
        drop = sign * (known["base"][second][metric] - known[new_arm][first][metric])
        # Turned so that the new one is the worse: a margin is a drop. The pair and its truth stay what they are.
        sides = (new, base) if drop >= 0 else (base, new)
        trial = _judge(metric, sign, pool.truth[rows], [side[rows] for side in sides], abs(drop))
        # Undo the turn for the rules as people write them.
        found[metric] = trial if drop >= 0 else _turned(trial)
    return found


def _judge(
    metric: str, sign: int, truth: NDArray[np.int64], sides: Sequence[NDArray[np.float64]], margin: float
) -> _Trial:
    ids = np.arange(len(truth))
    new, base = (ScoredRows(metric, ids, truth, side, labels=(0, 1)) for side in sides)
    both = Compared("base", "max" if sign > 0 else "min", [new], [base], 0.0, 0.0, "", "")
    verdict = judge_no_regression(NoRegression(f"test_{metric}", "base", margin), both, GatePolicy())
    estimate, low, high = (0.0 if end is None else end for end in (verdict.estimate, verdict.low, verdict.high))
    enough = (verdict.n_eff or 0.0) >= MIN_EFF["evidence"]
    only_new, only_base = ruled_out(base, new)
    refused = not enough or "impossible" in verdict.reason
    return _Trial(verdict.decision, enough and not only_base, enough and not only_new, refused, estimate, low, high)


def _turned(trial: _Trial) -> _Trial:
    return replace(
        trial,
        may_fail=trial.may_pass,
        may_pass=trial.may_fail,
        estimate=-trial.estimate,
        low=-trial.high,
        high=-trial.low,
    )


def _count(trials: Sequence[_Trial], *, data: str, model: str, arm: str, metric: str, n: int) -> Cell:
    decisions = [trial.decision for trial in trials]
    estimates = np.array([trial.estimate for trial in trials])
    # By the interval, whose ends decide: what the gate with the usual small margin says of the same rows.
    fails = [trial.may_fail and trial.high < -ALLOWED for trial in trials]
    passes = [trial.may_pass and trial.low > -ALLOWED for trial in trials]
    return Cell(
        data=data,
        model=model,
        arm=arm,
        metric=metric,
        n=n,
        trials=len(trials),
        failed=decisions.count("FAIL") / len(trials),
        passed=decisions.count("PASS") / len(trials),
        refused=float(np.mean([trial.refused for trial in trials])),
        alarms={
            RULES[0]: float(np.mean(estimates < 0)),
            RULES[1]: float(np.mean(estimates < -ALLOWED)),
            RULES[2]: float(np.mean(np.abs(estimates) >= 2 * ALLOWED)),
        },
        ours=(float(np.mean(fails)), float(np.mean(passes))),
    )


# -- report ------------------------------------------------------------------------------------------------------------


def limit_of(trials: int, checks: int) -> float:
    """Return the share of errors that a gate of 5 % exceeds in one of twenty whole tables, by luck alone."""
    return float(stats.binom.ppf(1 - ALPHA / checks, trials, ALPHA)) / trials


def render_boundary(cells: Sequence[Cell]) -> str:
    """Lay out how often the gate errs exactly at its margin: means over the cells, and the worst cell."""
    sizes = sorted({cell.n for cell in cells})
    rows = []
    for metric in GOALS:
        row = [f"`{metric}`"]
        for n in sizes:
            chosen = [cell for cell in cells if (cell.metric, cell.n) == (metric, n)]
            failed, passed = ([getattr(cell, side) for cell in chosen] for side in ("failed", "passed"))
            row.append(f"{_percent(np.mean(failed))} / {_percent(np.mean(passed))}")
            row.append(f"{_percent(max(failed))} / {_percent(max(passed))}")
            row.append(f"{100 * np.mean([cell.refused for cell in chosen]):.0f}")
        rows.append(row)
    titles = [title for n in sizes for title in (f"n={n:,}: FAIL / PASS", "worst cell", "refused")]
    return markdown_table(["%, at the margin", *titles], rows)


def render_rules(cells: Sequence[Cell]) -> str:
    """Lay out what the rules say as people write them: red for an honest retraining, green for a worse training."""
    rows = []
    for metric in GOALS:
        for n in sorted({cell.n for cell in cells}):
            chosen = [cell for cell in cells if (cell.metric, cell.n) == (metric, n)]
            honest, worse = ([c for c in chosen if (c.arm == ARMS[0]) is same] for same in (True, False))
            row = [f"`{metric}`, n={n:,}"]
            for rule in RULES:
                alarmed = np.mean([cell.alarms[rule] for cell in honest])
                missed = 1 - np.mean([cell.alarms[rule] for cell in worse])
                row.append(f"{_percent(alarmed, 0)} / {_percent(missed, 0)}")
            alarmed, missed = np.mean([c.ours[0] for c in honest]), np.mean([c.ours[1] for c in worse])
            row.append(f"{_percent(alarmed)} / {_percent(missed, 0)}")
            rows.append(row)
    titles = [*(f"`{rule}`" for rule in RULES), "the gate, `margin=0.005`"]
    return markdown_table(["red when only retrained / green when worse, %", *titles], rows)


def _percent(share: float | np.floating[Any], digits: int = 1) -> str:
    return f"{100 * share:.{digits}f}"


def find_misses(cells: Iterable[Cell]) -> list[str]:
    """Name the cells that err more often than chance explains, where the gate promises its rate."""
    promised = [cell for cell in cells if cell.n >= PROMISED_FROM]
    if not promised:
        return []
    limit = limit_of(promised[0].trials, 2 * len(promised))
    return [
        f"{cell.data}, {cell.model}, {cell.arm}, {cell.metric}, n={cell.n:,}: FAIL {_percent(cell.failed)} %, "
        f"PASS {_percent(cell.passed)} %, refused {_percent(cell.refused, 0)} %, limit {_percent(limit)} %"
        for cell in promised
        if max(cell.failed, cell.passed) > limit
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1_000, help="samples of a cell")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="rows of a sample")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="trainings of an arm")
    parser.add_argument("--pool", type=int, default=POOL, help="fresh customers that samples are drawn from")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS), help="only these")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--json", type=Path, help="file for every figure")
    chosen = parser.parse_args(arguments)
    facts = machine_facts(Path(tempfile.gettempdir()), core=-1, realtime=False)
    started = time.perf_counter()
    pairs = [(data, model) for data in DATA for model in chosen.models]
    wanted = {"sizes": chosen.sizes, "trials": chosen.trials, "pool": chosen.pool, "seeds": chosen.seeds}
    with ProcessPoolExecutor(chosen.jobs) as workers:
        asked = [workers.submit(judge_cells, data, model, **wanted) for data, model in pairs]
        cells = [cell for each in asked for cell in each.result()]
    spent = time.perf_counter() - started
    if chosen.json is not None:
        chosen.json.write_text(json.dumps({**wanted, "cells": [asdict(cell) for cell in cells]}, indent=1))
    print(render_facts(facts, "python benchmarks/gate_calibration.py"))
    print(f"\n{len(cells):,} cells of {chosen.trials:,} trials in {spent / 60:.1f} min, {chosen.jobs} processes\n")
    print(f"{render_boundary(cells)}\n\n{render_rules(cells)}\n")
    misses = find_misses(cells)
    print(*misses or ["no cell errs more often than 5 % and chance explain"], sep="\n")
    return int(bool(misses))


if __name__ == "__main__":
    sys.exit(main())
