"""Test and bound an estimate by Student's t, corrected for skewness.

``T = (estimate - bound) / SE`` becomes ``T + w T^2/3 + w^2 T^3/27 + w/6`` with ``w = skew / sqrt(n)`` (Hall, 1992,
Annals of Statistics 20, 221-235), which is monotone: unlike Johnson's quadratic, it never turns
a large ``T`` round.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pytest_mlrun.rules.statistics.sample import Sample

if TYPE_CHECKING:
    from collections.abc import Callable

_STRAIGHT = 1e-7


def correct(statistic: float, skew: float) -> float:
    """Return the statistic with its skewness taken out."""
    return statistic + skew * statistic**2 / 3 + skew**2 * statistic**3 / 27 + skew / 6


def uncorrect(corrected: float, skew: float) -> float:
    """Return the statistic that ``correct`` turns into this one, in closed form."""
    if abs(skew) < _STRAIGHT:
        # The closed form divides by the skewness, and here nothing is left of it.
        return corrected
    return 3 / skew * (math.cbrt(1 + skew * (corrected - skew / 6)) - 1)


def interval(sample: Sample, *, alpha: float = 0.05) -> tuple[float, float]:
    """Return the two-sided interval that leaves ``alpha`` on each side: of 90 % for 0.05."""
    if sample.se == 0.0:
        return sample.estimate, sample.estimate
    quantile = quantile_of(sample.freedom)(1 - alpha)
    return (
        sample.estimate - sample.se * uncorrect(quantile, sample.skew),
        sample.estimate - sample.se * uncorrect(-quantile, sample.skew),
    )


def p_values(sample: Sample, bound: float) -> tuple[float, float]:
    """Return how likely so bad, and so good, an estimate is if the truth is the bound: p of FAIL and p of PASS."""
    from scipy import special

    if sample.se == 0.0:
        return (0.0, 1.0) if sample.estimate < bound else (1.0, 0.0 if sample.estimate > bound else 1.0)
    corrected = correct((sample.estimate - bound) / sample.se, sample.skew)
    return (
        float(special.stdtr(sample.freedom, corrected)),
        float(special.stdtr(sample.freedom, -corrected)),
    )


def quantile_of(freedom: float) -> Callable[[float], float]:
    """Return the quantile function of Student's t."""
    from scipy import special

    return lambda level: float(special.stdtrit(freedom, level))
