from __future__ import annotations

import pytest
from pytest_mlrun import Run


@pytest.mark.mlrun(
    experiment="spam",
    data="mails",
    seed=3,
    clean_tree="require",
    floors={"val_roc_auc": 0.9, "val_recall": 0.6},
    ceilings={"false_alarms_per_1000": 150},
    primary="val_roc_auc",
)
@pytest.mark.parametrize("alpha", [0.1, 1.0])
def test_filter(mlrun: Run, mails, trained, alpha):
    val = mails[800:]
    score = trained.predict_proba(val.X)[:, 1]

    mlrun.evaluate("val", val.y, score, metrics=["roc_auc", "log_loss", "recall"], row_ids=val.ids)

    mlrun.log_metric("false_alarms_per_1000", 1000 * ((score > 0.5) & (val.y == 0)).mean())
