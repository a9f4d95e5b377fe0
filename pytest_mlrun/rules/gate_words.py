"""Word what a comparison with rows behind it found, in two lines."""

from __future__ import annotations

import math

from pytest_mlrun.records.verdict import Verdict
from pytest_mlrun.rules.statistics.decision import ALPHA

_MOST_DECIMALS = 6
_USUAL_DECIMALS = 4


def comparison_line(verdict: Verdict) -> str:
    """Return the numbers that decide: both values, their difference, its interval, the margin."""
    sides = verdict.reason.partition("; ")[0]
    if verdict.estimate is None:
        return sides
    return f"{sides}, {difference_of(verdict)}"


def difference_of(verdict: Verdict) -> str:
    """Return such as ``diff -0.0009, 90% CI [-0.0041, +0.0023], margin 0.01``; more is better, whatever the metric."""
    decimals = _decimals(verdict)
    shown = f"diff {signed(verdict.estimate or 0.0, decimals)}{interval_of(verdict)}"
    return shown if verdict.margin is None else f"{shown}, margin {verdict.margin:g}"


def interval_of(verdict: Verdict) -> str:
    """Return such as ``, 90% CI [-0.0041, +0.0023]``, or nothing where there is none."""
    if verdict.low is None or verdict.high is None:
        return ""
    decimals = _decimals(verdict)
    if verdict.margin is None:
        return f", {_level(verdict)}% CI [{verdict.low:.{decimals}f}, {verdict.high:.{decimals}f}]"
    return f", {_level(verdict)}% CI [{signed(verdict.low, decimals)}, {signed(verdict.high, decimals)}]"


def _level(verdict: Verdict) -> str:
    return f"{100 * (1 - 2 * (verdict.alpha or ALPHA)):.4g}"


def detail_line(verdict: Verdict) -> str:
    """Return how it was decided and what these rows can show, or why there are no rows to show anything."""
    more = [part for part in verdict.reason.split("; ")[verdict.margin is not None :] if part]
    if verdict.n is None:
        return "; ".join(more)
    deciding = "" if not verdict.n_eff or verdict.n_eff >= verdict.n else f" ({verdict.n_eff:,.0f} decide)"
    parts = [f"{verdict.method}, n={verdict.n:,}{deciding}"]
    if verdict.decision == "FAIL" and verdict.p is not None:
        parts.append(_p(verdict))
    if verdict.mde is not None and verdict.n_eff:
        parts.append(f"drop flagged 4 times in 5: {verdict.mde:.3g}")
    return "; ".join([*parts, *more])


def signed(value: float, decimals: int = _USUAL_DECIMALS) -> str:
    """Return a difference with its sign; that of nothing is none."""
    if not math.isfinite(value):
        return f"{value:+g}"
    text = f"{value:+.{decimals}f}"
    return text[1:] if float(text) == 0 else text


def _p(verdict: Verdict) -> str:
    p, m = verdict.p or 0.0, verdict.m or 1
    # Of several looks the level is smaller than alpha, and the method says it.
    many = "" if m == 1 or verdict.alpha != ALPHA else f", x{m} gates = {min(1.0, p * m):.1g}"
    what = "the bound holds" if verdict.margin is None else "not worse than the margin"
    return f"p({what})={p:.1g}{many}"


def _decimals(verdict: Verdict) -> int:
    """Return how many decimals show two digits of the interval's width."""
    width = (verdict.high or 0.0) - (verdict.low or 0.0) or abs(verdict.estimate or 0.0)
    if not math.isfinite(width) or width <= 0:
        return _USUAL_DECIMALS
    return min(max(1 - math.floor(math.log10(width)), 0), _MOST_DECIMALS)
