"""Evaluate predictions: compute the metrics and keep the rows behind them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, cast

from pytest_mlrun.errors import MetricError
from pytest_mlrun.rules.arguments import expect_text, show

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from pytest_mlrun.recorder.looking import HeldOut
    from pytest_mlrun.recorder.recording import Recording
    from pytest_mlrun.rules.predictions import Label

ARROW = "application/vnd.apache.arrow.file"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Predictions on one split; see ``Run.evaluate`` for shapes."""

    split: str
    y_true: ArrayLike
    y_out: ArrayLike
    metrics: tuple[str, ...]
    row_ids: ArrayLike | None
    groups: ArrayLike | None
    threshold: float
    labels: Sequence[Label] | None
    data: str | None = None


def log_evaluation(recording: Recording, rows: Evaluation) -> dict[str, float]:
    """Compute the metrics, store predictions, labels and confusion matrix, and return the metrics.

    Raises:
        MetricError: If a metric is unknown or undefined on these rows, or the columns differ in length.
    """
    from pytest_mlrun.pillars.randomness import undisturbed

    recording.refuse_if_closed()
    with undisturbed():
        return _log_rows(recording, rows)


def _log_rows(recording: Recording, rows: Evaluation) -> dict[str, float]:
    import numpy as np

    from pytest_mlrun.rules.metrics import compute_metrics

    y_true = _flat(_as_array("y_true", rows.y_true, rows.split))
    y_out = _flat(_as_array("y_pred_or_score", rows.y_out, rows.split))
    _check_settings(rows)
    _refuse_swapped(rows, y_true, y_out)
    scores = compute_metrics(rows.metrics, y_true, y_out, threshold=rows.threshold, labels=rows.labels)
    ids = np.arange(len(y_true)) if rows.row_ids is None else _as_array("row_ids", rows.row_ids, rows.split)
    columns = {"row_id": ids, "y_true": y_true}
    if rows.groups is not None:
        columns["group"] = _as_array("groups", rows.groups, rows.split)
    _check_lengths(columns, len(y_true), rows.split)
    held = _look(recording, rows, columns, y_out, scores)
    scores |= {name: each.shown.value for name, each in held.items()}
    recording.held_out.update({f"{rows.split}_{name}": each for name, each in held.items()})
    predictions = _store_rows(recording, rows.split, columns, y_out)
    _note_evaluated(recording, rows, predictions, scores)
    if recording.selected is not None:
        from pytest_mlrun.recorder.selection import note_reused

        plain = {name: column.tolist() for name, column in columns.items()}
        note_reused(recording, recording.selected, rows.split, plain)
    if not held:
        # Counts of held-out rows would tell what the rounded scores do not.
        _store_confusion(recording, rows, y_true, y_out)
    return scores


def _look(
    recording: Recording,
    rows: Evaluation,
    columns: dict[str, NDArray[np.generic]],
    y_out: NDArray[np.generic],
    scores: dict[str, float],
) -> dict[str, HeldOut]:
    """Count a look at held-out rows, if these are such, before anything of it is recorded."""
    project = recording.plan.project
    if rows.data is None and not any(source.role for source in project.data.values()):
        return {}
    from pytest_mlrun.errors import LedgerWarning
    from pytest_mlrun.recorder.looking import look_at
    from pytest_mlrun.rules.scored_rows import ScoredRows
    from pytest_mlrun.run.warning import warn_at_test

    labels = None if rows.labels is None else tuple(rows.labels)
    scored = ScoredRows(
        "", columns["row_id"], columns["y_true"], y_out, columns.get("group"), float(rows.threshold), labels
    )
    held = look_at(recording, scored, rows.split, scores, data=rows.data)
    for text in next((each.standing.doubts for each in held.values()), ()):
        warn_at_test(text, LedgerWarning)
    return held


def read_names(split: object, metrics: object) -> tuple[str, ...]:
    """Return the metrics of an evaluation, given as one name or several.

    Raises:
        MetricError: If the split or a metric is not a name.
    """
    write = 'mlrun.evaluate("val", y_true, y_score, metrics=["roc_auc"])'
    expect_text(split, what="the name of a split", write=write, error=MetricError)
    names = (metrics,) if isinstance(metrics, str) else metrics
    if not isinstance(names, Iterable):
        raise MetricError(f"metrics must be names, found {show(metrics)}", next_step=f"write {write}")
    names = tuple(names)
    for name in names:
        expect_text(name, what="the name of a metric", write=write, error=MetricError)
    return names


def _check_settings(rows: Evaluation) -> None:
    threshold, labels = (cast("object", given) for given in (rows.threshold, rows.labels))
    where = f"evaluate({rows.split!r})"
    if isinstance(threshold, bool) or not isinstance(threshold, Real):
        raise MetricError(
            f"threshold must be a number, found {show(threshold)}", where=where, next_step="write threshold=0.5"
        )
    if labels is not None and not isinstance(labels, Iterable):
        raise MetricError(
            f"labels must be the classes, found {show(labels)}", where=where, next_step="write labels=model.classes_"
        )


def _as_array(name: str, given: ArrayLike, split: str) -> NDArray[np.generic]:
    import numpy as np

    try:
        array = np.asarray(given)
    except ValueError:
        array = None
    if array is None or not array.ndim:
        found = "rows of different lengths" if array is None else show(given)
        raise MetricError(
            f"{name} must have one entry a row, found {found}",
            where=f"evaluate({split!r})",
            next_step="pass an array of shape (n,), or of (n, k) for the scores of k classes",
        )
    return array


def _flat(array: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return a single column, such as a data frame's, as the row that it means."""
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array  # noqa: PLR2004


def _refuse_swapped(rows: Evaluation, y_true: NDArray[np.generic], y_out: NDArray[np.generic]) -> None:
    """Refuse probabilities where the classes belong, and classes where the probabilities do."""
    from pytest_mlrun.rules.metric_names import parse_metric

    if all(parse_metric(name).family == "regression" for name in rows.metrics):
        return
    real = y_true.dtype.kind == "f" and bool((y_true % 1 != 0).any())
    if real and y_out.ndim == 1 and y_out.dtype.kind in "biuUO":
        raise MetricError(
            "y_true holds real numbers and the predictions hold classes: are they swapped?",
            where=f"evaluate({rows.split!r})",
            next_step=f'write evaluate("{rows.split}", y_true, y_score, metrics=[…])',
        )


def _check_lengths(columns: dict[str, NDArray[np.generic]], count: int, split: str) -> None:
    for name, column in columns.items():
        if len(column) != count:
            raise MetricError(
                f"{name} has {len(column)} rows, y_true has {count}",
                where=f"evaluate({split!r})",
                next_step="pass one entry a row, in the same order",
            )


def _store_rows(
    recording: Recording, split: str, columns: dict[str, NDArray[np.generic]], y_out: NDArray[np.generic]
) -> str:
    from pytest_mlrun.store.encoding import encode_table

    # Labels are an object of their own: equal over all runs of a sweep, so they are stored once.
    recording.add_bytes(f"labels/{split}.arrow", encode_table(columns, "arrow"), media_type=ARROW, role="labels")
    out = (
        {"y_out": y_out} if y_out.ndim == 1 else {f"y_out_{index}": y_out[:, index] for index in range(y_out.shape[1])}
    )
    name = _free_name(recording, f"predictions/{split}", ".arrow")
    recording.add_bytes(
        name,
        encode_table({"row_id": columns["row_id"], **out}, "arrow"),
        media_type=ARROW,
        role="predictions",
    )
    return name


def _note_evaluated(recording: Recording, rows: Evaluation, predictions: str, scores: dict[str, float]) -> None:
    """Write down how each metric was computed, so that a gate, now or in a year, finds the rows behind it."""
    import numpy as np

    from pytest_mlrun.recorder.evaluated import Evaluated, facts_by_split

    # JSON, and so the record, knows no infinity: such a value has no interval either.
    scores = {name: value for name, value in scores.items() if math.isfinite(value)}
    names = [*recording.evaluated.get(rows.split, ()), *scores]
    recording.evaluated[rows.split] = tuple(dict.fromkeys(names))
    for name, value in scores.items():
        recording.evaluations[f"{rows.split}_{name}"] = Evaluated(
            metric=name,
            value=value,
            predictions=predictions,
            truth=f"labels/{rows.split}.arrow",
            threshold=float(rows.threshold),
            classes=None if rows.labels is None else np.asarray(rows.labels).tolist(),
            n=len(np.asarray(rows.y_true)),
        )
    recording.write_context(facts_by_split(recording.evaluations, rows.split, recording.evaluated[rows.split]))


def _store_confusion(
    recording: Recording, rows: Evaluation, y_true: NDArray[np.generic], y_out: NDArray[np.generic]
) -> None:
    from pytest_mlrun.rules.metric_names import parse_metric
    from pytest_mlrun.rules.metrics import confusion
    from pytest_mlrun.run.files import add_dict

    if all(parse_metric(name).family == "regression" for name in rows.metrics):
        return
    counted = confusion(y_true, y_out, threshold=rows.threshold, labels=rows.labels)
    if counted is None:
        # Scores that only rank, such as a decision function's, decide nothing: there is nothing to count.
        return
    classes, matrix = counted
    content = {"labels": list(classes), "matrix": matrix, "rows": "true", "columns": "predicted"}
    add_dict(recording, content, _free_name(recording, f"confusion/{rows.split}", ".json"))


def _free_name(recording: Recording, stem: str, suffix: str) -> str:
    name, count = f"{stem}{suffix}", 2
    while name in recording.artifacts:
        name, count = f"{stem}-{count}{suffix}", count + 1
    return name
