"""Compute metrics by their names."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pytest_mlrun.errors import MetricError
from pytest_mlrun.rules.goals import default_goal
from pytest_mlrun.rules.metric_names import AVERAGES, Metric, parse_metric
from pytest_mlrun.rules.predictions import (
    Classification,
    Label,
    check_lengths,
    read_classification,
    read_values,
)
from pytest_mlrun.rules.suggest import did_you_mean

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray


__all__ = ["compute_metrics", "confusion", "default_goal", "is_classification"]

_TWO = 2


def compute_metrics(
    names: Sequence[str],
    y_true: ArrayLike,
    y_out: ArrayLike,
    *,
    threshold: float = 0.5,
    average: str | None = None,
    labels: ArrayLike | None = None,
) -> dict[str, float]:
    """Return the metrics by name, as scikit-learn computes them.

    ``roc_auc accuracy log_loss brier f1 precision recall rmse mae r2`` and scikit-learn's scorer names are known; a
    ``neg_`` is dropped together with its sign. How labels, scores and probabilities are told apart says
    ``read_classification``. Where nothing was predicted positive, precision is 0.

    Args:
        names: Metrics to compute.
        y_true: Truth of each row.
        y_out: What the model put out for each row.
        threshold: Smallest score that means the positive class, for two classes.
        average: ``macro``, ``micro`` or ``weighted``: ``f1``, ``precision``, ``recall`` of more than two classes.
        labels: Every class in the order of the columns, such as ``model.classes_``.

    Raises:
        MetricError: If a name is unknown, or the metric is not defined for these rows.
    """
    if isinstance(names, str):
        names = (names,)
    if not 0 <= threshold <= 1:
        raise MetricError(f"threshold is {threshold}, not in [0, 1]", next_step="pass a threshold of the scores")
    if average not in {None, *AVERAGES}:
        raise MetricError(
            f"average={average!r} is unknown{did_you_mean(str(average), AVERAGES)}",
            next_step=f"choose from: {', '.join(AVERAGES)}",
        )
    metrics = [parse_metric(name) for name in names]
    computed: dict[str, float] = {}
    found: Classification | None = None
    for metric in metrics:
        if metric.family == "regression":
            computed[metric.name] = _compute_regression(metric, y_true, y_out)
        else:
            found = found or read_classification(y_true, y_out, threshold=threshold, labels=labels)
            computed[metric.name] = _compute_classification(metric, found, average)
    return computed


def is_classification(names: Sequence[str]) -> bool:
    """Whether any of the metrics is about classes rather than numbers.

    Raises:
        MetricError: If a name is unknown.
    """
    return any(parse_metric(name).family != "regression" for name in names)


def confusion(
    y_true: ArrayLike, y_out: ArrayLike, *, threshold: float = 0.5, labels: ArrayLike | None = None
) -> tuple[tuple[Label, ...], NDArray[np.int64]] | None:
    """Return the classes, and how often each one (row) was predicted as each (column).

    None where scores leave [0, 1], as those of ``decision_function`` do, and no threshold is meant for them.

    Raises:
        MetricError: If they cannot be read or do not belong together.
    """
    import numpy as np

    found = read_classification(y_true, y_out, threshold=threshold, labels=labels)
    if found.predicted is None:
        return None
    counts = np.zeros((len(found.classes), len(found.classes)), dtype=np.int64)
    np.add.at(counts, (found.truth, found.predicted), 1)
    return found.classes, counts


# -- classification ----------------------------------------------------------------------------------------------------


def _compute_classification(metric: Metric, found: Classification, average: str | None) -> float:
    if metric.family == "ranking":
        return _compute_ranking(metric, found)
    if metric.family == "probability":
        return _compute_probability(metric, found)
    return _compute_decision(metric, found, average)


def _compute_ranking(metric: Metric, found: Classification) -> float:
    from sklearn import metrics as sk

    scores = found.scores if found.scores is not None else found.probabilities
    if scores is None:
        raise _needs_scores(metric, found)
    absent = sorted(set(range(len(found.classes))) - set(found.truth.tolist()))
    if absent or len(found.classes) < _TWO:
        which = f"y_true has no {found.classes[absent[0]]!r}" if absent else f"only {found.classes[0]!r} is in y_true"
        raise MetricError(
            f"{metric.name} is undefined: {which}",
            next_step="evaluate rows of every class (stratify the split), or log accuracy or log_loss",
        )
    if metric.base == "average_precision":
        if found.scores is None:
            raise MetricError("average_precision needs two classes", next_step="log roc_auc or log_loss")
        return _quietly(sk.average_precision_score, found.truth, scores)
    if found.scores is not None:
        return _quietly(sk.roc_auc_score, found.truth, scores)
    # The rows are probabilities to 1e-3, and scikit-learn wants more.
    scores = scores / scores.sum(axis=1, keepdims=True)
    return _quietly(
        sk.roc_auc_score,
        found.truth,
        scores,
        multi_class=metric.scheme,
        average=metric.average or "macro",
        labels=list(range(len(found.classes))),
    )


def _compute_probability(metric: Metric, found: Classification) -> float:
    import numpy as np
    from sklearn import metrics as sk

    if found.probabilities is None:
        raise _outside(metric.name, found) if found.scores is not None else _needs_scores(metric, found)
    places = list(range(len(found.classes)))
    if metric.base == "log_loss":
        return _quietly(sk.log_loss, found.truth, found.probabilities, labels=places)
    if found.scores is not None:
        return _quietly(sk.brier_score_loss, found.truth, found.scores, pos_label=1)
    hits = found.truth[:, None] == np.asarray(places)
    return float(((found.probabilities - hits) ** 2).sum(axis=1).mean())


def _compute_decision(metric: Metric, found: Classification, average: str | None) -> float:
    import numpy as np
    from sklearn import metrics as sk

    predicted = found.predicted
    if predicted is None:
        raise _outside(metric.name, found)
    if metric.base == "accuracy":
        return float(np.mean(found.truth == predicted))
    if metric.base == "balanced_accuracy":
        present = np.unique(found.truth)
        return _quietly(sk.recall_score, found.truth, predicted, labels=present, average="macro", zero_division=0.0)
    if metric.base == "matthews_corrcoef":
        return _quietly(sk.matthews_corrcoef, found.truth, predicted)
    chosen = metric.average or average
    if len(found.classes) > _TWO and chosen is None:
        raise MetricError(
            f"{metric.name} of {len(found.classes)} classes needs an average",
            next_step=f"use {metric.base}_macro, {metric.base}_weighted or {metric.base}_micro",
        )
    compute = {"f1": sk.f1_score, "precision": sk.precision_score, "recall": sk.recall_score}[metric.base]
    if len(found.classes) <= _TWO and metric.average is None:
        return _quietly(compute, found.truth, predicted, average="binary", pos_label=1, zero_division=0.0)
    return _quietly(compute, found.truth, predicted, average=chosen, zero_division=0.0)


def _outside(name: str, found: Classification) -> MetricError:
    import numpy as np

    scores = np.asarray(found.scores)
    row = int(np.flatnonzero((scores < 0) | (scores > 1))[0])
    return MetricError(
        f"{name} needs scores in [0, 1], found {scores[row]:g} in row {row}",
        next_step="pass predict_proba(X)[:, 1], or predicted labels",
    )


def _needs_scores(metric: Metric, found: Classification) -> MetricError:
    column = "[:, 1]" if len(found.classes) <= _TWO else ""
    return MetricError(
        f"{metric.name} needs scores, and the predictions are labels", next_step=f"pass predict_proba(X){column}"
    )


# -- regression --------------------------------------------------------------------------------------------------------


def _compute_regression(metric: Metric, y_true: ArrayLike, y_out: ArrayLike) -> float:
    from sklearn import metrics as sk

    truth, out = read_values(y_true, "y_true"), read_values(y_out, "the predictions")
    check_lengths(truth, out)
    if truth.dtype.kind not in "biuf" or out.dtype.kind not in "biuf":
        raise MetricError(f"{metric.name} needs numbers, and found text", next_step="use accuracy or f1 for classes")
    if truth.shape != out.shape:
        raise MetricError(
            f"{metric.name}: y_true has shape {truth.shape} and the predictions {out.shape}",
            next_step="pass one prediction for each true value",
        )
    if metric.base in {"r2", "explained_variance"} and len(truth) < _TWO:
        raise MetricError(f"{metric.name} is undefined for one row", next_step="evaluate two rows or more")
    compute = {
        "rmse": sk.root_mean_squared_error,
        "mse": sk.mean_squared_error,
        "mae": sk.mean_absolute_error,
        "mape": sk.mean_absolute_percentage_error,
        "median_absolute_error": sk.median_absolute_error,
        "max_error": sk.max_error,
        "explained_variance": sk.explained_variance_score,
        "r2": sk.r2_score,
    }[metric.base]
    # Narrow numbers overflow when they are squared: uint8 wraps around, float16 ends at 65504.
    return _quietly(compute, truth.astype(float), out.astype(float))


def _quietly(compute: Callable[..., object], *arguments: object, **keywords: object) -> float:
    # What scikit-learn warns of here is defined above (a division by zero is 0) or tolerated (sums that are 1 to 1e-3).
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        value = compute(*arguments, **keywords)
    number = float(value)  # type: ignore[arg-type]
    if math.isnan(number):
        name = getattr(compute, "__name__", "the metric")
        raise MetricError(f"{name} is undefined for these rows", next_step="evaluate other rows, or another metric")
    return number
