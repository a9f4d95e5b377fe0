"""Summarise influence values: estimate, standard error, skewness, and how many rows decide."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[Any]

_NOTHING = 1e-12


@dataclass(frozen=True, slots=True)
class Influence:
    """A metric, and how much each row moves it.

    Attributes:
        value: The metric on these rows.
        psi: Influence of each row; its mean over the rows, and over each stratum, is 0.
        strata: Number of each row's stratum, from 0; None where the rows are one sample. The positives and negatives of
            an area under the curve are two.
        rows: How many rows there are, where the influence is not of single ones but of a jackknife's groups; else 0.
    """

    value: float
    psi: Array
    strata: Array | None = None
    rows: int = 0


@dataclass(frozen=True, slots=True)
class Sample:
    """What an interval and a test need to know of an estimate.

    Attributes:
        estimate: The estimate, turned so that more is better.
        se: Its standard error.
        skew: Skewness of the influence values over the square root of their number.
        n_eff: Number of rows that decide: ``(sum psi^2)^2 / sum psi^4``.
        n: Number of rows.
        df: Degrees of freedom; None for ``n_eff - 1``.
        row_share: Which part of the variance is that of the rows, where the rest is that of seeds.
    """

    estimate: float
    se: float
    skew: float
    n_eff: float
    n: int
    df: float | None = None
    row_share: float | None = None

    @property
    def freedom(self) -> float:
        """Degrees of freedom of Student's t."""
        return self.n_eff - 1 if self.df is None else self.df


def oriented(influence: Influence, *, sign: int) -> Influence:
    """Return the influence of a metric turned so that more is better.

    Args:
        influence: Of the metric.
        sign: 1 where more is better, -1 where less is.
    """
    return Influence(sign * influence.value, sign * influence.psi, influence.strata, influence.rows)


def difference(new: Influence, base: Influence) -> Influence:
    """Return the influence of ``new - base`` on the same rows: what both share cancels in each row."""
    return Influence(new.value - base.value, new.psi - base.psi, new.strata, new.rows)


def summarise(influence: Influence, *, groups: Array | None = None) -> Sample:
    """Return what the influence values say together.

    ``SE^2 = sum over strata of m/(m-1) * sum psi^2, over n^2``: for one stratum the usual ``sd^2/n``, for positives and
    negatives the variance of DeLong, DeLong and Clarke-Pearson (1988).

    Args:
        influence: Of each row.
        groups: What each row belongs to, such as a patient: rows of one group are not independent, and count once.
    """
    import numpy as np

    psi, strata, n = influence.psi, influence.strata, len(influence.psi)
    if groups is not None and not influence.rows:
        _, place = np.unique(groups, return_inverse=True)
        # Groups go across strata: their sums are one sample.
        psi, strata = np.bincount(place, weights=psi), None
    squares, units = psi * psi, len(psi)
    total = float(squares.sum())
    # What rounding leaves of rows that are all alike is no spread.
    if total <= units * (_NOTHING * max(abs(influence.value), _NOTHING)) ** 2:
        return Sample(influence.value, 0.0, 0.0, 0.0, influence.rows or n)
    skew = float((squares * psi).sum()) / units / (total / units) ** 1.5
    return Sample(
        estimate=influence.value,
        se=math.sqrt(_corrected(squares, strata)) / n,
        skew=0.0 if influence.rows else skew / math.sqrt(units),
        n_eff=total * total / float((squares * squares).sum()),
        n=influence.rows or n,
        df=units - 1.0 if influence.rows else None,
    )


def _corrected(squares: Array, strata: Array | None) -> float:
    import numpy as np

    if strata is None:
        return float(squares.sum()) * len(squares) / max(len(squares) - 1, 1)
    sizes = np.bincount(strata)
    return float((np.bincount(strata, weights=squares) * sizes / np.maximum(sizes - 1, 1)).sum())
