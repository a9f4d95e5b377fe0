"""Bring the rows of two evaluations together, and find how much each one moves a metric."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_mlrun.errors import MetricError
from pytest_mlrun.rules.metric_names import parse_metric
from pytest_mlrun.rules.predictions import read_classification, read_values
from pytest_mlrun.rules.statistics.sample import Influence

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pytest_mlrun.rules.predictions import Label
    from pytest_mlrun.rules.statistics.sample import Array

_SAME = 1e-9
"""Predictions that differ by no more are the same: less than any other processor's arithmetic moves them."""


@dataclass(frozen=True, slots=True)
class ScoredRows:
    """Rows of one split that a model was evaluated on.

    Attributes:
        metric: Name of the metric, without the split.
        ids: Identity of each row; its position where the test gave none.
        truth: Label or value of each row.
        out: What the model put out, as ``evaluate`` takes it.
        groups: What each row belongs to, if that was said.
        threshold: Score from which a row counts as positive.
        labels: Classes in the order of the columns, if they were given.
    """

    metric: str
    ids: Array
    truth: Array
    out: Array
    groups: Array | None = None
    threshold: float = 0.5
    labels: tuple[Label, ...] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: NDArray[np.intp]) -> ScoredRows:
        """Return the rows at these positions, in their order."""
        groups = None if self.groups is None else self.groups[rows]
        return replace(self, ids=self.ids[rows], truth=self.truth[rows], out=self.out[rows], groups=groups)


def align(base: ScoredRows, new: ScoredRows, *, names: str) -> ScoredRows:
    """Return the baseline's rows in the order of the new ones.

    Args:
        base: Rows of the baseline.
        new: Rows of this run.
        names: Metric and baseline, for messages.

    Raises:
        MetricError: If they are not the same rows with the same labels, each one once.
    """
    import numpy as np

    same_order = len(base) == len(new) and bool(np.array_equal(base.ids, new.ids))
    if not same_order:
        base = _join(base, new, names)
    elif new.groups is None and len(np.unique(new.ids)) < len(new):
        raise _repeated(new, names)
    if base.labels != new.labels:
        raise MetricError(
            f"{names}: the baseline was evaluated with other classes",
            where=f"labels={base.labels}, here {new.labels}",
            next_step="pass the same labels= and in the same order, or make a baseline of this code",
        )
    if not np.array_equal(base.truth, new.truth):
        count = int((base.truth != new.truth).sum()) if base.truth.shape == new.truth.shape else len(new)
        raise MetricError(
            f"{names}: {count} of {len(new)} rows have another label in the baseline",
            details=("the same row ids stand for other rows, or the rows were put in another order",),
            next_step="pass row_ids= to evaluate, or make a baseline of these rows: run it again and name that run",
        )
    return base


def _join(base: ScoredRows, new: ScoredRows, names: str) -> ScoredRows:
    import numpy as np

    if base.ids.dtype.kind == new.ids.dtype.kind or {base.ids.dtype.kind, new.ids.dtype.kind} <= set("iu"):
        for rows in (base, new):
            if len(np.unique(rows.ids)) < len(rows):
                raise _repeated(rows, names)
        order = np.argsort(base.ids, kind="stable")
        place = np.searchsorted(base.ids[order], new.ids).clip(0, len(base) - 1)
        found = base.ids[order][place] == new.ids
        shared = int(found.sum())
        if shared == len(new) == len(base):
            return base.take(order[place])
    else:
        shared = 0
    raise MetricError(
        f"{names}: the baseline was evaluated on other rows",
        details=(f"here {len(new)}, there {len(base)}, in both {shared}",),
        next_step="evaluate the same rows, or make a baseline of these: run it again and name that run",
    )


def _repeated(rows: ScoredRows, names: str) -> MetricError:
    import numpy as np

    return MetricError(
        f"{names}: {len(rows) - len(np.unique(rows.ids))} of {len(rows)} row ids repeat",
        details=("rows that depend on each other would be counted as if they did not",),
        next_step="pass groups= (such as the patient of each row) to evaluate, or an id that every row has alone",
    )


def same_predictions(base: ScoredRows, new: ScoredRows) -> bool:
    """Whether two models put out the same on aligned rows, to 1e-9."""
    import numpy as np

    if base.out.shape != new.out.shape or base.threshold != new.threshold:
        return False
    if base.out.dtype.kind not in "biuf" or new.out.dtype.kind not in "biuf":
        return bool(np.array_equal(base.out, new.out))
    return bool(np.all(np.abs(base.out.astype(float) - new.out.astype(float)) <= _SAME))


def influence_of(rows: ScoredRows, *, groups: Array | None = None, closed: bool = False) -> Influence | None:
    """Return the metric of the rows and how much each one moves it.

    Args:
        rows: The rows.
        groups: What each row belongs to; a jackknife leaves them out together.
        closed: Whether to return None rather than fall back on the jackknife, which computes the metric 50 times.

    Raises:
        MetricError: If the metric is undefined on these rows.
    """
    from pytest_mlrun.rules.statistics.influence import classifier_influence, regression_influence
    from pytest_mlrun.rules.statistics.jackknife import jackknife

    metric = parse_metric(rows.metric)
    if metric.family == "regression":
        truth, out = read_values(rows.truth, "y_true"), read_values(rows.out, "the predictions")
        found = regression_influence(metric, truth, out)
    else:
        read = read_classification(rows.truth, rows.out, threshold=rows.threshold, labels=rows.labels)
        found = classifier_influence(metric, read)
    if found is not None or closed:
        return found
    return jackknife(lambda chosen: value_of(rows.take(chosen)), len(rows), groups=groups)


def changed_rows(base: ScoredRows, new: ScoredRows) -> tuple[int, float] | None:
    """Return how many rows two models score differently, and what one row can lose; None where that has no limit."""
    import numpy as np

    from pytest_mlrun.rules.statistics.influence import row_scores

    metric = parse_metric(new.metric)
    if metric.base not in {"accuracy", "brier"}:
        return None
    read = [
        read_classification(rows.truth, rows.out, threshold=rows.threshold, labels=rows.labels) for rows in (base, new)
    ]
    first, second = (row_scores(metric, each) for each in read)
    if first is None or second is None:
        return None
    cap = 2.0 if metric.base == "brier" and len(read[0].classes) > 2 else 1.0  # noqa: PLR2004 - one term a class
    return int((np.abs(first - second) > _SAME).sum()), cap


def ruled_out(base: ScoredRows, new: ScoredRows) -> tuple[int, int]:
    """Return on how many rows only the new model, and only the baseline, calls a class impossible; 0 but for log-loss.

    One such row that turns out wrong costs more than thousands of others, and a sample may hold none.
    """
    import numpy as np

    if parse_metric(new.metric).base != "log_loss":
        return 0, 0
    read = [
        read_classification(rows.truth, rows.out, threshold=rows.threshold, labels=rows.labels) for rows in (base, new)
    ]
    before, after = (np.asarray(each.probabilities) == 0 for each in read)
    return int((after & ~before).any(axis=1).sum()), int((before & ~after).any(axis=1).sum())


def value_of(rows: ScoredRows) -> float:
    """Return the metric of the rows.

    Raises:
        MetricError: If it is undefined on these rows.
    """
    from pytest_mlrun.rules.metrics import compute_metrics

    return next(
        iter(
            compute_metrics([rows.metric], rows.truth, rows.out, threshold=rows.threshold, labels=rows.labels).values()
        )
    )
