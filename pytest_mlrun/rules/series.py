"""Read one value from a series: its last, its best, or that of a step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pytest_mlrun.errors import MetricError
from pytest_mlrun.records.verdict import GateKind
from pytest_mlrun.rules.suggest import did_you_mean

if TYPE_CHECKING:
    from numpy.typing import NDArray


def check_at(at: object, *, metric: str) -> None:
    """Refuse what names no point of a series.

    Raises:
        MetricError: If it is neither ``last`` nor ``best`` nor a step.
    """
    if isinstance(at, bool) or (isinstance(at, str) and at not in {"last", "best"}):
        raise MetricError(
            f"at={at!r} is not a point of {metric}{did_you_mean(str(at), ('last', 'best'))}",
            next_step="write at='last', at='best' or a step",
        )


def read_at(
    values: Sequence[float] | NDArray[object],  # type: ignore[type-var]
    steps: Sequence[int] | NDArray[object],  # type: ignore[type-var]
    at: str | int,
    *,
    kind: GateKind,
    metric: str = "the metric",
) -> float:
    """Return the value of a series that a gate is about.

    Args:
        values: Points in logged order.
        steps: Step of each point.
        at: ``last`` logged, ``best`` (the largest for a floor, the smallest for a ceiling; NaN only where all are NaN),
            or a step (the last value logged for it).
        kind: Kind of gate that asks.
        metric: Name of the metric, for the message.

    Raises:
        MetricError: If there are no points, the step was not logged, or ``at`` is none of these.
    """
    import numpy as np

    check_at(at, metric=metric)
    points = np.asarray(values, dtype=np.float64)
    if points.size == 0:
        raise MetricError(f"{metric} has no points", next_step=f"log it: mlrun.log_metric({metric!r}, value, step)")
    if at == "last":
        return float(points[-1])
    if at == "best":
        finite = points[~np.isnan(points)]
        if finite.size == 0:
            return float("nan")
        return float(finite.max() if kind == "floor" else finite.min())
    logged = np.asarray(steps, dtype=np.int64)
    step = int(at)
    found = np.flatnonzero(logged == step)
    if found.size == 0:
        known = np.unique(logged)
        nearest = np.sort(known[np.argsort(np.abs(known - step), kind="stable")[:3]])
        raise MetricError(
            f"{metric} has no step {step}; nearest: {', '.join(map(str, nearest))}",
            next_step="write a step that was logged, at='last' or at='best'",
        )
    return float(points[found[-1]])
