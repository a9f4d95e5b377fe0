"""Say how far training again under another seed moves a metric, and whether rows or seeds are scarce."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

NARROW = 1.65
"""Margins below so many standard deviations turn red for one in twenty honest retrainings, whatever the rows."""
MIN_SEEDS = 3


def retraining_sd(stored: Sequence[float]) -> float | None:
    """Return the standard deviation of the difference of two trainings under two seeds; None of too few.

    Args:
        stored: A metric of trainings that differ by their seeds.
    """
    known = [value for value in stored if math.isfinite(value)]
    return math.sqrt(2) * statistics.stdev(known) if len(known) >= MIN_SEEDS else None


def narrow_margin(margin: float, stored: Sequence[float]) -> str:
    """Return the sentence about a margin that retraining alone exceeds, or nothing."""
    sd = retraining_sd(stored)
    if not sd or margin >= NARROW * sd:
        return ""
    return (
        f"the margin {margin:g} is less than {NARROW * sd:.3g}, which another seed alone moves it by "
        f'({len(stored)} stored seeds): widen it, or write claim="procedure"'
    )


def balance(n: int, row_variance: float, seed_variance: float) -> str:
    """Return the number of rows at which seeds move the answer as much as rows do, and so which to add; or nothing.

    Args:
        n: Rows.
        row_variance: What they leave of variance.
        seed_variance: What the seeds leave of it, whatever the number of rows.
    """
    if not (0 < seed_variance < math.inf and 0 < row_variance < math.inf):
        return ""
    rows = n * row_variance / seed_variance
    return f"rows and seeds weigh alike at n*={rows:,.0f}: add {'rows' if n < rows else 'seeds'}"
