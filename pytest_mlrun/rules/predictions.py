"""Read what a model put out: labels, scores of the positive class, or probabilities of every class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from pytest_mlrun.errors import MetricError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    Array: TypeAlias = NDArray[Any]

Label: TypeAlias = bool | int | float | str
_SUM_TOLERANCE = 1e-3
_TWO = 2


@dataclass(frozen=True, slots=True)
class Classification:
    """Truth and predictions of a classifier, as positions in ``classes``.

    Attributes:
        classes: In order; of two, the second is the positive one.
        truth: Class of each row.
        scores: Of the positive class, one a row; None where labels were predicted or there are more than two classes.
        probabilities: Of every class, a row each; None where labels or scores were predicted.
        predicted: Class predicted for each row; None for scores outside [0, 1], which no threshold is meant for.
    """

    classes: tuple[Label, ...]
    truth: NDArray[np.int64]
    scores: Array | None
    probabilities: Array | None
    predicted: NDArray[np.int64] | None


def read_values(given: ArrayLike, what: str) -> Array:
    """Return a list, or an array of numpy, pandas, polars, pyarrow or torch, as an array without missing values.

    Raises:
        MetricError: If it cannot be read, is empty, or holds NaN or another missing value.
    """
    import numpy as np

    try:
        values = np.asarray(given)
        if values.dtype == object:
            values = _read_objects(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise MetricError(
            f"{what} cannot be read as an array: {error}", next_step="pass a list or an array with one entry a row"
        ) from error
    if values.ndim == _TWO and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim == 0 or values.size == 0:
        raise MetricError(f"{_hold(what)} no rows", next_step="check how the rows of this split are chosen")
    _refuse_missing(values, what)
    return values


def check_lengths(truth: Array, out: Array) -> None:
    """Refuse arrays of different lengths.

    Raises:
        MetricError: If their numbers of rows differ.
    """
    if len(truth) != len(out):
        raise MetricError(
            f"y_true has {len(truth)} rows and the predictions have {len(out)}",
            next_step="pass the labels and the predictions of the same rows, in the same order",
        )


def read_classification(
    y_true: ArrayLike, y_out: ArrayLike, *, threshold: float = 0.5, labels: ArrayLike | None = None
) -> Classification:
    """Tell labels, scores and probabilities apart.

    Two-dimensional predictions are probabilities, a column for each class. One-dimensional ones are labels where they
    are text, whole numbers or truth values, and scores of the positive class where they are real numbers. Real numbers
    that are all among the classes are labels too, except ``0.0`` and ``1.0``, which are read as scores, and mean the
    same either way. A score of ``threshold`` or more is the positive class.

    Args:
        y_true: Class of each row.
        y_out: What the model put out.
        threshold: Smallest score that means the positive class, for two classes.
        labels: Every class in the order of the columns, such as ``model.classes_``; the sorted classes of ``y_true``
            otherwise. Of two, the second is the positive one.

    Raises:
        MetricError: If they cannot be read, do not belong together, or hold missing values.
    """
    truth, out = read_values(y_true, "y_true"), read_values(y_out, "the predictions")
    check_lengths(truth, out)
    if truth.ndim != 1:
        raise MetricError("y_true has more than one column", next_step="pass one class a row")
    if truth.dtype.kind == "f" and bool((truth % 1 != 0).any()):
        raise MetricError(
            "y_true holds real numbers, which are not classes", next_step="use rmse, mae or r2, or pass classes"
        )
    if out.ndim == 1 and _are_labels(truth, out, labels):
        return _read_labels(truth, out, labels)
    classes = _find_classes(truth, out, labels)
    if out.ndim == 1:
        return _read_scores(truth, out, classes, threshold)
    return _read_probabilities(truth, out, classes, threshold)


# -- arrays ------------------------------------------------------------------------------------------------------------


def _read_objects(values: Array) -> Array:
    import numpy as np

    plain = values.tolist()
    if any(_is_missing(item) for item in values.ravel()):
        return values
    if all(isinstance(item, str) for item in values.ravel()):
        return np.asarray(plain, dtype=np.str_)
    read = np.asarray(plain)
    if read.dtype.kind not in "biuf" or any(isinstance(item, str) for item in values.ravel()):
        raise TypeError("it mixes numbers with text or other objects")
    return read


def _is_missing(item: object) -> bool:
    if item is None or type(item).__name__ in {"NAType", "NaTType"}:
        return True
    return isinstance(item, float) and item != item  # noqa: PLR0124 - only NaN differs from itself


def _refuse_missing(values: Array, what: str) -> None:
    import numpy as np

    rows: Array
    if values.dtype == object:
        missing, word = np.array([_is_missing(item) for item in values.ravel()]).reshape(values.shape), "missing values"
    elif values.dtype.kind == "f":
        missing, word = np.isnan(values), "NaN"
        if not missing.any():
            missing, word = np.isinf(values), "infinite values"
    else:
        return
    rows = np.flatnonzero(missing.reshape(len(values), -1).any(axis=1))
    if rows.size:
        raise MetricError(
            f"{_hold(what)} {int(missing.sum())} {word}, the first in row {rows[0]}",
            next_step="find where they come from; a metric over them would mean nothing",
        )


def _hold(what: str) -> str:
    return f"{what} {'holds' if what == 'y_true' else 'hold'}"


# -- classes -----------------------------------------------------------------------------------------------------------


def _are_labels(truth: Array, out: Array, labels: ArrayLike | None) -> bool:
    import numpy as np

    if out.dtype.kind != "f":
        return True
    if truth.dtype.kind not in "biuf":
        return False
    classes = np.asarray(labels) if labels is not None else np.unique(truth)
    if classes.dtype.kind not in "biuf" or bool(np.isin(classes, (0, 1)).all()):
        return False
    # Among -1 and 1, a score of 1.0 in every row means what the label means, and can be ranked as well.
    alike = len(classes) == _TWO and bool(np.isin(out, [place for place in (0, 1) if classes[place] == place]).all())
    return bool(np.isin(out, classes).all()) and not alike


def _find_classes(truth: Array, out: Array, labels: ArrayLike | None) -> tuple[Label, ...]:
    import numpy as np

    if labels is not None:
        classes = tuple(np.asarray(labels).tolist())
        if len(set(classes)) != len(classes):
            raise MetricError(f"labels name a class twice: {_show_classes(classes)}", next_step="pass model.classes_")
        return classes
    found = np.unique(truth)
    columns = out.shape[1] if out.ndim == _TWO else _TWO
    # A split with one class only still says which two there are, where they are numbered by custom.
    for custom in ((False, True), (0, 1), (-1, 1)):
        numbered = (found.dtype.kind == "b") == isinstance(custom[0], bool) and found.dtype.kind in "biuf"
        if columns == _TWO and len(found) == 1 and numbered and bool(np.isin(found, custom).all()):
            return custom
    return tuple(found.tolist())


def _positions(values: Array, classes: tuple[Label, ...], what: str) -> NDArray[np.int64]:
    import numpy as np

    known = np.asarray(classes)
    if (known.dtype.kind in "biuf") != (values.dtype.kind in "biuf"):
        kinds = ["text" if array.dtype.kind not in "biuf" else "numbers" for array in (values, known)]
        raise MetricError(
            f"{_hold(what)} {kinds[0]} and the classes are {kinds[1]}",
            next_step="encode both alike, for instance both with the names of the classes",
        )
    order = np.argsort(known, kind="stable").astype(np.int64)
    found = np.searchsorted(known[order], values).clip(0, len(known) - 1)
    positions: NDArray[np.int64] = order[found]
    unknown = np.flatnonzero(known[positions] != values)
    if unknown.size:
        raise MetricError(
            f"{_hold(what)} {values[unknown[0]].item()!r}, which is none of the classes {_show_classes(classes)}",
            next_step="pass every class: labels=model.classes_",
        )
    return positions


def _show_classes(classes: Sequence[Label]) -> str:
    shown = ", ".join(repr(item) for item in classes[:6])
    return f"{shown}, …" if len(classes) > 6 else shown  # noqa: PLR2004 - a headline holds about six


# -- labels, scores, probabilities -------------------------------------------------------------------------------------


def _read_labels(truth: Array, out: Array, labels: ArrayLike | None) -> Classification:
    import numpy as np

    if (truth.dtype.kind in "biuf") != (out.dtype.kind in "biuf"):
        _positions(out, tuple(np.unique(truth).tolist()), "the predictions")
    classes = _find_classes(truth, out, labels)
    if labels is None:
        both = np.unique(np.concatenate([np.unique(truth), np.unique(out)]))
        classes = classes if bool(np.isin(both, classes).all()) else tuple(both.tolist())
    return Classification(
        classes, _positions(truth, classes, "y_true"), None, None, _positions(out, classes, "the predictions")
    )


def _read_scores(truth: Array, out: Array, classes: tuple[Label, ...], threshold: float) -> Classification:
    import numpy as np

    if len(classes) != _TWO:
        few = len(classes) < _TWO
        raise MetricError(
            f"one score a row needs two classes, found {len(classes)}: {_show_classes(classes)}",
            next_step="pass both classes: labels=model.classes_" if few else "pass predict_proba(X), a column each",
        )
    inside = bool(((out >= 0) & (out <= 1)).all())
    predicted = (out >= threshold).astype(np.int64) if inside else None
    probabilities = np.column_stack([1 - out, out]) if inside else None
    return Classification(classes, _positions(truth, classes, "y_true"), out, probabilities, predicted)


def _read_probabilities(truth: Array, out: Array, classes: tuple[Label, ...], threshold: float) -> Classification:
    import numpy as np

    if out.ndim != _TWO or out.shape[1] != len(classes):
        raise MetricError(
            f"the predictions have shape {out.shape}, but there are {len(classes)} classes: {_show_classes(classes)}",
            next_step="pass a column for each class, and name them all: labels=model.classes_",
        )
    if out.dtype.kind not in "biuf":
        raise MetricError("the predictions are a table of text", next_step="pass one class a row, or probabilities")
    sums = out.sum(axis=1)
    wrong = np.flatnonzero((np.abs(sums - 1) > _SUM_TOLERANCE) | (out < 0).any(axis=1) | (out > 1).any(axis=1))
    if wrong.size:
        raise MetricError(
            f"row {wrong[0]} of the predictions is no set of probabilities: its sum is {sums[wrong[0]]:g}",
            next_step="pass predict_proba(X), whose rows sum to 1",
        )
    positions = _positions(truth, classes, "y_true")
    if len(classes) == _TWO:
        return Classification(classes, positions, out[:, 1], out, (out[:, 1] >= threshold).astype(np.int64))
    return Classification(classes, positions, None, out, out.argmax(axis=1).astype(np.int64))
