from __future__ import annotations

import time

import pytest
from churn.load import FEATURES
from churn.metrics import lift_at
from matplotlib.figure import Figure
from sklearn.calibration import calibration_curve
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.inspection import permutation_importance

pytestmark = pytest.mark.mlrun(
    experiment="churn-2026q2",
    data="churn",
    seed=42,
    tags={"stage": "sweep"},
    floors={"val_roc_auc": 0.65, "val_lift_at_10": 1.0},
    primary="val_roc_auc",
)


@pytest.mark.parametrize("max_leaf_nodes", [4, 16])
@pytest.mark.parametrize("learning_rate", [0.02, 0.1, 0.4])
def test_sweep(mlrun, train, val, learning_rate, max_leaf_nodes):
    mlrun.log_split(train=train.customers, val=val.customers)
    mlrun.log_param("max_iter", 25)

    started = time.perf_counter()
    model = HistGradientBoostingClassifier(
        learning_rate=learning_rate, max_leaf_nodes=max_leaf_nodes, max_iter=25, random_state=mlrun.seed
    ).fit(train.X, train.y)
    mlrun.log_metric("fit_s", time.perf_counter() - started)

    score = model.predict_proba(val.X)[:, 1]
    mlrun.evaluate(
        "val",
        val.y,
        score,
        metrics=["roc_auc", "log_loss", "precision", "neg_brier_score"],
        row_ids=val.customers,
        threshold=0.4,
    )
    mlrun.log_metric("val_lift_at_10", lift_at(0.1, val.y, score))
    for step, staged in enumerate(model.staged_predict_proba(train.X)):
        mlrun.log_metric("train_accuracy", ((staged[:, 1] > 0.5) == train.y).mean(), step=step)
    mlrun.log_table(importances(model, val, mlrun.seed), "importances.csv")
    mlrun.log_figure(reliability(val.y, score), "reliability.png")
    mlrun.log_model(model)

    mlrun.assert_ceiling("val_log_loss", 0.69)


def importances(model, rows, seed):
    found = permutation_importance(model, rows.X, rows.y, n_repeats=2, random_state=seed)
    return {"feature": list(FEATURES), "importance": found.importances_mean}


def reliability(y, score):
    observed, predicted = calibration_curve(y, score, n_bins=5, strategy="quantile")
    figure = Figure(figsize=(3, 3))
    axes = figure.subplots()
    axes.plot(predicted, observed, marker="o")
    axes.set(xlabel="predicted", ylabel="observed")
    return figure
