"""Find how much each row moves the area under the ROC curve: DeLong's placement values.

``V10`` of a positive is the share of negatives below it, ties counting half; ``V01`` of a negative the share of
positives above it. Mid-ranks give all of them in ``n log n`` (Sun and Xu, 2014, IEEE Signal Processing
Letters 21, 1389-1393).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_mlrun.rules.statistics.sample import Influence

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pytest_mlrun.rules.statistics.sample import Array


def auc_influence(positive: NDArray[np.bool_], scores: Array) -> Influence:
    """Return the area and each row's influence; both classes must be there.

    Args:
        positive: Whether each row is of the positive class.
        scores: More means more likely positive.
    """
    import numpy as np

    n = len(scores)
    above, below = scores[positive], scores[~positive]
    n1, n0 = len(above), len(below)
    ranks = midranks(scores)
    placed_above = (ranks[positive] - midranks(above)) / n0
    placed_below = 1 - (ranks[~positive] - midranks(below)) / n1
    area = float(placed_above.mean())
    psi = np.empty(n)
    psi[positive] = (placed_above - area) * n / n1
    psi[~positive] = (placed_below - area) * n / n0
    return Influence(area, psi, positive.astype(np.int64))


def midranks(values: Array) -> Array:
    """Return ranks from 1, ties sharing the middle of theirs."""
    import numpy as np

    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: Array = (last - (counts - 1) / 2)[place]
    return ranks
