"""The name of a metric tells whether more or less of it is better, or nothing is claimed."""

from __future__ import annotations

import pytest

from pytest_mlrun.rules.goals import default_goal
from pytest_mlrun.rules.metrics import default_goal as same_function

MORE = """
val_roc_auc AUC test/auroc valAUC accuracy val_acc balanced_accuracy f1 f1_macro val_f1_score r2 R2
test_r2_score precision recall@10 precision_at_5 ndcg@10 mAP average_precision roc_auc_ovr matthews_corrcoef
true_positive_rate neg_log_loss val_neg_mean_absolute_error explained_variance auc_val auc_mean iou hit_rate
"""
LESS = """
loss val_loss train/loss valLoss log_loss test_log_loss logloss rmse test_rmse val/mae mse mape brier
val_brier_score max_error median_absolute_error error_rate false_positive_rate perplexity wer loss_mean
val.cross_entropy ece expected_calibration_error
"""


@pytest.mark.parametrize(
    "name",
    MORE.split(),
)
def test_more_is_better(name: str) -> None:
    assert default_goal(name) == "max"


@pytest.mark.parametrize(
    "name",
    LESS.split(),
)
def test_less_is_better(name: str) -> None:
    assert default_goal(name) == "min"


@pytest.mark.parametrize("name", ["", "score", "auc_std", "accuracy_drop", "learning_rate", "epoch", "k", "10", "déjà"])
def test_nothing_is_claimed(name: str) -> None:
    assert default_goal(name) is None


def test_the_goal_is_found_beside_the_metrics() -> None:
    assert same_function is default_goal
