from __future__ import annotations

import pytest


@pytest.mark.mlrun(experiment="spam", data="mails", seed=3, clean_tree="require")
@pytest.mark.parametrize("alpha", [1.0])
def test_the_filter_is_no_worse_than_the_one_in_production(mlrun, mails, trained, alpha):
    val = mails[800:]

    mlrun.evaluate("val", val.y, trained.predict_proba(val.X)[:, 1], metrics=["log_loss"], row_ids=val.ids)

    mlrun.assert_no_regression("val_log_loss", against="spam@production", margin=0.02)
