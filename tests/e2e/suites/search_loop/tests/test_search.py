from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

import demand as forecasting
from demand import Demand, DivergedError, Trial

EPOCHS = 8
TOO_FAST = Trial(learning_rate=1e6, alpha=1e-4)

pytestmark = pytest.mark.mlrun(experiment="demand-search", data="demand", seed=2026)


@pytest.fixture
def demand(mlrun) -> Demand:
    return Demand.load(mlrun.data["demand"])


def try_out(run, trial: Trial, demand: Demand, epochs: int):
    model = None
    for epoch, (model, rmse) in enumerate(forecasting.train(trial, demand, run.seed, epochs)):
        run.log_metric("train_rmse", rmse, step=epoch)
    forecast = model.predict(demand.X_val)
    run.evaluate("val", demand.y_val, forecast, metrics=["rmse", "mae", "r2"])
    run.log_metric("val_pinball_90", forecasting.pinball(demand.y_val, forecast, 0.9))
    return model


def test_random_search(mlrun, demand):
    trials = [*forecasting.sample(mlrun.rng, 5), TOO_FAST]
    mlrun.log_param("trials", len(trials))
    models, diverged = {}, 0
    for trial in trials:
        try:
            with mlrun.child(**asdict(trial)) as run:
                models[run] = try_out(run, trial, demand, EPOCHS)
        except DivergedError:
            diverged += 1

    best = min(models, key=lambda run: run.metrics["val_rmse"])
    mlrun.log_metrics({"best_val_rmse": best.metrics["val_rmse"], "diverged": diverged})
    mlrun.set_tag("best_trial", best.id)
    mlrun.log_dict({"params": dict(best.params), "metrics": dict(best.metrics)}, "best.json")
    forecast = mlrun.tmp_path / "forecast.csv"
    np.savetxt(forecast, models[best].predict(demand.X_val), fmt="%.3f")
    mlrun.log_artifact(forecast)
    mlrun.log_model(models[best])

    mlrun.assert_ceiling("best_val_rmse", 3.0)


def test_successive_halving(mlrun, demand):
    rung, epochs = forecasting.sample(mlrun.rng, 4), 2
    while rung:
        scored = []
        for trial in rung:
            with mlrun.child(**asdict(trial), budget=epochs) as run:
                try_out(run, trial, demand, epochs)
                scored.append((run.metrics["val_rmse"], trial))
        scored.sort(key=lambda pair: pair[0])
        mlrun.log_metric("best_val_rmse", scored[0][0], step=epochs)
        rung, epochs = [trial for _, trial in scored[: len(scored) // 2]], epochs * 2

    mlrun.assert_ceiling("best_val_rmse", 4.0, at="best")


def test_a_pinball_loss_is_zero_for_a_perfect_forecast():
    y = np.array([1.0, 2.0])

    assert forecasting.pinball(y, y, 0.9) == 0
