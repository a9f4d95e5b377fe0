"""Read what a fitted scikit-learn estimator says of itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pytest_mlrun.errors import ArtifactError
from pytest_mlrun.integrations.encoded import is_from
from pytest_mlrun.integrations.fitted import FittedModel, describe_fit

# Attribute to metric: what estimators keep while they are fitted. Losses fall, scores rise.
_CURVES = {"loss_curve_": "train_loss", "validation_scores_": "val_score", "validation_score_": "val_score"}


def describe(model: Any, features: Sequence[str] | None) -> FittedModel:
    """Return what a fitted estimator says of itself; of a pipeline its last step, of a search its best estimator.

    Raises:
        ArtifactError: If it is not fitted.
    """
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(model)
    except (NotFittedError, TypeError) as error:
        raise ArtifactError(
            f"model {type(model).__name__} is not fitted",
            where="log_fit",
            next_step="fit it first",
        ) from error
    if hasattr(model, "best_estimator_"):
        return describe_fit(model.best_estimator_, features)
    if hasattr(model, "steps"):
        return _describe_pipeline(model, features)
    columns = _columns(model)
    names = features or getattr(model, "feature_names_in_", None)
    count = len(names) if names is not None else getattr(model, "n_features_in_", 0)
    weight = getattr(model, "class_weight", None)
    return FittedModel(
        features=tuple(map(str, names)) if names is not None else tuple(f"x{index}" for index in range(count)),
        columns=columns,
        weights={} if weight is None else {"class_weight": weight},
        best_step=_best_step(model),
        curves=_curves(model),
    )


def _describe_pipeline(pipeline: Any, features: Sequence[str] | None) -> FittedModel:
    last = pipeline.steps[-1][1]
    before = pipeline[:-1]
    if len(before.steps) and last not in {None, "passthrough"}:
        try:
            features = before.get_feature_names_out(features)
        except (AttributeError, ValueError):
            # A step without names, such as a FunctionTransformer: what the last step saw is only counted.
            features = None
    return describe_fit(last, None if features is None else [str(name) for name in features])


def _columns(model: Any) -> dict[str, list[float]]:
    import numpy as np

    columns: dict[str, list[float]] = {}
    importances = getattr(model, "feature_importances_", None)
    if importances is not None:
        columns["importance"] = np.asarray(importances, dtype=float).tolist()
    coefficients = getattr(model, "coef_", None)
    if coefficients is None or is_from(coefficients, "scipy"):
        return columns
    rows = np.atleast_2d(np.asarray(coefficients, dtype=float))
    if len(rows) == 1:
        columns["coefficient"] = rows[0].tolist()
        return columns
    classes = getattr(model, "classes_", range(len(rows)))
    named = classes if len(classes) == len(rows) else range(len(rows))
    return {**columns, **{f"coefficient_{name}": row.tolist() for name, row in zip(named, rows, strict=True)}}


def _curves(model: Any) -> dict[str, list[float]]:
    curves = {}
    for attribute, name in _CURVES.items():
        values = getattr(model, attribute, None)
        if values is not None and len(values):
            curves[name] = [float(value) for value in values]
    scores = getattr(model, "train_score_", None)
    if scores is not None and len(scores):
        # Gradient boosting keeps its loss under the name of a score; its histogram kind keeps a score.
        name = "train_score" if type(model).__name__.startswith("Hist") else "train_loss"
        curves[name] = [float(value) for value in scores]
    return curves


def _best_step(model: Any) -> int | None:
    import numpy as np

    scores = getattr(model, "validation_scores_", None)
    return None if scores is None or not len(scores) else int(np.argmax(scores))
