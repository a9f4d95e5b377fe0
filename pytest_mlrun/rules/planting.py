"""Plant a drop: make recorded predictions worse by an exact amount of a metric.

How, by what the metric reads. Each way is continuous, or goes row by row, and only ever makes the metric worse, so that
bisection finds the amount:

- decisions (accuracy, F1 …): rows that are right become wrong, one after the other, in an order drawn once
- probabilities (log-loss, Brier; a ranking of several classes): a share of each row's moves to a wrong class
- ranking (AUC …): the scores of positive rows sink, all by the same amount
- numbers (RMSE, R2 …): every error grows by the same factor; where there is none, by noise drawn once
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_mlrun.errors import MetricError
from pytest_mlrun.rules.goals import default_goal
from pytest_mlrun.rules.metric_names import Metric, parse_metric
from pytest_mlrun.rules.predictions import Classification, Label, read_classification, read_values
from pytest_mlrun.rules.scored_rows import ScoredRows, value_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pytest_mlrun.rules.statistics.sample import Array

    Rng = np.random.Generator

_HALVINGS = 45
_MOST_GROWTH = 2.0**40
_Blend = Callable[[float], ScoredRows]
"""From 0, the rows as they are, to 1, as bad as this way can make them."""


def worsen(rows: ScoredRows, *, to: float, seed: int, short: bool = False) -> ScoredRows | None:
    """Return the rows with predictions so much worse that the metric has a value; None where nothing is that bad.

    Args:
        rows: As recorded; their metric must not be worse than ``to``.
        to: The value.
        seed: Of what is drawn.
        short: Where nothing gives the value exactly, whether to stop before it rather than after.
    """
    import numpy as np

    metric = parse_metric(rows.metric)
    rng = np.random.default_rng(seed)
    if metric.family == "regression":
        return _grow_errors(rows, to, rng, short=short)
    read = read_classification(rows.truth, rows.out, threshold=rows.threshold, labels=rows.labels)
    if metric.family == "decision":
        return _flip(rows, read, to, rng, short=short)
    blend = _sink(rows, read) if _ranks_scores(metric, read) else _mislead(rows, read)
    if not _reaches(blend(1.0), to):
        return None
    return blend(_bisect(blend, to, short=short))


def is_worse(metric: str, first: float, second: float) -> bool:
    """Whether one value of a metric is worse than another, by what the metric itself is."""
    return first < second if default_goal(metric) == "max" else first > second


def all_classes(rows: ScoredRows) -> tuple[Label, ...] | None:
    """Return the classes of a classifier's rows, also of those that a sample of them may miss; None of a regression."""
    if parse_metric(rows.metric).family == "regression":
        return None
    return read_classification(rows.truth, rows.out, threshold=rows.threshold, labels=rows.labels).classes


def _reaches(rows: ScoredRows, to: float) -> bool:
    try:
        value = value_of(rows)
    except MetricError:
        return False
    return value == to or is_worse(rows.metric, value, to)


def _bisect(blend: _Blend, to: float, *, short: bool, high: float = 1.0) -> float:
    low = 0.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if _reaches(blend(middle), to) else (middle, high)
    # A log-loss grows by the same in every row: what is past the value by rounding alone is so in every sample.
    return low if short else high


# -- classes -----------------------------------------------------------------------------------------------------------


def _flip(rows: ScoredRows, read: Classification, to: float, rng: Rng, *, short: bool) -> ScoredRows | None:
    import numpy as np

    if read.predicted is None:
        return None
    predicted, classes = read.predicted, np.asarray(read.classes)
    order = rng.permutation(np.flatnonzero(predicted == read.truth))
    wrong = (read.truth + rng.integers(1, max(len(classes), 2), len(predicted))) % len(classes)

    def flip(count: int) -> ScoredRows:
        chosen = order[:count]
        turned = predicted.copy()
        turned[chosen] = wrong[chosen]
        # As labels, which mean the same whatever the threshold.
        return replace(rows, out=classes[turned], labels=read.classes)

    if not _reaches(flip(len(order)), to):
        return None
    low, high = -1, len(order)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _reaches(flip(middle), to) else (middle, high)
    exact = high < 1 or value_of(flip(high)) == to
    return flip(high if exact or not short else high - 1)


def _mislead(rows: ScoredRows, read: Classification) -> _Blend:
    """Move a share of every probability to the likeliest wrong class."""
    import numpy as np

    out = np.asarray(rows.out)
    kind = out.dtype if out.dtype.kind == "f" else np.dtype(float)
    if out.ndim == 1:
        wrong: Array = (read.truth == 0).astype(kind)
    else:
        others = np.where(np.arange(out.shape[1]) == read.truth[:, None], -1.0, out)
        wrong = (np.arange(out.shape[1]) == others.argmax(axis=1)[:, None]).astype(kind)
    return lambda share: replace(rows, out=((1 - share) * out + share * wrong).astype(kind))


def _ranks_scores(metric: Metric, read: Classification) -> bool:
    return metric.family == "ranking" and read.scores is not None


def _sink(rows: ScoredRows, read: Classification) -> _Blend:
    """Let the positive rows sink below the negative ones."""
    scores = read_values(rows.out, "the predictions").astype(float)
    # Not ranks: moved by one place, all of them would pass a neighbour at once.
    depth = 2 * (float(scores.max() - scores.min()) or 1.0)
    return lambda share: replace(rows, out=scores - share * depth * (read.truth == 1))


# -- numbers -----------------------------------------------------------------------------------------------------------


def _grow_errors(rows: ScoredRows, to: float, rng: Rng, *, short: bool) -> ScoredRows | None:
    truth: NDArray[np.float64] = rows.truth.astype(float)
    errors = rows.out.astype(float) - truth
    added = errors if errors.any() else rng.standard_normal(errors.shape)

    def grow(factor: float) -> ScoredRows:
        return replace(rows, truth=truth, out=truth + errors + factor * added)

    factor = 1.0
    while not _reaches(grow(factor), to):
        factor *= 2
        if factor > _MOST_GROWTH:
            return None
    return grow(_bisect(grow, to, short=short, high=factor))
