"""Decide by two one-sided tests: proven good, proven bad, or neither."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_mlrun.records.verdict import Decision
from pytest_mlrun.rules.statistics.sample import Sample
from pytest_mlrun.rules.statistics.student import interval, p_values

ALPHA = 0.05
MIN_EFF = {"value": 5.0, "evidence": 5.0, "proof": 10.0}
"""Rows that must decide, at least; below, Student's t errs more often than it says."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a test found.

    Attributes:
        decision: PASS, FAIL or INCONCLUSIVE.
        low: Lower end of the interval of 1 - 2 alpha.
        high: Its upper end.
        p: p-value of the failing side.
        p_pass: p-value of the passing side.
        reason: Why nothing was decided, or why it was without the test.
    """

    decision: Decision
    low: float
    high: float
    p: float
    p_pass: float
    reason: str = ""


def decide(
    sample: Sample,
    bound: float,
    *,
    min_eff: float = 0.0,
    alpha: float = ALPHA,
    m: int = 1,
    fail_alpha: float | None = None,
) -> Finding:
    """Decide whether the truth behind an estimate is above a bound.

    PASS if the lower end of the interval is above it: at most alpha of those truly below pass. FAIL if p is at most
    alpha / m: among m gates at most alpha of the sessions with nothing wrong turn red.

    Args:
        sample: The estimate, turned so that more is better.
        bound: Where bad begins.
        min_eff: Rows that must decide.
        alpha: Error rate of each side.
        m: Gates that share alpha.
        fail_alpha: Level of a FAIL, where that is not alpha / m.
    """
    low, high = interval(sample, alpha=alpha)
    fail_alpha = alpha / m if fail_alpha is None else fail_alpha
    if sample.se == 0.0:
        return _decide_alike(sample, bound, alpha=alpha, fail_alpha=fail_alpha)
    p, p_pass = p_values(sample, bound)
    if sample.n_eff < min_eff:
        return Finding("INCONCLUSIVE", low, high, p, p_pass, _too_few(sample, min_eff))
    if p_pass <= alpha:
        return Finding("PASS", low, high, p, p_pass)
    if p <= fail_alpha:
        return Finding("FAIL", low, high, p, p_pass)
    reason = f"suspicious, and not significant among {m} gates" if p <= alpha else ""
    return Finding("INCONCLUSIVE", low, high, p, p_pass, reason)


def _decide_alike(sample: Sample, bound: float, *, alpha: float, fail_alpha: float) -> Finding:
    """Decide where every row says the same: by a sign test, half to the power of the number of rows."""
    value, chance = sample.estimate, 0.5**sample.n
    if value >= bound and (value == 0.0 or chance <= alpha):
        return Finding("PASS", value, value, 1.0, 0.0 if value == 0.0 else chance)
    if value < bound and chance <= fail_alpha:
        return Finding("FAIL", value, value, chance, 1.0)
    return Finding("INCONCLUSIVE", value, value, 1.0, 1.0, f"only {sample.n} rows")


def _too_few(sample: Sample, min_eff: float) -> str:
    return f"only {sample.n_eff:.1f} rows decide this, {min_eff:g} are needed"
