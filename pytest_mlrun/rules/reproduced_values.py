"""Compare the numbers of a recorded run with those of its replay, each within its tolerance."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from pytest_mlrun.errors import MetricError
from pytest_mlrun.records.reproduction import MetricComparison, MetricStatus, SeriesComparison
from pytest_mlrun.rules.comparison import Evidence, Points, first_difference
from pytest_mlrun.rules.divergence import Trace
from pytest_mlrun.rules.metric_names import parse_metric
from pytest_mlrun.rules.tolerances import Tolerances

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Scoring:
    """How a metric came from predictions.

    Attributes:
        metric: Name without the split.
        predictions: Artifact that holds what the model put out.
        threshold: Score from which a row counts as positive.
    """

    metric: str
    predictions: str
    threshold: float

    @property
    def counts_rows(self) -> bool:
        """Whether the metric counts rows, and so moves in steps."""
        return counts_rows(self.metric)


@dataclass(frozen=True, slots=True)
class Account:
    """A run with everything that is compared.

    Attributes:
        evidence: The run, its environment, its data, its series.
        predictions: What its models put out, one row each, by artifact; what cannot be read is left out.
        scorings: How its metrics came from them.
        unread: Names of what cannot be read, with the reason.
        trace: Its fingerprints, where it left some on its way.
    """

    evidence: Evidence
    predictions: Mapping[str, Array] = field(default_factory=dict)
    scorings: Mapping[str, Scoring] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)
    trace: Trace | None = None

    def digests(self) -> dict[str, str]:
        """Return the digests of the predictions by artifact."""
        return {artifact.name: artifact.digest for artifact in self.evidence.run.artifacts if _is_rows(artifact.role)}


def _is_rows(role: str) -> bool:
    return role == "predictions"


def compare_metrics(recorded: Account, replayed: Account, tolerances: Tolerances) -> Iterator[MetricComparison]:
    """Yield every summary metric that one of both has."""
    before, after = recorded.evidence.run.metrics, replayed.evidence.run.metrics
    for name in sorted({*before, *after}):
        if name not in before or name not in after:
            status: MetricStatus = "missing" if name in before else "extra"
            yield MetricComparison(name, before.get(name), after.get(name), status)
            continue
        flips = count_flips(name, recorded, replayed)
        yield compare_metric(name, before[name], after[name], tolerances, flips=flips)


def compare_metric(
    name: str, recorded: float, replayed: float, tolerances: Tolerances, *, flips: int | None = None
) -> MetricComparison:
    """Compare one metric.

    Args:
        name: Its name.
        recorded: Value in the recorded run.
        replayed: Value in the replay.
        tolerances: What is allowed.
        flips: Rows whose predicted class changed, if the metric counts rows and they are known.
    """
    tolerance, most = tolerances.of(name), tolerances.flips(name)
    difference = abs(replayed - recorded)
    measured = difference if math.isfinite(difference) else None
    relative = measured / abs(recorded) if measured is not None and recorded else None
    if flips is None or most is None:
        allowed, source = tolerance.allowed(recorded) if math.isfinite(recorded) else None, tolerance.source
        within = measured is not None and allowed is not None and measured <= allowed
    else:
        allowed, within = None, flips <= most
        source = f"{most or 'no'} row{'s' if most > 1 else ''} ({tolerances.level})"
    status = "exact" if _same_bits(recorded, replayed) else _status(tolerances, within=within)
    return MetricComparison(name, recorded, replayed, status, measured, relative, allowed, source, flips)


def count_flips(name: str, recorded: Account, replayed: Account) -> int | None:
    """Return in how many rows the predicted class changed, for a metric that counts rows; None if nobody can say."""
    before, after = recorded.scorings.get(name), replayed.scorings.get(name)
    if before is None or after is None or not before.counts_rows:
        return None
    rows = recorded.predictions.get(before.predictions), replayed.predictions.get(after.predictions)
    if rows[0] is None or rows[1] is None:
        return None
    return changed_classes((rows[0], before.threshold), (rows[1], after.threshold))


def counts_rows(metric: str) -> bool:
    """Return whether a metric, without its split, counts rows, and so moves in steps."""
    try:
        return parse_metric(metric).family == "decision"
    except MetricError:
        return False


def changed_classes(before: tuple[Array, float], after: tuple[Array, float]) -> int | None:
    """Return in how many rows the predicted class changed; None where the rows are not as many.

    Args:
        before: What a model put out, and the score from which a row counts as positive.
        after: Likewise, of the other one.
    """
    import numpy as np

    if before[0].shape != after[0].shape:
        return None
    return int(np.count_nonzero(_classes(*before) != _classes(*after)))


def compare_series(recorded: Account, replayed: Account, tolerances: Tolerances) -> Iterator[SeriesComparison]:
    """Yield the series that one of both has, step by step."""
    digests = recorded.evidence.run.series, replayed.evidence.run.series
    for name in sorted({*digests[0], *digests[1]}):
        counts = [int(digest[name].partition(":")[0]) if name in digest else 0 for digest in digests]
        if not all(counts):
            yield SeriesComparison(name, counts[0], counts[1], "missing" if counts[0] else "extra")
            continue
        exact = digests[0][name] == digests[1][name]
        points = recorded.evidence.series.get(name), replayed.evidence.series.get(name)
        if exact or points[0] is None or points[1] is None:
            yield SeriesComparison(name, counts[0], counts[1], "exact" if exact else "differs")
        else:
            yield _compare_points(name, points[0], points[1], tolerances)


def compare_predictions(recorded: Account, replayed: Account, tolerances: Tolerances) -> Iterator[SeriesComparison]:
    """Yield what the models put out, by digest, and where that differs by value."""
    digests = recorded.digests(), replayed.digests()
    decide = tolerances.points_decide
    for name in sorted({*digests[0], *digests[1]}):
        rows = [account.predictions.get(name) for account in (recorded, replayed)]
        counts = [0 if out is None else len(out) for out in rows]
        if name not in digests[0] or name not in digests[1]:
            yield SeriesComparison(name, counts[0], counts[1], "missing" if name in digests[0] else "extra")
        elif digests[0][name] == digests[1][name]:
            yield SeriesComparison(name, counts[0], counts[1], "exact", decides=decide)
        elif rows[0] is None or rows[1] is None or rows[0].shape != rows[1].shape:
            yield SeriesComparison(name, counts[0], counts[1], "differs")
        else:
            yield _compare_rows(name, rows[0], rows[1], tolerances)


def _compare_points(name: str, before: Points, after: Points, tolerances: Tolerances) -> SeriesComparison:
    import numpy as np

    counts, first = (len(before[0]), len(after[0])), first_difference(before, after)
    steps_equal = counts[0] == counts[1] and bool(np.array_equal(before[0], after[0]))
    if first is None or not steps_equal:
        return SeriesComparison(name, *counts, "exact" if first is None else "differs", first)
    values = [np.asarray(points[1], dtype=np.float64) for points in (before, after)]
    tolerance = tolerances.of(name)
    allowed = np.maximum(tolerance.absolute, tolerance.relative * np.abs(values[0]))
    at, difference, within = _worst(values[0], values[1], allowed)
    return SeriesComparison(
        name,
        *counts,
        _status(tolerances, within=within),
        first,
        difference,
        float(allowed.flat[at]) if math.isfinite(float(allowed.flat[at])) else None,
        tolerances.points_decide,
    )


def _compare_rows(name: str, before: Array, after: Array, tolerances: Tolerances) -> SeriesComparison:
    import numpy as np

    counts, decide = (len(before), len(after)), tolerances.points_decide
    unequal = before != after
    if before.dtype.kind == "f":
        unequal &= ~(np.isnan(before) & np.isnan(after))
    changed = np.flatnonzero(unequal.reshape(len(before), -1).any(axis=1))
    if not len(changed):
        # The file differs, its rows do not: row ids or the order of the columns, or the form of an older version.
        return SeriesComparison(name, *counts, "exact", decides=decide)
    first = int(changed[0])
    if before.dtype.kind != "f" or after.dtype.kind != "f":
        most = tolerances.flips(name)
        within = most is not None and len(changed) <= most
        return SeriesComparison(name, *counts, _status(tolerances, within=within), first, decides=decide)
    tolerance = tolerances.of(name)
    finite = np.abs(before[np.isfinite(before)])
    # Of the largest one: a probability of 1e-9 that moves by 1e-10 moved by nothing that anyone can use.
    allowed = np.full(before.shape, tolerance.allowed(float(finite.max()) if len(finite) else 0.0))
    _, difference, within = _worst(before, after, allowed)
    return SeriesComparison(
        name, *counts, _status(tolerances, within=within), first, difference, float(allowed.flat[0]), decide
    )


def _worst(before: Array, after: Array, allowed: Array) -> tuple[int, float | None, bool]:
    """Return where two arrays lie farthest apart for what is allowed there, how far, and whether all is allowed."""
    import numpy as np

    with np.errstate(invalid="ignore", over="ignore"):
        differences = np.abs(after - before)
        same = (before == after) | (np.isnan(before) & np.isnan(after))
        within = same | (np.isfinite(differences) & (differences <= allowed))
        excess = np.where(same, -np.inf, np.where(np.isfinite(differences), differences - allowed, np.inf))
    at = int(np.argmax(excess))
    difference = float(differences.flat[at])
    return at, difference if math.isfinite(difference) else None, bool(within.all())


def _classes(out: Array, threshold: float) -> Array:
    if out.ndim > 1:
        likeliest: Array = out.argmax(axis=1)
        return likeliest
    if out.dtype.kind != "f":
        return out
    positive: Array = out >= threshold
    return positive


def _status(tolerances: Tolerances, *, within: bool) -> MetricStatus:
    if not within:
        return "differs"
    return "consistent" if tolerances.level == "L3" else "close"


def _same_bits(one: float, other: float) -> bool:
    return one.hex() == other.hex()
