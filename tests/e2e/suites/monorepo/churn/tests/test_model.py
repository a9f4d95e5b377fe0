from __future__ import annotations

import numpy as np
import pytest
from shared_metrics import population_stability
from sklearn.linear_model import LogisticRegression

pytestmark = pytest.mark.mlrun(experiment="churn", data="train", seed=1, tags={"country": "de"})


class TestModel:
    @pytest.mark.parametrize("class_weight", [None, "balanced"])
    @pytest.mark.parametrize("C", [0.01, 1.0])
    def test_baseline(self, mlrun, table, C, class_weight):
        X, y = np.column_stack([table["use"], table["tenure"], table["calls"]]), table["churned"].astype(int)

        model = LogisticRegression(C=C, class_weight=class_weight).fit(X[:350], y[:350])
        score = model.predict_proba(X)[:, 1]

        mlrun.evaluate("val", y[350:], score[350:], metrics=["roc_auc", "f1"])
        mlrun.log_metric("psi", population_stability(score[:350], score[350:]))
        mlrun.assert_floor("val_roc_auc", 0.7)
        mlrun.assert_ceiling("psi", 0.25)
