"""Four estimators on the same rows, each a run with its residuals drawn."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure
from sklearn.base import clone
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

ESTIMATORS = [
    pytest.param(Ridge(alpha=0.1), id="ridge-weak"),
    pytest.param(Ridge(alpha=10.0), id="ridge-strong"),
    pytest.param(make_pipeline(StandardScaler(), Ridge(alpha=10.0)), id="ridge-scaled"),
    pytest.param(RandomForestRegressor(60, min_samples_leaf=4, random_state=7), id="forest"),
]


@pytest.mark.mlrun(experiment="diabetes", data="patients", seed=7)
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_progression(mlrun, estimator):
    table = np.genfromtxt(mlrun.data["patients"], delimiter=",", skip_header=1)
    features, progression = table[:, :-1], table[:, -1]
    in_val = np.arange(len(table)) % 4 == 3

    # A fitted estimator would leak from one test into the next.
    model = clone(estimator).fit(features[~in_val], progression[~in_val])
    predicted = model.predict(features[in_val])

    mlrun.evaluate("val", progression[in_val], predicted, metrics=["rmse", "mae", "r2"])
    mlrun.log_figure(draw_residuals(progression[in_val], predicted), "residuals.png")
    mlrun.log_model(model)
    mlrun.assert_ceiling("val_rmse", 65)


def draw_residuals(observed, predicted):
    # A Figure of its own needs no display and no pyplot, which keeps every figure it made.
    figure = Figure(figsize=(4, 3), layout="tight")
    axes = figure.subplots()
    axes.axhline(0, color="grey", linewidth=1)
    axes.scatter(predicted, observed - predicted, s=10)
    axes.set(xlabel="predicted progression", ylabel="observed minus predicted")
    return figure
