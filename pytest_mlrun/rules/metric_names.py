"""Take the name of a metric apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pytest_mlrun.errors import MetricError
from pytest_mlrun.rules.suggest import did_you_mean

Family = Literal["ranking", "probability", "decision", "regression"]
_FAMILIES: dict[str, Family] = {
    "roc_auc": "ranking",
    "average_precision": "ranking",
    "log_loss": "probability",
    "brier": "probability",
    "accuracy": "decision",
    "balanced_accuracy": "decision",
    "matthews_corrcoef": "decision",
    "f1": "decision",
    "precision": "decision",
    "recall": "decision",
    "rmse": "regression",
    "mse": "regression",
    "mae": "regression",
    "mape": "regression",
    "median_absolute_error": "regression",
    "max_error": "regression",
    "explained_variance": "regression",
    "r2": "regression",
}
_SPELLINGS = {
    "brier_score": "brier",
    "root_mean_squared_error": "rmse",
    "mean_squared_error": "mse",
    "mean_absolute_error": "mae",
    "mean_absolute_percentage_error": "mape",
}
AVERAGES = ("macro", "micro", "weighted")
_AVERAGED = ("f1", "precision", "recall")
_MULTICLASS = {
    "roc_auc_ovr": ("ovr", "macro"),
    "roc_auc_ovr_weighted": ("ovr", "weighted"),
    "roc_auc_ovo": ("ovo", "macro"),
    "roc_auc_ovo_weighted": ("ovo", "weighted"),
}


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric's name, taken apart.

    Attributes:
        name: Under which the value is logged: ``log_loss`` for ``neg_log_loss``, whose sign is not kept.
        base: What is computed.
        family: What it needs: scores of any size, probabilities, decisions, or numbers.
        average: How classes are averaged, if the name says so.
        scheme: ``ovr`` or ``ovo``.
    """

    name: str
    base: str
    family: Family
    average: str | None = None
    scheme: str = "ovr"


def parse_metric(name: str) -> Metric:
    """Return what a metric's name stands for.

    Raises:
        MetricError: If it is unknown.
    """
    plain = name.removeprefix("neg_")
    plain = _SPELLINGS.get(plain, plain)
    if plain in _FAMILIES:
        return Metric(plain, plain, _FAMILIES[plain])
    if name in _MULTICLASS:
        scheme, average = _MULTICLASS[name]
        return Metric(name, "roc_auc", "ranking", average, scheme)
    base, _, average = name.rpartition("_")
    if base in _AVERAGED and average in AVERAGES:
        return Metric(name, base, "decision", average)
    averaged = (f"{base}_{average}" for base in _AVERAGED for average in AVERAGES)
    known = (*_FAMILIES, *_SPELLINGS, *_MULTICLASS, *averaged)
    raise MetricError(
        f"metric {name!r} is unknown{did_you_mean(name, known)}",
        details=(f"known: {', '.join(_FAMILIES)}",),
        next_step="compute it yourself, then: mlrun.log_metric(name, value)",
    )
