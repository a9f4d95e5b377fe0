"""Search our own store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.fill import EXPERIMENT, FIRST_US, Facts, fill_runs
from benchmarks.searches import LEAST, LIMIT, Ask, Record, Search


@contextmanager
def record(folder: Path) -> Iterator[Record]:
    """Record child runs of one run, as a sweep inside a test does."""
    import pytest_mlrun

    with pytest_mlrun.record(experiment=EXPERIMENT, store=folder) as parent:

        def record_one(facts: Facts) -> None:
            with parent.child(**facts.params) as run:
                run.log_metrics(facts.metrics)

        yield record_one


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
    record=record,
    open=open_store,
)
