from __future__ import annotations

import pytest
from churn.load import load

pytestmark = [
    pytest.mark.mlrun(experiment="churn-2026q2", data="churn", seed=42, tags={"stage": "winner"}),
    pytest.mark.mlrun_select(experiment="churn-2026q2", by="val_log_loss", where="val_roc_auc >= 0.75"),
]


def test_winner(mlrun):
    model, test = mlrun.winner.load_model(), load(mlrun.data["churn"], "test")

    mlrun.evaluate(
        "test",
        test.y,
        model.predict_proba(test.X)[:, 1],
        metrics=["roc_auc", "log_loss"],
        row_ids=test.customers,
    )

    mlrun.assert_floor("test_roc_auc", 0.70)
