"""Hold what a fitted model says of itself, and ask the framework that it comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from pytest_mlrun.errors import ArtifactError
from pytest_mlrun.integrations.encoded import class_name_of, is_from

_NEIGHBOURS = ("lightgbm", "xgboost", "sklearn")


@dataclass(frozen=True, slots=True)
class FittedModel:
    """What a fitted model says of itself.

    Attributes:
        features: Names of its features, in order.
        columns: Importances or coefficients: name to one number a feature.
        weights: How classes were weighted, by the names of the settings.
        best_step: Step of the curves that early stopping chose, if it did.
        curves: Series that the model kept while it was fitted, by metric name.
    """

    features: tuple[str, ...] = ()
    columns: Mapping[str, Sequence[float]] = field(default_factory=dict)
    weights: Mapping[str, object] = field(default_factory=dict)
    best_step: int | None = None
    curves: Mapping[str, Sequence[float]] = field(default_factory=dict)


def describe_fit(model: Any, features: Sequence[str] | None) -> FittedModel:
    """Return what a fitted model says of itself.

    Args:
        model: A LightGBM, XGBoost or scikit-learn model, or a pipeline of the latter.
        features: Names of the features, where the model has none.

    Raises:
        ArtifactError: If the model is of none of these, is not fitted, or has another number of features.
    """
    for name in _NEIGHBOURS:
        if is_from(model, name):
            break
    else:
        raise ArtifactError(
            f"log_fit knows nothing of {class_name_of(model)}",
            details=("it knows LightGBM, XGBoost and scikit-learn",),
            where="log_fit",
            next_step="log what it says of itself: log_dict, log_table, log_metric",
        )
    found: FittedModel = import_module(f"pytest_mlrun.integrations.{name}").describe(model, features)
    lengths = {len(column) for column in found.columns.values()}
    if lengths - {len(found.features)}:
        raise ArtifactError(
            f"{len(found.features)} feature names, but the model has {max(lengths)} features",
            where="log_fit",
            next_step="pass features= in the order of the columns that the model was fitted on",
        )
    return found
