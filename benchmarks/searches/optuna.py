"""Search an Optuna study on SQLite, with the constraint as an attribute: Optuna itself ranks by the objective only."""

from __future__ import annotations

from pathlib import Path

from benchmarks.fill import describe_run
from benchmarks.searches import LEAST, LIMIT, Ask, Search


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
    most_runs=30_000,
    fill=fill,
    open=open_store,
    note="a study keeps its trials in memory once read",
)
