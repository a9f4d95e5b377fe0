"""Search MLflow on SQLite."""
# mypy: disable-error-code="import-not-found, import-untyped"

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from benchmarks.fill import Facts, describe_run, run_id
from benchmarks.searches import LEAST, LIMIT, Ask, Record, Search

_RUNS = """insert into runs (run_uuid, name, source_type, user_id, status, start_time, end_time, lifecycle_stage,
    artifact_uri, experiment_id) values (?, ?, 'LOCAL', 'ada', 'FINISHED', ?, ?, 'active', '', ?)"""
_PARAMS = "insert into params (run_uuid, key, value) values (?, ?, ?)"
_METRICS = "insert into {} (run_uuid, key, value, timestamp, step, is_nan) values (?, ?, ?, 1, 0, 0)"


def _uri(folder: Path) -> str:
    return f"sqlite:///{folder / 'mlflow.db'}"


def fill(folder: Path, count: int) -> None:
    """Let MLflow make its tables, then write the rows: a run by its own interface takes 25 ms."""
    from mlflow import MlflowClient

    experiment = int(MlflowClient(_uri(folder)).create_experiment("benchmark"))
    with closing(sqlite3.connect(folder / "mlflow.db")) as database, database:
        for number in range(count):
            facts, uuid = describe_run(number), run_id(number).replace("-", "")
            database.execute(_RUNS, (uuid, str(number), number * 1_000, number * 1_000 + 900, experiment))
            database.executemany(_PARAMS, [(uuid, name, str(value)) for name, value in facts.params.items()])
            for table in ("metrics", "latest_metrics"):
                values = [(uuid, name, value) for name, value in facts.metrics.items()]
                database.executemany(_METRICS.format(table), values)


@contextmanager
def record(folder: Path) -> Iterator[Record]:
    import mlflow

    mlflow.set_tracking_uri(_uri(folder))
    mlflow.set_experiment("benchmark")

    def record_one(facts: Facts) -> None:
        with mlflow.start_run():
            mlflow.log_params(facts.params)
            mlflow.log_metrics(facts.metrics)

    yield record_one


def open_store(folder: Path) -> Ask:
    from mlflow import MlflowClient

    client = MlflowClient(_uri(folder))
    experiment = client.get_experiment_by_name("benchmark").experiment_id

    def ask() -> list[int]:
        where, order = f"metrics.m1 >= {LEAST} and attributes.status = 'FINISHED'", ["metrics.m0 DESC"]
        found = client.search_runs([experiment], filter_string=where, order_by=order, max_results=LIMIT)
        return [int(run.info.run_name) for run in found]

    return ask


SEARCH = Search(
    title="MLflow, SQLite",
    distribution="mlflow",
    most_runs=30_000,
    fill=fill,
    record=record,
    open=open_store,
    note="rows written into its tables",
)
