from __future__ import annotations

import pytest
import vibration


@pytest.mark.mlrun(experiment="vibration", data="bearings", seed=5)
def test_as_many_seeds_as_the_question_needs(mlrun):
    bearings = vibration.read(mlrun.data["bearings"])
    gate = mlrun.no_regression("val_accuracy", against="vibration@production", margin=0.03, claim="procedure")

    for run in mlrun.seeds(until=gate):
        model = vibration.train(bearings, run.seed)
        run.evaluate("val", bearings.y_val, model.predict(bearings.X_val), metrics=["accuracy"])

    mlrun.assert_all(gate)
