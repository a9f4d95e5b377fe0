"""Record what a fitted model says of itself: features, importances, class weights, best step, curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_mlrun.run.run import Run

_MODEL = "model"


def add_fit(run: Run, model: object, *, name: str, features: Sequence[str] | None) -> dict[str, object]:
    """Log what a fitted model says of itself, and return the rest of it: facts for the context.

    Raises:
        ArtifactError: If the model is not fitted, or of a framework that is not known.
    """
    from pytest_mlrun.integrations.encoded import class_name_of
    from pytest_mlrun.integrations.fitted import describe_fit

    fitted = describe_fit(model, features)
    prefix = "" if name == _MODEL else f"{name}_"
    if fitted.features:
        run.log_table({"feature": list(fitted.features), **fitted.columns}, f"{prefix}features.parquet")
    if fitted.best_step is not None:
        run.log_metric(f"{prefix}best_step", fitted.best_step)
    for curve, values in fitted.curves.items():
        # A test that logged this curve itself, epoch by epoch, would see every point twice.
        if f"{prefix}{curve}" not in run.metrics:
            for step, value in enumerate(values):
                run.log_metric(f"{prefix}{curve}", value, step=step)
    return {
        "class": class_name_of(model),
        "features": len(fitted.features),
        "best_step": fitted.best_step,
        **{setting: _plain(value) for setting, value in fitted.weights.items()},
    }


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(label): float(weight) for label, weight in value.items()}
    return value if isinstance(value, str | int | float | bool | None) else str(value)
