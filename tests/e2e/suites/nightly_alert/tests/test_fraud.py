from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


@pytest.mark.mlrun(
    experiment="fraud-nightly",
    data="payments",
    seed=1,
    tags={"job": "nightly"},
    floors={"val_average_precision": 0.45, "val_roc_auc": 0.7},
)
@pytest.mark.parametrize("market", ["de", "es", "fr"])
def test_retrain(mlrun, payments, market):
    X = np.column_stack([np.log(payments["amount"]), payments["foreign"] * (payments["hour"] < 6)])
    y = payments["fraud"].astype(int)
    mlrun.log_metrics({"rows": len(y), "fraud_rate": y.mean()})

    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X[:400], y[:400])
    score = model.predict_proba(X[400:])[:, 1]

    mlrun.evaluate("val", y[400:], score, metrics=["roc_auc", "log_loss"])
    mlrun.log_metric("val_average_precision", average_precision_score(y[400:], score))
    mlrun.log_model(model, name=f"fraud-{market}")
