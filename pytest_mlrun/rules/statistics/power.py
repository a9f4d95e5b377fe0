"""Say what a gate can see: the drop it would catch four times in five, and the rows that it would take.

With ``t`` quantiles, ``(q_1-alpha + q_0.80) SE`` beyond the margin (2.49 SE for alpha 0.05 and many rows).
"""

from __future__ import annotations

import math

from pytest_mlrun.rules.statistics.sample import Sample
from pytest_mlrun.rules.statistics.student import quantile_of

POWER = 0.80


def detectable(sample: Sample, *, margin: float, alpha: float) -> float:
    """Return the drop that the failing side would catch four times in five."""
    return margin + _reach(sample.freedom, alpha) * sample.se


def rows_needed(sample: Sample, *, distance: float, alpha: float = 0.05, both_sides: bool = False) -> int | None:
    """Return how many rows would decide four times in five; None if no number would.

    Args:
        sample: What these rows say.
        distance: From the truth to the boundary: the margin, if both models are equal.
        alpha: Error rate of each side.
        both_sides: Whether two boundaries must both be cleared, as for equivalence.
    """
    if not distance > 0 or sample.se == 0.0:
        return None
    reach = _reach(math.inf, alpha)
    if both_sides:
        quantile = quantile_of(math.inf)
        reach = quantile(1 - alpha) + quantile((1 + POWER) / 2)
    return math.ceil(sample.n * (reach * sample.se / distance) ** 2)


def _reach(freedom: float, alpha: float) -> float:
    if math.isfinite(freedom) and freedom > 0:
        quantile = quantile_of(freedom)
        return quantile(1 - alpha) + quantile(POWER)
    from scipy import special

    return float(special.ndtri(1 - alpha) + special.ndtri(POWER))
