from __future__ import annotations

import pytest
from shared_metrics import population_stability
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import Ridge

pytestmark = pytest.mark.mlrun(experiment="pricing", data="train", seed=2)


class TestModel:
    @pytest.mark.mlrun(tags={"tier": "candidate"}, ceilings={"val_mae": 12.0})
    @pytest.mark.parametrize(
        "model",
        [
            pytest.param(Ridge(alpha=0.5), id="ridge"),
            pytest.param(RandomForestRegressor(20, min_samples_leaf=3, random_state=0), id="forest"),
        ],
    )
    def test_baseline(self, mlrun, table, model):
        X, y = table["features"], table["price"]

        model.fit(X[:300], y[:300])
        forecast = model.predict(X)

        mlrun.evaluate("val", y[300:], forecast[300:], metrics=["mae", "rmse"])
        mlrun.log_metric("psi", population_stability(forecast[:300], forecast[300:]))
        mlrun.log_model(model)
