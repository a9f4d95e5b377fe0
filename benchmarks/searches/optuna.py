"""Search an Optuna study on SQLite, with the constraint as an attribute: Optuna itself ranks by the objective only."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from benchmarks.fill import Facts, describe_run
from benchmarks.searches import LEAST, LIMIT, Ask, Record, Search

_TRIALS = """insert into trials (trial_id, number, study_id, state, datetime_start, datetime_complete)
    values (?, ?, ?, 'COMPLETE', '2026-11-25 00:00:00.000000', '2026-11-25 00:00:01.000000')"""
_PARAMS = "insert into trial_params (trial_id, param_name, param_value, distribution_json) values (?, ?, ?, ?)"
_ATTRIBUTES = "insert into trial_user_attributes (trial_id, key, value_json) values (?, ?, ?)"
_VALUES = "insert into trial_values (trial_id, objective, value, value_type) values (?, 0, ?, 'FINITE')"


def fill(folder: Path, count: int) -> None:
    """Let Optuna make its tables, then write the rows: 10,000 trials take it more than five minutes to add."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    optuna.create_study(storage=f"sqlite:///{folder / 'optuna.db'}", study_name="benchmark", direction="maximize")
    whole = optuna.distributions.distribution_to_json(optuna.distributions.IntDistribution(0, 96))
    with closing(sqlite3.connect(folder / "optuna.db")) as database, database:
        (study,) = database.execute("select study_id from studies").fetchone()
        for number in range(count):
            facts, trial = describe_run(number), number + 1
            database.execute(_TRIALS, (trial, number, study))
            database.executemany(_PARAMS, [(trial, name, value, whole) for name, value in facts.params.items()])
            attributes = {name: json.dumps(value) for name, value in facts.metrics.items() if name != "m0"}
            database.executemany(_ATTRIBUTES, [(trial, name, text) for name, text in attributes.items()])
            database.execute(_VALUES, (trial, facts.metrics["m0"]))


@contextmanager
def record(folder: Path) -> Iterator[Record]:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = f"sqlite:///{folder / 'optuna.db'}"
    study = optuna.create_study(storage=storage, study_name="benchmark", direction="maximize", load_if_exists=True)

    def record_one(facts: Facts) -> None:
        trial = study.ask()
        for name, value in facts.params.items():
            trial.suggest_int(name, value, value)
        for name, metric in facts.metrics.items():
            trial.set_user_attr(name, metric)
        study.tell(trial, facts.metrics["m0"])

    yield record_one


def open_store(folder: Path) -> Ask:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.load_study(storage=f"sqlite:///{folder / 'optuna.db'}", study_name="benchmark")

    def ask() -> list[int]:
        trials = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
        able = [trial for trial in trials if trial.user_attrs["m1"] >= LEAST]
        return [trial.number for trial in sorted(able, key=lambda trial: -trial.value)[:LIMIT]]

    return ask


SEARCH = Search(
    title="Optuna, SQLite",
    distribution="optuna",
    most_runs=10_000,
    fill=fill,
    record=record,
    open=open_store,
    note="rows written into its tables; a study keeps its trials in memory once read",
)
