"""Train once (`scorer`), then ask many questions; each answer is a test of its own, all of them are one run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from credit.applications import FEATURES, Applications
from credit.model import build
from sklearn.pipeline import Pipeline

pytestmark = pytest.mark.mlrun(experiment="credit", data="applications", seed=11, tags={"team": "risk"})


@dataclass(frozen=True)
class Scorer:
    pipeline: Pipeline
    applications: Applications

    def score(self, X: np.ndarray) -> np.ndarray:
        return self.pipeline.predict_proba(X)[:, 1]


@pytest.fixture(scope="module")
def scorer(mlrun_module) -> Scorer:
    applications = Applications.read(mlrun_module.data["applications"])
    mlrun_module.log_params({"C": 0.5, "penalty": "l2"})
    mlrun_module.log_split(train=applications.train.ids, test=applications.test.ids)
    pipeline = build(C=0.5).fit(applications.train.X, applications.train.y)
    mlrun_module.log_model(pipeline)
    return Scorer(pipeline, applications)


@pytest.fixture(scope="module")
def scores(mlrun_module, scorer) -> np.ndarray:
    rows = scorer.applications.test
    found = scorer.score(rows.X)
    mlrun_module.evaluate(
        "test",
        rows.y,
        found,
        metrics=["roc_auc", "log_loss", "brier", "recall"],
        row_ids=rows.ids,
        groups=rows.region,
        threshold=0.35,
    )
    return found


class TestQuality:
    def test_it_ranks_defaulters_first(self, mlrun_module, scores):
        mlrun_module.assert_floor("test_roc_auc", 0.65)

    def test_it_finds_most_defaulters(self, mlrun_module, scores):
        mlrun_module.assert_floor("test_recall", 0.50)

    def test_its_probabilities_mean_what_they_say(self, mlrun_module, scorer, scores):
        gap = abs(scores.mean() - scorer.applications.test.y.mean())
        mlrun_module.log_metric("test_calibration_gap", gap)

        mlrun_module.assert_ceiling("test_calibration_gap", 0.05)

    @pytest.mark.parametrize("region", ["north", "south", "west"])
    def test_no_region_is_left_behind(self, mlrun_module, scorer, scores, region):
        rows = scorer.applications.test
        mask = rows.region == region
        mlrun_module.log_metric(f"test_brier_{region}", np.mean((scores[mask] - rows.y[mask]) ** 2))

        mlrun_module.assert_ceiling(f"test_brier_{region}", 0.25)


class TestBehaviour:
    def test_more_late_payments_never_lower_the_score(self, scorer):
        X = scorer.applications.test.X[:50].copy()
        before = scorer.score(X)
        X[:, FEATURES.index("late_payments")] += 1

        assert (scorer.score(X) >= before).all()

    def test_the_order_of_rows_does_not_matter(self, scorer):
        X = scorer.applications.test.X

        np.testing.assert_allclose(scorer.score(X[::-1])[::-1], scorer.score(X))

    def test_a_missing_income_is_refused(self, scorer):
        X = scorer.applications.test.X[:1].copy()
        X[0, FEATURES.index("income")] = np.nan

        with pytest.raises(ValueError, match="NaN"):
            scorer.score(X)
