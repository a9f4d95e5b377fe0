"""Search an Optuna study on SQLite, with the constraint as an attribute: Optuna itself ranks by the objective only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.fill import Facts, describe_run
from benchmarks.searches import LEAST, LIMIT, Ask, Record, Search


def fill(folder: Path, count: int) -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=f"sqlite:///{folder / 'optuna.db'}", study_name="benchmark", direction="maximize"
    )
    ranges = {f"p{at}": optuna.distributions.IntDistribution(0, 96) for at in range(10)}
    trials = []
    for number in range(count):
        facts = describe_run(number)
        attributes = {name: value for name, value in facts.metrics.items() if name != "m0"}
        trials.append(
            optuna.trial.create_trial(
                params=facts.params, distributions=ranges, value=facts.metrics["m0"], user_attrs=attributes
            )
        )
    study.add_trials(trials)


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
    most_runs=1_000,
    fill=fill,
    record=record,
    open=open_store,
    note="10,000 trials take more than five minutes to add; a study keeps its trials in memory once read",
)
