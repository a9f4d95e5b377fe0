"""Judge repeated trainings: seeds alone, or seeds and rows together."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from pytest_mlrun.rules.statistics.sample import Influence, Sample, summarise

if TYPE_CHECKING:
    from pytest_mlrun.rules.statistics.sample import Array

Variance = Literal["conservative", "exact"]
POOLED_FROM = 10
"""Stored seeds from which their spread stands for that of the new ones as well."""


def paired_seeds(differences: Array) -> Sample:
    """Return what pairs of trainings under the same seeds say: the one-sample t of Student."""
    count = len(differences)
    se = math.sqrt(float(differences.var(ddof=1)) / count)
    return Sample(float(differences.mean()), se, 0.0, float(count), count, df=float(count - 1))


def welch_seeds(new: Array, base: Array) -> Sample:
    """Return what two groups of trainings say, spread apart or not: Welch (1947, Biometrika 34, 28-35)."""
    parts = [(_variance(new) / len(new), len(new) - 1.0), (_variance(base) / len(base), len(base) - 1.0)]
    variance, freedom = satterthwaite(parts)
    estimate = float(new.mean() - base.mean())
    return Sample(estimate, math.sqrt(variance), 0.0, freedom + 1, len(new) + len(base), df=freedom)


def stored_seeds(new: Array, base: Array) -> Sample:
    """Return what one or more new trainings say against stored ones: the prediction interval, seeds of equal spread.

    ``(mean_new - mean_base) / (s sqrt(1/k + 1/k_base))``, ``s`` pooled over both, with ``k_base + k - 2`` degrees.
    """
    freedom = float(len(new) + len(base) - 2)
    variance = _pooled(new, base) * (1 / len(new) + 1 / len(base))
    estimate = float(new.mean() - base.mean())
    return Sample(estimate, math.sqrt(variance), 0.0, freedom + 1, len(new) + len(base), df=freedom)


def one_way(arm: list[Influence], *, groups: Array | None = None) -> Sample:
    """Return what the mean of trainings says about the procedure and about all rows: ``two_way`` of one side.

    Args:
        arm: One a seed, turned so that more is better, all on the same rows.
        groups: What each row belongs to.
    """
    import numpy as np

    values = np.array([each.value for each in arm])
    psi = np.array([each.psi for each in arm]).mean(axis=0)
    rows = summarise(Influence(float(values.mean()), psi, arm[0].strata, arm[0].rows), groups=groups)
    seeds = (_variance(values) / len(arm), len(arm) - 1.0)
    total, freedom = satterthwaite([(rows.se**2, max(rows.n_eff - 1, 1.0)), seeds])
    return Sample(rows.estimate, math.sqrt(total), 0.0, rows.n_eff, rows.n, df=freedom)


def two_way(
    new: list[Influence], base: list[Influence], *, groups: Array | None = None, variance: Variance = "conservative"
) -> Sample:
    """Return what trainings say about the procedure and about all rows, not these alone.

    ``V = V_rows(mean psi over the seeds) + s_base^2/k_base + s_new^2/k_new``, Satterthwaite's degrees of freedom. The
    seeds' scores spread by the rows' interaction as well, which the first term holds already: the sum is too large,
    never too small. ``exact`` subtracts it (Owen, 2007, Annals of Applied Statistics 1, 386-411).

    Args:
        new: One a seed, turned so that more is better, all on the same rows.
        base: Likewise, of the baseline.
        groups: What each row belongs to.
        variance: ``conservative``, or ``exact``.
    """
    import numpy as np

    new_psi, base_psi = (np.array([each.psi for each in arm]) for arm in (new, base))
    new_values, base_values = (np.array([each.value for each in arm]) for arm in (new, base))
    mean = Influence(
        value=float(new_values.mean() - base_values.mean()),
        psi=new_psi.mean(axis=0) - base_psi.mean(axis=0),
        strata=new[0].strata,
        rows=new[0].rows,
    )
    rows = summarise(mean, groups=groups)
    row_variance = rows.se**2
    if variance == "exact":
        interaction = sum(_interaction(psi) for psi in (new_psi, base_psi) if len(psi) > 1)
        row_variance = max(row_variance - interaction, 0.0)
    seeds = seed_parts(new_values, base_values)
    total, freedom = satterthwaite([(row_variance, max(rows.n_eff - 1, 1.0)), *seeds])
    share = row_variance / total if total else None
    return Sample(mean.value, math.sqrt(total), 0.0, rows.n_eff, rows.n, df=freedom, row_share=share)


def seed_parts(new: Array, base: Array) -> list[tuple[float, float]]:
    """Return the variances that the seeds leave in the difference of the means, each with its degrees of freedom."""
    if len(base) >= POOLED_FROM:
        return [(_pooled(new, base) * (1 / len(new) + 1 / len(base)), len(new) + len(base) - 2.0)]
    return [(_variance(arm) / len(arm), len(arm) - 1.0) for arm in (new, base)]


def satterthwaite(parts: list[tuple[float, float]]) -> tuple[float, float]:
    """Return the sum of variances and its degrees of freedom (Satterthwaite, 1946, Biometrics Bulletin 2, 110-114).

    Args:
        parts: Each variance with its degrees.
    """
    total = sum(variance for variance, _ in parts)
    spread = sum(variance**2 / freedom for variance, freedom in parts)
    return total, (total**2 / spread if spread > 0 else math.inf)


def _interaction(psi: Array) -> float:
    return float(psi.var(axis=0, ddof=1).mean()) / float(psi.size)


def _variance(values: Array) -> float:
    return float(values.var(ddof=1))


def _pooled(new: Array, base: Array) -> float:
    squares = float(((new - new.mean()) ** 2).sum() + ((base - base.mean()) ** 2).sum())
    return squares / (len(new) + len(base) - 2)
