"""Bound a share of rows exactly, whatever their number: Clopper and Pearson (1934, Biometrika 26, 404-413)."""

from __future__ import annotations


def exact_interval(hits: int, n: int, *, alpha: float = 0.05) -> tuple[float, float]:
    """Return the exact two-sided interval of a share, ``alpha`` on each side.

    Args:
        hits: Rows that are right.
        n: All rows.
        alpha: Error rate of each side.
    """
    from scipy import special

    low = 0.0 if hits == 0 else float(special.betaincinv(hits, n - hits + 1, alpha))
    high = 1.0 if hits == n else float(special.betaincinv(hits + 1, n - hits, 1 - alpha))
    return low, high


def exact_p_values(hits: int, n: int, bound: float) -> tuple[float, float]:
    """Return p of FAIL and p of PASS: how likely so few, and so many, hits are if the share is the bound."""
    from scipy import special

    share = min(max(bound, 0.0), 1.0)
    few = 1.0 if hits >= n else float(special.bdtr(hits, n, share))
    many = 1.0 if hits <= 0 else float(special.bdtrc(hits - 1, n, share))
    return few, many


def worst_loss(changed: int, n: int, *, cap: float, alpha: float = 0.05) -> float:
    """Return the greatest mean loss that the rows leave possible, however they turn out.

    At the exact upper limit of how many rows differ between two models, every one of them counts fully against the new
    one. It needs no row to decide, and so can prove a change harmless that touches too few rows for any test.

    Args:
        changed: Rows whose score differs.
        n: All rows.
        cap: What one row can lose.
        alpha: How often the limit may be too low.
    """
    return cap * exact_interval(changed, n, alpha=alpha)[1]
