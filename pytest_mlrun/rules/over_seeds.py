"""Summarise trainings under several seeds beside those of a baseline: over seeds and rows, or over seeds alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from pytest_mlrun.rules.statistics.sample import Influence, Sample
from pytest_mlrun.rules.statistics.sequential import STORED_BASE

if TYPE_CHECKING:
    from pytest_mlrun.rules.statistics.sample import Array
    from pytest_mlrun.rules.statistics.seeds import Variance

MIN_SEEDS: Final = 3
ON_THESE_ROWS: Final = "this procedure, on these rows"
"""What seeds alone speak of: the luck of the rows is in every one of them, and no number of seeds averages it out."""


class OverSeeds(NamedTuple):
    """What seeds say.

    Attributes:
        sample: The estimate and its spread.
        method: How it was come by.
        refusal: Why nothing can be decided; empty where it can.
    """

    sample: Sample
    method: str
    refusal: str = ""


def too_few(new: int, base: int) -> str:
    """Return why so many seeds on each side say nothing, or nothing."""
    if base >= STORED_BASE or (base >= MIN_SEEDS and new >= MIN_SEEDS):
        return ""
    return f"{MIN_SEEDS} seeds on each side are needed, or {STORED_BASE} stored ones"


def over_seeds_and_rows(
    new: Sequence[Influence], base: Sequence[Influence], *, groups: Array | None, variance: Variance
) -> OverSeeds:
    """Summarise trainings whose rows are kept.

    Args:
        new: One a training, turned so that more is better, all on the same rows.
        base: Likewise, of the baseline.
        groups: What each row belongs to.
        variance: ``conservative``, or ``exact``.
    """
    from pytest_mlrun.rules.statistics.seeds import two_way

    exactly = ", exact variance" if variance == "exact" else ""
    method = f"{len(new)} new against {len(base)} stored seeds, rows and seeds{exactly}"
    refusal = too_few(len(new), len(base))
    if refusal:
        estimate = sum(one.value for one in new) / len(new) - sum(one.value for one in base) / len(base)
        rows = new[0].rows or len(new[0].psi)
        return OverSeeds(Sample(estimate, math.inf, 0.0, 0.0, rows), method, refusal)
    return OverSeeds(two_way(list(new), list(base), groups=groups, variance=variance), method)


def over_seeds_alone(new: Sequence[float], base: Sequence[float]) -> OverSeeds:
    """Summarise trainings of which only scores are kept.

    Args:
        new: One a training, turned so that more is better.
        base: Likewise, of the baseline.
    """
    import numpy as np

    from pytest_mlrun.rules.statistics.seeds import stored_seeds, welch_seeds

    method = f"{len(new)} new against {len(base)} stored seeds, scores alone"
    refusal, count = too_few(len(new), len(base)), len(new) + len(base)
    arms = np.array(new), np.array(base)
    if not refusal and arms[1].std() == 0 and arms[0].std() == 0:
        refusal = "every seed scored the same, so seeds say nothing of chance"
    if refusal:
        return OverSeeds(Sample(float(arms[0].mean() - arms[1].mean()), math.inf, 0.0, 0.0, count), method, refusal)
    found = stored_seeds(*arms) if len(base) >= STORED_BASE else welch_seeds(*arms)
    return OverSeeds(Sample(found.estimate, found.se, 0.0, float(count), count, df=found.df), method)
