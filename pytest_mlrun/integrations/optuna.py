"""Search with Optuna, each trial a run: ``pytest_mlrun.optuna.optimize(mlrun, objective, n_trials=20)``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from pytest_mlrun.errors import MetricError

if TYPE_CHECKING:
    from pytest_mlrun.run.run import Run

BEST = "best_trial"
RUN_ID = "mlrun_run"


def optimize(
    run: Run,
    objective: Callable[[Any, Run], float],
    *,
    n_trials: int,
    direction: str = "minimize",
    sampler: Any = None,
    pruner: Any = None,
    catch: Sequence[type[Exception]] = (),
) -> Any:
    """Minimize or maximize an objective, with a child run for every trial.

    The objective takes Optuna's trial and the trial's own run, and returns the value to optimize. What the trial
    suggested becomes the child's params, its value the metric ``objective``. A pruned trial is recorded too, as
    ``killed`` and ``skipped``, with the step; one that raised as ``failed``. The run around them gets the tag
    ``best_trial``, the id of the best child, and the table ``trials.parquet``.

    Args:
        run: The run, such as the fixture ``mlrun``.
        objective: Trains one trial.
        n_trials: How many trials.
        direction: ``minimize`` or ``maximize``.
        sampler: Optuna's sampler; default the TPE sampler, seeded from the run's seed. Seed yours with ``mlrun.seed``.
        pruner: Optuna's pruner; default Optuna's.
        catch: Exceptions after which the search goes on with the next trial.

    Returns:
        Optuna's study; the run of a trial is ``trial.user_attrs["mlrun_run"]``.

    Raises:
        MetricError: If no trial was completed.
    """
    import optuna

    from pytest_mlrun.pillars.randomness import derive_seed

    # At once, not in the end: a vocabulary of tags that lacks this one would cost the whole search.
    run.set_tag(BEST, "none yet")
    study = optuna.create_study(
        direction=direction,
        sampler=sampler or optuna.samplers.TPESampler(seed=derive_seed(run.seed, "optuna")),
        pruner=pruner,
    )
    study.optimize(lambda trial: _record(run, objective, trial), n_trials=n_trials, catch=tuple(catch))
    _summarize(run, study)
    return study


def _record(run: Run, objective: Callable[[Any, Run], float], trial: Any) -> float:
    import optuna

    with run.child(trial=trial.number) as child:
        trial.set_user_attr(RUN_ID, child.id)
        try:
            value = float(objective(trial, child))
        except optuna.TrialPruned as pruned:
            step = trial.study.get_trials(deepcopy=False)[trial.number].last_step
            raise optuna.TrialPruned(str(pruned) or f"pruned at step {step}") from pruned
        finally:
            child.log_params(trial.params)
        child.log_metric("objective", value)
    return value


def _summarize(run: Run, study: Any) -> None:
    trials = study.get_trials(deepcopy=False)
    run.log_table(
        {
            "trial": [trial.number for trial in trials],
            "state": [trial.state.name.lower() for trial in trials],
            "value": [trial.value for trial in trials],
            "run": [trial.user_attrs.get(RUN_ID) for trial in trials],
        },
        "trials.parquet",
    )
    states = [trial.state.name for trial in trials]
    run.log_metrics({"trials": len(trials), "trials_pruned": states.count("PRUNED")})
    if "COMPLETE" not in states:
        raise MetricError(
            f"none of {len(trials)} trials was completed",
            details=tuple(f"{state.lower()}: {states.count(state)}" for state in sorted(set(states))),
            where=f"run {run.name}",
            next_step="see why: pytest-mlrun runs; a pruner may prune too early (n_startup_trials)",
        )
    run.log_metric("best_objective", study.best_value)
    run.set_tag(BEST, study.best_trial.user_attrs[RUN_ID])
