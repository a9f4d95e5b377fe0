"""Compare a replayed run with the recorded one: numbers, series, predictions, and where the generators ended."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pytest_mlrun.audit.distance import Distance, allow, measure_distance
from pytest_mlrun.errors import MlrunError
from pytest_mlrun.records.audit import AuditedMetric, AuditedPillar, AuditVerdict
from pytest_mlrun.records.run import RunRecord

if TYPE_CHECKING:
    from pytest_mlrun.store.points import Series
    from pytest_mlrun.store.store import Store

_COUNTING: Final = ("accuracy", "f1", "precision", "recall")
_END: Final = "rand.end."


@dataclass(frozen=True, slots=True)
class Compared:
    """What the comparison of two runs says.

    Attributes:
        verdict: The verdict.
        reason: Why, a sentence without a full stop.
        level: Distance of the two environments.
        level_reasons: Why it is that far.
        metrics: Recorded and replayed numbers.
        randomness: What a report says of the generators.
        divergence: Where the two first differ.
        findings: What a reader must know besides.
    """

    verdict: AuditVerdict
    reason: str
    level: str
    level_reasons: tuple[str, ...]
    metrics: tuple[AuditedMetric, ...]
    randomness: AuditedPillar
    divergence: str = ""
    findings: tuple[str, ...] = field(default=())


def compare(recorded: RunRecord, replayed: RunRecord, recorded_in: Store, replayed_in: Store) -> Compared:
    """Compare two runs.

    Args:
        recorded: The recorded run.
        replayed: The replayed one.
        recorded_in: The store that has the first.
        replayed_in: The store that has the second.
    """
    distance = measure_distance(_environment(recorded, recorded_in), _environment(replayed, replayed_in))
    series = [
        _compare_series(
            name,
            recorded_in.reader().series(recorded.run_id, name),
            replayed_in.reader().series(replayed.run_id, name),
            distance,
        )
        for name in sorted(recorded.series.keys() & replayed.series.keys())
    ]
    metrics = (*_compare_metrics(recorded, replayed, distance), *(metric for metric, _ in series))
    rows = list(_compare_rows(recorded, replayed))
    verdict, reason = _judge(metrics, rows, distance)
    findings = list(rows)
    if distance.level == "L3" and verdict == "CONSISTENT":
        findings.append("the software differs: equal or close numbers are consistent, and reproduce nothing")
    return Compared(
        verdict,
        reason,
        distance.level,
        distance.reasons,
        metrics,
        _compare_generators(recorded, replayed),
        next((where for _, where in series if where), ""),
        tuple(findings),
    )


def _environment(run: RunRecord, store: Store) -> dict[str, object]:
    name = next((artifact.name for artifact in run.artifacts if artifact.role == "environment"), "")
    try:
        document = json.loads(store.reader().read_artifact(run, name))
    except (MlrunError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _compare_metrics(recorded: RunRecord, replayed: RunRecord, distance: Distance) -> Iterator[AuditedMetric]:
    for name in sorted(recorded.metrics.keys() | replayed.metrics.keys()):
        told, found = recorded.metrics.get(name), replayed.metrics.get(name)
        if told is None or found is None:
            yield AuditedMetric(name, told, found, "none", "", "extra" if told is None else "missing")
            continue
        yield _compare_numbers(name, told, found, distance, rows=_rows_of(name, recorded))


def _compare_numbers(
    name: str, told: float, found: float, distance: Distance, *, rows: int | None = None
) -> AuditedMetric:
    allowed = allow(distance, told, rows=rows)
    if _is_equal(told, found):
        status = "exact"
    elif not (math.isfinite(told) and math.isfinite(found)) or abs(told - found) > allowed:
        status = "differs"
    else:
        status = "consistent" if distance.level == "L3" else "close"
    return AuditedMetric(name, told, found, f"{allowed:.2g}", distance.source, status)


def _is_equal(told: float, found: float) -> bool:
    return told.hex() == found.hex() or (math.isnan(told) and math.isnan(found))


def _rows_of(name: str, run: RunRecord) -> int | None:
    if not name.endswith(_COUNTING):
        return None
    return next((gate.n for gate in run.gates if gate.metric == name and gate.n), None)


def _compare_series(name: str, told: Series, found: Series, distance: Distance) -> tuple[AuditedMetric, str]:
    """Return how a series compares at its worst point, and where the two first differ."""
    title = f"{name} by step"
    before, after = [float(value) for value in told.values], [float(value) for value in found.values]
    if [int(step) for step in told.steps] != [int(step) for step in found.steps]:
        where = f"{name} has {len(after)} points in place of {len(before)}, or other steps"
        return AuditedMetric(title, float(len(before)), float(len(after)), "none", "number of points", "differs"), where
    compared = [_compare_numbers(title, one, other, distance) for one, other in zip(before, after, strict=True)]
    order = {"exact": 0, "close": 1, "consistent": 1, "differs": 2}
    worst = max(compared, key=lambda metric: (order[metric.status], _gap(metric)))
    first = next((at for at, metric in enumerate(compared) if metric.status != "exact"), None)
    where = (
        "" if first is None else f"{name} at step {int(list(told.steps)[first])}: {before[first]!r} → {after[first]!r}"
    )
    return worst, where


def _gap(metric: AuditedMetric) -> float:
    gap = abs((metric.recorded or 0.0) - (metric.replayed or 0.0))
    return gap if math.isfinite(gap) else math.inf


def _compare_rows(recorded: RunRecord, replayed: RunRecord) -> Iterator[str]:
    """Yield which predictions and labels are not bit for bit the same."""
    found = {artifact.name: artifact.digest for artifact in replayed.artifacts}
    for artifact in recorded.artifacts:
        if artifact.role not in {"predictions", "labels"}:
            continue
        if artifact.name not in found:
            yield f"{artifact.name} is missing in the replay"
        elif artifact.digest != found[artifact.name]:
            yield f"{artifact.name} is not bit for bit the same"


def _compare_generators(recorded: RunRecord, replayed: RunRecord) -> AuditedPillar:
    told = {name: text for name, text in recorded.context.items() if name.startswith(_END)}
    found = {name: text for name, text in replayed.context.items() if name.startswith(_END)}
    differing = sorted(
        name.removeprefix(_END) for name in told.keys() | found.keys() if told.get(name) != found.get(name)
    )
    seed = json.loads(recorded.context.get("rand.seed", "null"))
    hash_seed = json.loads(recorded.context.get("rand.hash_seed", "null"))
    findings = [f"generator {name} ended elsewhere: another number of draws" for name in differing]
    if hash_seed is None:
        findings.append("PYTHONHASHSEED was not set: the order of sets of texts was not pinned")
    unpinned = json.loads(recorded.context.get("rand.unpinned", "[]"))
    findings += [f"{name} cannot be pinned" for name in unpinned]
    said = (
        f"seed {seed}; {'all generators ended' if told and not differing else 'generators did not all end'} as recorded"
    )
    return AuditedPillar(
        "randomness",
        "finding" if findings else "pass",
        said if told else "the record does not say where the generators ended",
        method="end states of the generators compared",
        evidence={name.removeprefix(_END): str(json.loads(text))[:80] for name, text in told.items()},
        findings=tuple(findings),
        not_checked=("generators that a library keeps to itself",),
    )


def _judge(metrics: tuple[AuditedMetric, ...], rows: list[str], distance: Distance) -> tuple[AuditVerdict, str]:
    wrong = [metric for metric in metrics if metric.status in {"differs", "missing", "extra"}]
    if not metrics:
        return "INCONCLUSIVE", "the record has no metric to compare"
    if wrong:
        named = ", ".join(f"{metric.name} {metric.status}" for metric in wrong[:3])
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""  # noqa: PLR2004 - three are named
        return "DIVERGED", f"{len(wrong)} of {len(metrics)} numbers are not reproduced: {named}{more}"
    if distance.level == "L3":
        return "CONSISTENT", f"all {len(metrics)} numbers are within what other software explains"
    if all(metric.status == "exact" for metric in metrics) and not rows:
        return "REPRODUCED_EXACTLY", f"all {len(metrics)} numbers are equal, bit for bit"
    return "REPRODUCED", f"all {len(metrics)} numbers are within the tolerance of {distance.level}"
