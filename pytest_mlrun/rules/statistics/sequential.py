"""Look at seeds as they come, and stop early, without more false alarms than one look would give.

Every look tests at one nominal level, so small that all looks together err with probability alpha (Pocock, 1977,
Biometrika 64, 191-199). The levels come from 200,000 simulated null experiments, which a test repeats.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from pytest_mlrun.rules.statistics.student import quantile_of

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


def critical_value(looks: tuple[int, ...], *, stored: int, seeds: int) -> float:
    """Return what t must exceed when so many seeds have been trained.

    Args:
        looks: Numbers of seeds at which one looks.
        stored: Seeds of the baseline; 0 for one sample of paired differences.
        seeds: Seeds trained so far, one of ``looks``.

    Raises:
        KeyError: If there is no level for these looks.
    """
    freedom = stored + seeds - 2 if stored else seeds - 1
    return quantile_of(float(freedom))(1 - NOMINAL[looks, stored])
