"""Put what a comparison of two runs found into the words of an audit."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Final

from pytest_mlrun.records.audit import AuditedMetric, AuditedPillar
from pytest_mlrun.records.reproduction import MetricComparison, Reproduction, SeriesComparison
from pytest_mlrun.records.run import RunRecord

_END: Final = "rand.end."


def list_numbers(reproduction: Reproduction) -> tuple[AuditedMetric, ...]:
    """Return every number that was compared: metrics, then series and predictions by their largest difference."""
    metrics = [_describe_metric(metric) for metric in reproduction.metrics]
    points = [_describe_points(points, "by step") for points in reproduction.series]
    rows = [_describe_points(points, "") for points in reproduction.predictions]
    return (*metrics, *points, *rows)


def describe_randomness(run: RunRecord, reproduction: Reproduction) -> AuditedPillar:
    """Return what a report says of the generators.

    Args:
        run: The recorded run.
        reproduction: What the comparison found.
    """
    pillar = next((pillar for pillar in reproduction.pillars if pillar.pillar == "randomness"), None)
    moved = [generator.stream for generator in reproduction.generators if not generator.same]
    findings = list(pillar.findings) if pillar is not None else []
    told = {name.removeprefix(_END): text for name, text in run.context.items() if name.startswith(_END)}
    seed = json.loads(run.context.get("rand.seed", "null"))
    if not told:
        said = "the record does not say where the generators ended"
    elif moved:
        said = f"seed {seed}; {', '.join(moved)} ended elsewhere than recorded"
    else:
        said = f"seed {seed}; every generator ended where it did"
    return AuditedPillar(
        "randomness",
        "finding" if findings or moved or not told else "pass",
        said,
        method="end states of the generators compared",
        evidence={name: str(json.loads(text)) for name, text in told.items()},
        findings=tuple(findings or ([said] if moved or not told else [])),
        not_checked=("generators that a library keeps to itself",),
    )


def _describe_metric(metric: MetricComparison) -> AuditedMetric:
    allowed = _bound(metric.allowed)
    if metric.flips is not None:  # a metric that counts rows
        allowed = f"{metric.flips} rows changed" if metric.flips else "no row changed"
    return AuditedMetric(metric.name, metric.recorded, metric.replayed, allowed, metric.source, metric.status)


def _describe_points(points: SeriesComparison, what: str) -> AuditedMetric:
    """Return points as a number: their count, and how far the worst of them is off."""
    allowed = " ".join(_allowed(points))
    name = f"{points.name} {what}".strip()
    source = "number of points; largest difference" if what else "number of rows; largest difference"
    return AuditedMetric(name, float(points.recorded), float(points.replayed), allowed, source, points.status)


def _allowed(points: SeriesComparison) -> Iterator[str]:
    if points.status == "exact":
        yield "every point equal"
        return
    yield _bound(points.allowed)
    if points.difference is not None:
        yield f"(off by {points.difference:.2g}{f' from {points.first}' if points.first is not None else ''})"
    if not points.decides:
        yield "(decides nothing)"


def _bound(allowed: float | None) -> str:
    return "none" if allowed is None else "anything" if allowed == math.inf else f"{allowed:.2g}"
