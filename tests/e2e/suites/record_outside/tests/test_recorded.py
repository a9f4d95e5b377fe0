from __future__ import annotations

from train import build


def test_the_pipeline_learns_a_word():
    model = build(alpha=1.0).fit(["refund invoice", "password reset"], ["billing", "login"])

    assert list(model.predict(["my invoice"])) == ["billing"]


def test_the_script_recorded_a_run_that_is_good_enough(mlrun_store):
    best = mlrun_store.top("tickets", by="val_accuracy", goal="max", limit=1)

    assert best, "run python train.py first"
    assert 0.8 < best[0].metrics["val_accuracy"] < 0.95
    assert best[0].tags["by"] == "script"
