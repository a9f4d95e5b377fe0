"""Find how much rows move a metric that has no closed form: leave groups of them out, one after the other.

Pseudo-values ``G v - (G-1) v_without_g`` of ``G`` groups are a sample of ``G`` (Tukey, 1958; Miller, 1974, Biometrika
61, 1-15), and are judged by Student's t with ``G - 1`` degrees of freedom.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pytest_mlrun.rules.statistics.sample import Influence

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pytest_mlrun.rules.statistics.sample import Array

GROUPS = 50
"""Enough that the rule on how few may decide means the same for groups as for rows; more only cost."""


def jackknife(
    compute: Callable[[NDArray[np.int64]], float], n: int, *, groups: Array | None = None, count: int = GROUPS
) -> Influence:
    """Return the metric, and the influence of each group of rows.

    Args:
        compute: Return the metric of the rows at these positions.
        n: Number of rows.
        groups: Rows that belong together, and are left out together.
        count: Most groups.
    """
    import numpy as np

    place = np.arange(n) if groups is None else np.unique(groups, return_inverse=True)[1]
    fold = place % min(count, int(place.max()) + 1)
    rows = np.arange(n, dtype=np.int64)
    found = int(fold.max()) + 1
    whole = compute(rows)
    values = np.array([found * whole - (found - 1) * compute(rows[fold != index]) for index in range(found)])
    return Influence(whole, values - values.mean(), rows=n)
