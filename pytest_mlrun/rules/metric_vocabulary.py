"""Hold metrics, and the bounds of their gates, to what ``mlrun.toml`` declares of them."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_mlrun.errors import MarkerError, MetricError, NamingError
from pytest_mlrun.records.project import MetricDefinition, Project
from pytest_mlrun.rules.marker import MarkerArguments
from pytest_mlrun.rules.naming import check_metric_name, check_refused
from pytest_mlrun.rules.suggest import did_you_mean


def check_metric(name: str, project: Project) -> MetricDefinition | None:
    """Hold the name of a metric to the vocabulary, and return what is declared of it.

    Raises:
        MetricError: If the name could not be kept.
        NamingError: If it is refused, or not declared where only declared metrics may be logged.
    """
    check_metric_name(name)
    check_refused(name, "metric", project.naming)
    definition = project.metric(name)
    if definition is None and project.naming.closed_metrics:
        raise NamingError(
            f"metric {name!r} is not in the vocabulary{did_you_mean(name, project.metrics)}",
            details=(f"declared: {', '.join(project.metrics)}",),
            where="[naming] closed_metrics in mlrun.toml",
            next_step=f"use a declared name, or add a section [metrics.{_quoted(name)}] in mlrun.toml",
        )
    return definition


def has_range(definition: MetricDefinition | None) -> bool:
    """Whether values of a metric can lie outside what is declared."""
    return definition is not None and (definition.low is not None or definition.high is not None)


def has_ranges(project: Project) -> bool:
    """Whether any metric is declared with a range."""
    return any(has_range(definition) for definition in project.metrics.values())


def check_value(name: str, value: float, definition: MetricDefinition) -> None:
    """Refuse a value that the metric cannot have; NaN is stored and counted, and satisfies no gate.

    Raises:
        MetricError: If the value is outside the declared range.
    """
    if _is_outside(value, definition):
        raise MetricError(
            f"metric {name!r} is {value:.4g}, outside its range {show_range(definition)}",
            where=_place(definition),
            next_step="correct how it is computed, or its range in mlrun.toml; the value was not recorded",
        )


def check_gates(marker: MarkerArguments, project: Project) -> None:
    """Hold the metrics and bounds in a marker to the vocabulary, before anything trains.

    Raises:
        NamingError: If a metric is refused, or not declared where only declared ones may be logged.
        MarkerError: If a bound lies where the metric never is, so that its gate could decide nothing.
    """
    must_detect = marker.must_detect if isinstance(marker.must_detect, Mapping) else {}
    for name in (marker.primary, *must_detect):
        if name:
            check_metric(name, project)
    for kind, bounds in (("floor", marker.floors), ("ceiling", marker.ceilings)):
        for name, bound in bounds.items():
            definition = check_metric(name, project)
            if definition is not None and _is_outside(bound, definition):
                raise MarkerError(
                    f"the {kind} of {name!r} is {bound:g}, outside its range {show_range(definition)}",
                    details=("such a gate always fails or always passes, whatever the model",),
                    where=_place(definition),
                    next_step=f"correct the {kind} in the marker, or the range in mlrun.toml",
                )


def show_range(definition: MetricDefinition) -> str:
    """Return such as ``0 to 1``, or nothing where no range is declared."""
    if not has_range(definition):
        return ""
    low, high = definition.low, definition.high
    return f"{'-inf' if low is None else f'{low:g}'} to {'inf' if high is None else f'{high:g}'}"


def _is_outside(value: float, definition: MetricDefinition) -> bool:
    below = definition.low is not None and value < definition.low
    return below or (definition.high is not None and value > definition.high)


def _place(definition: MetricDefinition) -> str:
    return f"[metrics.{_quoted(definition.name)}] range in mlrun.toml"


def _quoted(name: str) -> str:
    return name if all(char.isalnum() or char in "_-" for char in name) and name.isascii() else f'"{name}"'
