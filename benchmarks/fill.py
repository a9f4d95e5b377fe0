"""Fill stores with runs that differ, by way of the package's own builders of columns, some thousand at a time."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.store.digest import compute_run_digest
from pytest_mlrun.store.points import Series
from pytest_mlrun.store.segment import write_segment
from pytest_mlrun.store.series import compute_series_digest, write_series
from pytest_mlrun.store.store import Store

PARAMS = 10
METRICS = 5
EXPERIMENT = "churn-2026q2"
SEGMENT_RUNS = 65_536
CURVE_STEPS = 1_000
FIRST_US = 1_790_000_000_000_000
_DISTINCT_CURVES = 64
_HEX = "01a00000-0000-7000-{:04x}-{:012x}"
_SCATTER = 0x9E3779B97F4A7C15


@dataclass(frozen=True)
class Facts:
    """What one run of the benchmark is, for every tracker alike.

    Attributes:
        number: Its number; everything follows from it.
        params: Name to value.
        metrics: Name to value.
    """

    number: int
    params: dict[str, int]
    metrics: dict[str, float]


def describe_run(number: int) -> Facts:
    """Return run ``number``: ten params of 97 values each, five metrics that look random."""
    params = {f"p{at}": (number * (2 * at + 3) + at) % 97 for at in range(PARAMS)}
    metrics = {f"m{at}": _scatter(number * METRICS + at) for at in range(METRICS)}
    return Facts(number, params, metrics)


def run_id(number: int) -> str:
    """Return the id of run ``number``: they sort by number, and end differently."""
    return _HEX.format(0x8000 | number >> 16 & 0x3FFF, (number & 0xFFFF) << 32 | number * 0x9E3779B1 & 0xFFFFFFFF)


def fill_runs(folder: Path, count: int, *, processes: int = 2) -> None:
    """Create a store of finished runs, in segments as compaction leaves them."""
    store = Store.open(folder, create=True)
    (store.path / "seg").mkdir(exist_ok=True)
    starts = range(0, count, SEGMENT_RUNS)
    # Not forked: a fork of a process with Arrow's threads may hang.
    with ProcessPoolExecutor(max_workers=min(processes, len(starts)), mp_context=get_context("spawn")) as pool:
        list(pool.map(partial(_fill_segment, store.path, count), starts))


def fill_series(folder: Path, points: int) -> None:
    """Create a store whose runs have five series of a thousand points each."""
    store = Store.open(folder, create=True)
    for name in ("seg", "pts"):
        (store.path / name).mkdir(exist_ok=True)
    curves, digests = _make_curves()
    records: list[RunRecord] = []

    def series() -> Iterator[tuple[str, Series]]:
        for number in range(points // (METRICS * CURVE_STEPS)):
            chosen = {f"m{at}": (number * METRICS + at) % _DISTINCT_CURVES for at in range(METRICS)}
            record = _make_record(number, {name: digests[which] for name, which in chosen.items()})
            records.append(record)
            for name, which in chosen.items():
                yield record.run_id, replace(curves[which], name=name)

    write_series(store.path / "pts" / "points.arrow", series())
    write_segment(store.path / "seg" / "runs.arrow", records, replaces=(), series=("points",))


def _fill_segment(root: Path, count: int, start: int) -> None:
    records = [_make_record(number, {}) for number in range(start, min(start + SEGMENT_RUNS, count))]
    write_segment(root / "seg" / f"segment-{start:09d}.arrow", records, replaces=(), series=())


def _make_record(number: int, series: dict[str, str]) -> RunRecord:
    facts = describe_run(number)
    started_us = FIRST_US + number * 1_000_000
    case = "-".join(map(str, facts.params.values()))
    record = RunRecord(
        run_id=run_id(number), session_id=run_id(number // 1_000), experiment=EXPERIMENT, name=f"test_sweep[{case}]",
        test="test_sweep.py::test_sweep", case=case, attempt=1, parent_id=None, status="finished", outcome="passed",
        cause="", cause_detail="", error="", started_us=started_us, ended_us=started_us + 900_000,
        params={name: str(value) for name, value in facts.params.items()}, metrics=facts.metrics,
        tags={"team": "churn", "stage": "sweep"}, context=_CONTEXT, artifacts=(), gates=(), series=series,
    )  # fmt: skip
    return replace(record, digest=compute_run_digest(record))


_CONTEXT = {
    "code.commit": '"0123456789abcdef0123456789abcdef01234567"',
    "code.dirty": "false",
    "environment.python": '"3.11.7"',
    "host.cores": "2",
    "seed.value": "42",
    "project": '"/work/churn"',
}


def _make_curves() -> tuple[list[Series], list[str]]:
    random = np.random.default_rng(0)
    steps = np.arange(CURVE_STEPS, dtype=np.int64)
    curves = [Series("", steps, FIRST_US + steps * 1_000, _noise(random)) for _ in range(_DISTINCT_CURVES)]
    return curves, [compute_series_digest(curve) for curve in curves]


def _noise(random: np.random.Generator) -> npt.NDArray[np.float64]:
    return 1 / np.sqrt(np.arange(1, CURVE_STEPS + 1)) + random.normal(0, 0.01, CURVE_STEPS)


def _scatter(number: int) -> float:
    mixed = (number + 1) * _SCATTER & 0xFFFFFFFFFFFFFFFF
    mixed = (mixed ^ mixed >> 31) * _SCATTER & 0xFFFFFFFFFFFFFFFF
    return (mixed >> 11) / (1 << 53)
