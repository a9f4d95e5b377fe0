"""Train once a fold of a cross-validation, and compare fold by fold with a baseline's."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from pytest_mlrun.errors import DataError, MetricError
from pytest_mlrun.run.run import Run

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from pytest_mlrun.recorder.recording import Recording
    from pytest_mlrun.records.run import RunRecord
    from pytest_mlrun.rules.over_folds import FoldSizes

    Rows = NDArray[np.intp]

_WRITE = "for fold in mlrun.folds(StratifiedKFold(10, shuffle=True, random_state=mlrun.seed), X, y): …"


class Splitter(Protocol):
    """Anything that splits rows as scikit-learn's splitters do."""

    def split(self, X: object, y: object = None, groups: object = None) -> Iterable[tuple[ArrayLike, ArrayLike]]:  # noqa: N803 - scikit-learn's name
        """Return the positions of the training and test rows of each fold."""
        ...


class Fold(Run):
    """The run of one fold.

    Attributes:
        train: Positions of the rows to train on.
        test: Positions of the rows to judge on.
    """

    def __init__(self, recording: Recording, *, tmp_path: Callable[[], Path] | None, train: Rows, test: Rows) -> None:
        super().__init__(recording, tmp_path=tmp_path)
        self.train = train
        self.test = test


def split_rows(splitter: object, X: object, y: object, groups: object) -> Iterator[tuple[Rows, Rows]]:  # noqa: N803
    """Return the positions of the rows of each fold.

    Raises:
        DataError: If it is no splitter.
    """
    import numpy as np

    from pytest_mlrun.rules.arguments import show

    if not callable(getattr(splitter, "split", None)) or isinstance(splitter, str):
        raise DataError(
            f"folds needs a splitter, found {show(splitter)}", where="mlrun.folds", next_step=f"write {_WRITE}"
        )
    for train, test in cast("Splitter", splitter).split(X, y, groups):
        yield np.asarray(train), np.asarray(test)


def paired_folds(
    new: list[Recording], base: list[RunRecord], metric: str, *, baseline: str
) -> tuple[list[float], list[float], FoldSizes]:
    """Return the scores of both sides in the order of the folds, and how large those are.

    Args:
        new: The folds of this run.
        base: The folds of the baseline.
        metric: What is compared.
        baseline: What the baseline is called.

    Raises:
        MetricError: If they are not the same folds, or one never logged the metric.
    """
    from pytest_mlrun.rules.over_folds import FoldSizes

    where = f"the no-regression gate on {metric}"
    stored = {run.params["fold"]: run for run in base}
    if not new or any(metric not in fold.values for fold in new):
        raise MetricError(
            f"claim='data' needs {metric!r} of every fold, and this run has it of none or some",
            where=where,
            next_step=f"write {_WRITE} and in it fold.evaluate(…)",
        )
    pairs = [(fold, stored.get(fold.params["fold"])) for fold in new]
    same = len(new) == len(stored) and all(run is not None and _digests(fold) == _digest_of(run) for fold, run in pairs)
    if not same:
        raise MetricError(
            f"{metric} against {baseline}: the baseline has other folds",
            details=(f"here {len(new)} folds, there {len(stored)}",),
            where=where,
            next_step="split by the same splitter with the same random_state, such as mlrun.seed, on the same rows",
        )
    sizes = FoldSizes(min(len(fold.splits["train"]) for fold in new), max(len(fold.splits["test"]) for fold in new))
    return (
        [fold.values[metric] for fold in new],
        [run.metrics[metric] for _, run in pairs if run is not None],
        sizes,
    )


def _digests(fold: Recording) -> list[str]:
    return [fold.splits[split].digest for split in ("train", "test")]


def _digest_of(run: RunRecord) -> list[str]:
    return [str(json.loads(run.context.get(f"split.{split}.digest", "null"))) for split in ("train", "test")]
