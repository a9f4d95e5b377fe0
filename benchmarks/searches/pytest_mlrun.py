"""Search our own store."""

from __future__ import annotations

from pathlib import Path

from benchmarks.fill import EXPERIMENT, FIRST_US, fill_runs
from benchmarks.searches import LEAST, LIMIT, Ask, Search


def open_store(folder: Path) -> Ask:
    from pytest_mlrun.records.query import Comparison
    from pytest_mlrun.store.reader import Reader

    reader = Reader(folder)
    where = (Comparison("metric", "m1", ">=", LEAST),)

    def ask() -> list[int]:
        found = reader.top(EXPERIMENT, by="m0", goal="max", where=where, limit=LIMIT)
        return [(run.started_us - FIRST_US) // 1_000_000 for run in found]

    return ask


SEARCH = Search(
    title="pytest-mlrun",
    distribution="pytest-mlrun",
    most_runs=10_000_000,
    fill=fill_runs,
    open=open_store,
)
