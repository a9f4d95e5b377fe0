"""Judge scores of cross-validation folds, whose training sets overlap.

``t = mean / sqrt(s^2 (1/J + n_test/n_train))`` with ``J - 1`` degrees of freedom (Nadeau and Bengio, 2003, Machine
Learning 52, 239-281): without the second term, repeated folds would look like as many independent experiments.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pytest_mlrun.rules.statistics.sample import Sample

if TYPE_CHECKING:
    from pytest_mlrun.rules.statistics.sample import Array


def fold_sample(differences: Array, *, n_train: int, n_test: int) -> Sample:
    """Return what the folds say together about a procedure on new data.

    Args:
        differences: New minus baseline of each fold, turned so that more is better; or the scores themselves.
        n_train: Training rows of a fold.
        n_test: Test rows of a fold.
    """
    count = len(differences)
    variance = float(differences.var(ddof=1))
    se = math.sqrt(variance * (1 / count + n_test / n_train))
    return Sample(float(differences.mean()), se, 0.0, float(count), count, df=float(count - 1))
