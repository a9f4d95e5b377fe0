"""Follow an XGBoost training: ``callbacks=[pytest_mlrun.xgboost.callback(mlrun)]``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pytest_mlrun.integrations.curves import SplitNames, curve_name
from pytest_mlrun.integrations.fitted import FittedModel

if TYPE_CHECKING:
    from xgboost.callback import TrainingCallback

    from pytest_mlrun.run.run import Run


def callback(run: Run, *, splits: Sequence[str] | None = None) -> TrainingCallback:
    """Return a callback that logs every metric of every evaluation set, one point an iteration.

    It serves ``xgb.train``, ``xgb.cv`` and the scikit-learn wrappers. A curve is named ``<split>_<metric>``, such as
    ``val_auc``; under ``xgb.cv`` its spread over the folds is ``<split>_<metric>_std``.

    Args:
        run: The run, such as the fixture ``mlrun``.
        splits: Names of the evaluation sets, in their order: the wrappers call theirs ``validation_0``, ….
    """
    from xgboost.callback import TrainingCallback

    names = SplitNames(splits)

    class LogIteration(TrainingCallback):  # type: ignore[misc]
        """Logs the newest value of every curve."""

        def after_iteration(self, _model: Any, epoch: int, evals_log: dict[str, dict[str, list[Any]]]) -> bool:
            """Log one iteration; never ends the training."""
            called = names.translate(list(evals_log))
            values: dict[str, float] = {}
            for split, curves in evals_log.items():
                for metric, points in curves.items():
                    name = curve_name(called[split], metric)
                    numbers = points[-1] if isinstance(points[-1], tuple) else (points[-1],)
                    values |= dict(zip((name, f"{name}_std"), numbers, strict=False))
            for name, value in values.items():
                run.log_metric(name, value, step=epoch)
            return False

    return LogIteration()


def describe(model: Any, features: Sequence[str] | None) -> FittedModel:
    """Return what a fitted Booster or wrapper says of itself."""
    booster = model.get_booster() if hasattr(model, "get_booster") else model
    # Unnamed features are f0, f1, … in the scores; one that no tree uses has no score.
    own = booster.feature_names or [f"f{index}" for index in range(booster.num_features())]
    kinds = ("gain", "weight") if _has_trees(booster) else ("weight",)
    scores = {kind: booster.get_score(importance_type=kind) for kind in kinds}
    weight = getattr(model, "scale_pos_weight", None) if model is not booster else _booster_weight(booster)
    best = booster.attr("best_iteration")
    return FittedModel(
        features=tuple(features or own),
        columns={f"importance_{kind}": [scores[kind].get(name, 0.0) for name in own] for kind in kinds},
        weights={} if weight is None else {"scale_pos_weight": weight},
        best_step=None if best is None else int(best),
    )


def _config(booster: Any) -> dict[str, Any]:
    import json

    learner: dict[str, Any] = json.loads(booster.save_config())["learner"]
    return learner


def _has_trees(booster: Any) -> bool:
    return str(_config(booster)["gradient_booster"]["name"]) != "gblinear"


def _booster_weight(booster: Any) -> float | None:
    settings = _config(booster)["objective"].get("reg_loss_param", {})
    return float(settings["scale_pos_weight"]) if "scale_pos_weight" in settings else None
