"""Find how much each row moves a metric.

With ``h`` predicted and ``y`` true positives, ``e2`` squared errors and ``V`` the variance of the truth:

- accuracy, log-loss, Brier, MAE, MSE: the row's own score minus the mean
- F1 ``(2hy - F(h+y)) / mean(h+y)``, precision ``h(y-P) / mean(h)``, recall ``y(h-R) / mean(y)``
- RMSE ``(e2-MSE) / (2 RMSE)``, R2 ``-(e2-MSE)/V + MSE/V^2 ((y-mean)^2 - V)``

These are the von Mises derivatives of the metrics (Hampel, 1974, JASA 69, 383-393). All others take the jackknife.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pytest_mlrun.rules.metric_names import Metric
from pytest_mlrun.rules.statistics.auc import auc_influence
from pytest_mlrun.rules.statistics.sample import Influence

if TYPE_CHECKING:
    from pytest_mlrun.rules.predictions import Classification
    from pytest_mlrun.rules.statistics.sample import Array

_TWO = 2


def classifier_influence(metric: Metric, found: Classification) -> Influence | None:
    """Return the influence of each row on a classifier's metric; None where there is no closed form.

    Args:
        metric: The metric.
        found: Truth and predictions.
    """
    import numpy as np

    scores = row_scores(metric, found)
    if scores is not None:
        return mean_influence(scores)
    if len(found.classes) != _TWO or metric.average is not None:
        return None
    if metric.base == "roc_auc" and found.scores is not None:
        return auc_influence(found.truth == 1, np.asarray(found.scores))
    if metric.base in _DECISIONS and found.predicted is not None:
        return _DECISIONS[metric.base](found.predicted.astype(float), found.truth.astype(float))
    return None


def regression_influence(metric: Metric, truth: Array, out: Array) -> Influence | None:
    """Return the influence of each row on a regression's metric; None where there is no closed form."""
    import numpy as np

    truth, out = truth.astype(float), out.astype(float)
    if truth.ndim != 1:
        return None
    squared = (truth - out) ** 2
    mse = float(squared.mean())
    if metric.base == "mae":
        return mean_influence(np.abs(truth - out))
    if metric.base == "mse":
        return mean_influence(squared)
    if metric.base == "rmse" and mse > 0:
        return Influence(mse**0.5, (squared - mse) / (2 * mse**0.5))
    if metric.base == "r2":
        spread = (truth - truth.mean()) ** 2
        variance = float(spread.mean())
        if variance > 0:
            psi = -(squared - mse) / variance + mse / variance**2 * (spread - variance)
            return Influence(1 - mse / variance, psi)
    return None


def row_scores(metric: Metric, found: Classification) -> Array | None:
    """Return each row's own score, whose mean is the metric; None where the metric is no such mean."""
    if metric.base == "accuracy" and found.predicted is not None:
        right: Array = (found.truth == found.predicted).astype(float)
        return right
    if metric.base == "log_loss" and found.probabilities is not None:
        return _row_log_loss(found)
    if metric.base == "brier" and found.probabilities is not None:
        return _row_brier(found)
    return None


def mean_influence(scores: Array) -> Influence:
    """Return the influence of each row on the mean of the rows' scores."""
    mean = float(scores.mean())
    return Influence(mean, scores - mean)


def _f1(predicted: Array, truth: Array) -> Influence | None:
    both = predicted + truth
    if not both.any():
        return None
    value = float(2 * (predicted * truth).sum() / both.sum())
    return Influence(value, (2 * predicted * truth - value * both) / both.mean())


def _precision(predicted: Array, truth: Array) -> Influence | None:
    if not predicted.any():
        return None
    value = float((predicted * truth).sum() / predicted.sum())
    return Influence(value, predicted * (truth - value) / predicted.mean())


def _recall(predicted: Array, truth: Array) -> Influence | None:
    if not truth.any():
        return None
    value = float((predicted * truth).sum() / truth.sum())
    return Influence(value, truth * (predicted - value) / truth.mean())


_DECISIONS: dict[str, Callable[[Array, Array], Influence | None]] = {
    "f1": _f1,
    "precision": _precision,
    "recall": _recall,
}


def _row_log_loss(found: Classification) -> Array:
    import numpy as np

    probabilities = np.asarray(found.probabilities)
    # As scikit-learn does: the smallest step of the numbers' own kind stands for an impossible class.
    chosen = probabilities[np.arange(len(probabilities)), found.truth]
    tiny = float(np.finfo(probabilities.dtype if probabilities.dtype.kind == "f" else float).eps)
    sums = probabilities.clip(tiny, 1 - tiny).sum(axis=1) if probabilities.shape[1] > _TWO else 1.0
    scores: Array = -np.log(chosen.clip(tiny, 1 - tiny) / sums)
    return scores


def _row_brier(found: Classification) -> Array:
    import numpy as np

    if len(found.classes) == _TWO and found.scores is not None:
        binary: Array = (np.asarray(found.scores) - (found.truth == 1)) ** 2
        return binary
    hits = found.truth[:, None] == np.arange(len(found.classes))
    scores: Array = ((np.asarray(found.probabilities) - hits) ** 2).sum(axis=1)
    return scores
