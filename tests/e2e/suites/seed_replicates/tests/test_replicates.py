from __future__ import annotations

import numpy as np
import pytest
import vibration

REPLICATES = [pytest.param(n, marks=pytest.mark.mlrun(seed=1000 + n)) for n in range(4)]


@pytest.fixture
def bearings(mlrun) -> vibration.Bearings:
    return vibration.read(mlrun.data["bearings"])


@pytest.mark.mlrun(experiment="vibration", data="bearings", tags={"design": "one test each"})
@pytest.mark.parametrize("replicate", REPLICATES)
def test_one_test_for_each_replicate(mlrun, bearings, replicate):
    model = vibration.train(bearings, mlrun.seed)

    mlrun.evaluate("val", bearings.y_val, model.predict(bearings.X_val), metrics=["accuracy"])

    mlrun.assert_floor("val_accuracy", 0.5)


@pytest.mark.mlrun(experiment="vibration", data="bearings", seed=5, tags={"design": "one test for all"})
def test_the_mean_over_replicates(mlrun, bearings):
    scores = []
    for run in mlrun.seeds(4):
        model = vibration.train(bearings, run.seed)
        run.evaluate("val", bearings.y_val, model.predict(bearings.X_val), metrics=["accuracy"])
        scores.append(run.metrics["val_accuracy"])

    mlrun.log_metrics({"val_accuracy_mean": np.mean(scores), "val_accuracy_sd": np.std(scores, ddof=1)})
    mlrun.assert_floor("val_accuracy_mean", 0.6)
    mlrun.assert_ceiling("val_accuracy_sd", 0.2)


@pytest.mark.mlrun(experiment="vibration-legacy", data="bearings", seed=5)
def test_code_that_draws_from_the_global_generator(mlrun, bearings):
    model = vibration.train(bearings, seed=None)

    mlrun.evaluate(
        "val", bearings.y_val, model.predict_proba(bearings.X_val), metrics=["log_loss", "accuracy"]
    )

    mlrun.assert_floor("val_accuracy", 0.5)
