"""Follow a LightGBM training: ``callbacks=[pytest_mlrun.lightgbm.callback(mlrun)]``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from pytest_mlrun.integrations.curves import SplitNames, curve_name
from pytest_mlrun.integrations.fitted import FittedModel

if TYPE_CHECKING:
    from pytest_mlrun.run.run import Run

_TREES = "trees"
_WEIGHTS = ("scale_pos_weight", "is_unbalance", "class_weight")


def callback(run: Run, *, splits: Sequence[str] | None = None, fingerprints: bool = False) -> Callable[[Any], None]:
    """Return a callback that logs every metric of every evaluation set, one point an iteration.

    It serves ``lgb.train``, ``lgb.cv`` and the scikit-learn wrappers. A curve is named ``<split>_<metric>``, such as
    ``val_auc``; under ``lgb.cv`` its spread over the folds is ``<split>_<metric>_std``.

    Args:
        run: The run, such as the fixture ``mlrun``.
        splits: Names of the evaluation sets, in their order, where LightGBM has none of yours.
        fingerprints: Whether the trees of each iteration leave a fingerprint, ``trees``: see ``Run.fingerprint``.
    """
    names = SplitNames(splits)

    def log_iteration(env: Any) -> None:
        rows = [_take_apart(row) for row in env.evaluation_result_list or ()]
        called = names.translate([split for split, _, _ in rows])
        values: dict[str, float] = {}
        for split, metric, numbers in rows:
            name = curve_name(called[split], metric)
            values |= dict(zip((name, f"{name}_std"), numbers, strict=False))
        for name, value in values.items():
            run.log_metric(name, value, step=env.iteration)
        if fingerprints:
            run.fingerprint(_TREES, _newest_trees(env.model), step=env.iteration)

    # Before LightGBM's own early stopping, at 30, which ends the iteration by an exception.
    log_iteration.order = 5  # type: ignore[attr-defined]
    log_iteration.before_iteration = False  # type: ignore[attr-defined]
    return log_iteration


def describe(model: Any, features: Sequence[str] | None) -> FittedModel:
    """Return what a fitted Booster or wrapper says of itself."""
    booster = getattr(model, "booster_", model)
    params = model.get_params() if hasattr(model, "get_params") else booster.params
    best = booster.best_iteration
    return FittedModel(
        features=tuple(features or booster.feature_name()),
        columns={
            "importance_gain": booster.feature_importance("gain").tolist(),
            "importance_split": booster.feature_importance("split").tolist(),
        },
        weights={name: params[name] for name in _WEIGHTS if params.get(name) is not None},
        # LightGBM counts iterations from 1, the curves' steps from 0.
        best_step=best - 1 if best > 0 else None,
    )


def _newest_trees(model: Any) -> list[dict[str, Any]]:
    """Return the trees that the last iteration grew: their text for the digest, their leaves for the distance."""
    import numpy as np

    found = []
    for booster in getattr(model, "boosters", None) or [model]:
        text = booster.model_to_string(num_iteration=1, start_iteration=max(booster.current_iteration() - 1, 0))
        # Above the first tree stand the version and the sizes, below the last one the params.
        trees = text.partition("\nTree=")[2].partition("\nend of trees")[0]
        lines = [line.partition("=")[2] for line in trees.splitlines() if line.startswith("leaf_value=")]
        leaves = [float(value) for line in lines for value in line.split()]
        found.append({"text": np.array(trees.encode()), "leaves": np.array(leaves)})
    return found


def _take_apart(row: Sequence[Any]) -> tuple[str, str, tuple[float, ...]]:
    split, metric, value, _maximize, *spread = row
    if split == "cv_agg":  # LightGBM before 4.7 puts both names of lgb.cv into one
        split, _, metric = metric.partition(" ")
    return split, metric, (value, *spread)
