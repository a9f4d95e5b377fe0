"""Compare the scores of cross-validation folds with those of a baseline, fold by fold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pytest_mlrun.rules.statistics.sample import Sample

MIN_FOLDS: Final = 3
NEW_DATA: Final = "new data"


@dataclass(frozen=True, slots=True)
class FoldSizes:
    """How many rows folds were trained and tested on: of unequal ones the fewest and the most.

    Attributes:
        train: Training rows.
        test: Test rows.
    """

    train: int
    test: int


def over_folds(new: Sequence[float], base: Sequence[float], sizes: FoldSizes) -> tuple[Sample, str, str]:
    """Summarise the differences of folds, whose training sets overlap.

    Args:
        new: One a fold, turned so that more is better.
        base: Likewise, of the baseline, in the same order.
        sizes: Rows of a fold.

    Returns:
        The summary, how it was come by, and why nothing can be decided, or nothing.
    """
    import numpy as np

    from pytest_mlrun.rules.statistics.folds import fold_sample

    differences = np.array(new) - np.array(base)
    count, estimate = len(differences), float(differences.mean())
    method = f"{count} folds, Nadeau-Bengio, {sizes.train:,} rows to train and {sizes.test:,} to test"
    if not differences.any():
        return Sample(0.0, 0.0, 0.0, 0.0, count), f"{count} folds, identical scores", ""
    refusal = ""
    if count < MIN_FOLDS:
        refusal = f"{MIN_FOLDS} folds are needed"
    elif np.ptp(differences) == 0:
        refusal = "every fold differs by the same, so folds say nothing of chance"
    if refusal:
        return Sample(estimate, math.inf, 0.0, 0.0, count), method, refusal
    return fold_sample(differences, n_train=sizes.train, n_test=sizes.test), method, ""
