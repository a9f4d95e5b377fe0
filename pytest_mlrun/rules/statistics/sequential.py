"""Look at seeds as they come, and stop early, without more false alarms than one look would give.

Every look tests at one nominal level, so small that all looks together err with probability alpha (Pocock, 1977,
Biometrika 64, 191-199). The levels come from simulated null experiments: of the usual looks from a table, which a test
repeats; of others by the same simulation, from a seed of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from pytest_mlrun.rules.statistics.decision import ALPHA
from pytest_mlrun.rules.statistics.student import quantile_of

if TYPE_CHECKING:
    from pytest_mlrun.rules.statistics.sample import Array

STORED_BASE: Final = 10
STORED_LOOKS: Final = (1, 2, 3, 5)
OWN_LOOKS: Final = (3, 5, 10)
NOMINAL: Final[Mapping[tuple[tuple[int, ...], int], float]] = MappingProxyType(
    {
        ((1, 2, 3, 5), 10): 0.0192,
        ((1, 2, 3), 10): 0.0238,
        ((3, 5, 10), 0): 0.0202,
        ((3, 4, 5, 6), 0): 0.0204,
    }
)
"""Looks and number of stored seeds (0: one sample) to the one-sided level of each look, for alpha 0.05."""
_SEED: Final = 20261125
_RUNS: Final = 200_000
_MOST_RUNS: Final = 1_000_000
_BATCH: Final = 100_000
_FEWEST_ERRORS: Final = 1_000
"""Simulated errors below which a level is no longer read off them."""


@dataclass(frozen=True, slots=True)
class Looks:
    """Several looks at one question, and the level of each.

    Attributes:
        at: Numbers of seeds at which one looks.
        level: One-sided level of a PASS at each look.
        fail_level: Likewise of a FAIL, which shares alpha with other gates.
    """

    at: tuple[int, ...]
    level: float
    fail_level: float

    def shared(self, times: int, *, m: int) -> Looks:
        """Return the levels where others look at the same rows: too strict (Bonferroni over all looks), never too lax.

        Args:
            times: How often the rows are looked at, by whatever model; 1 for rows that are not counted.
            m: Gates that share alpha for their FAIL.
        """
        if times <= 1:
            return self
        level = ALPHA / (len(self.at) * times)
        return Looks(self.at, level, level / m)

    def __str__(self) -> str:
        fail = "" if self.fail_level == self.level else f", a FAIL at {self.fail_level:.2g}"
        return f"looks at {', '.join(map(str, self.at))}, each at {self.level:.3g}{fail}"


def plan_looks(at: tuple[int, ...], *, stored: int, m: int = 1) -> Looks:
    """Return the levels of several looks that together err with probability alpha.

    Args:
        at: Numbers of seeds at which one looks.
        stored: Seeds of the baseline whose spread stands for that of the new ones; 0 where there are too few.
        m: Gates that share alpha for their FAIL.
    """
    level = nominal_level(at, stored=stored)
    return Looks(at, level, level if m == 1 else nominal_level(at, stored=stored, alpha=ALPHA / m))


def nominal_level(looks: tuple[int, ...], *, stored: int, alpha: float = ALPHA) -> float:
    """Return the level of each look at which all of them together err with probability alpha.

    Args:
        looks: Numbers of seeds at which one looks.
        stored: Seeds of the baseline; 0 for one sample of scores or paired differences.
        alpha: One-sided error rate of all looks.
    """
    if alpha == ALPHA and (looks, stored) in NOMINAL:
        return NOMINAL[looks, stored]
    if len(looks) == 1:
        return alpha
    runs = int(min(max(_RUNS, 4 * _FEWEST_ERRORS / alpha), _MOST_RUNS))
    if runs * alpha < _FEWEST_ERRORS:
        # Bonferroni over the looks: too strict, never too lax.
        return alpha / len(looks)
    import numpy as np

    least = np.concatenate(list(_null_p_values(looks, stored, alpha, runs)))
    errors = int(runs * alpha)
    return max(float(np.partition(least, errors)[errors]), alpha / len(looks))


def critical_value(looks: tuple[int, ...], *, stored: int, seeds: int) -> float:
    """Return what t must exceed when so many seeds have been trained.

    Args:
        looks: Numbers of seeds at which one looks.
        stored: Seeds of the baseline; 0 for one sample of paired differences.
        seeds: Seeds trained so far, one of ``looks``.
    """
    return quantile_of(_freedom(stored, seeds))(1 - nominal_level(looks, stored=stored))


def _freedom(stored: int, seeds: int) -> float:
    return float(stored + seeds - 2 if stored else seeds - 1)


def _null_p_values(looks: tuple[int, ...], stored: int, alpha: float, runs: int) -> Iterator[Array]:
    """Return the least p-value over the looks of experiments without a difference; 1 for those above alpha."""
    import numpy as np
    from scipy import special

    rng = np.random.default_rng(_SEED)
    for start in range(0, runs, _BATCH):
        count = min(_BATCH, runs - start)
        seeds = rng.standard_normal((count, looks[-1]))
        base = rng.standard_normal(count) / np.sqrt(stored) if stored else 0.0
        squares = rng.chisquare(stored - 1, count) if stored else 0.0
        least = np.ones(count)
        for look in looks:
            freedom = _freedom(stored, look)
            mean = seeds[:, :look].mean(axis=1)
            spread = squares + ((seeds[:, :look] - mean[:, None]) ** 2).sum(axis=1)
            error = np.sqrt(spread / freedom * (1 / look + (1 / stored if stored else 0)))
            statistic = (mean - base) / error
            # The distribution function is dear, and most experiments are far from an error.
            extreme = np.flatnonzero(statistic > quantile_of(freedom)(1 - alpha))
            least[extreme] = np.minimum(least[extreme], special.stdtr(freedom, -statistic[extreme]))
        yield least
