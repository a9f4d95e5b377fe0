"""Judge a floor or ceiling with the rows behind the value: its interval, and proof where that is asked for."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_mlrun.rules.gate_policy import GatePolicy
from pytest_mlrun.rules.metric_names import parse_metric
from pytest_mlrun.rules.scored_rows import ScoredRows, influence_of
from pytest_mlrun.rules.statistics.decision import ALPHA, MIN_EFF, Finding, decide
from pytest_mlrun.rules.statistics.sample import Sample, oriented, summarise

if TYPE_CHECKING:
    from pytest_mlrun.records.verdict import Decision, Verdict
    from pytest_mlrun.rules.gates import Gate


def judge_bound(gate: Gate, value: float, rows: ScoredRows | None, policy: GatePolicy) -> Verdict:
    """Decide by the observed value, by evidence or by proof, as the gate and the session demand.

    Args:
        gate: The floor or ceiling.
        value: The observed value.
        rows: Rows that the value was computed on, where they are kept.
        policy: What the session asks.

    Raises:
        MetricError: If the value is not a number, or the metric is undefined on the rows.
    """
    require = policy.require(gate.require, default="value")
    verdict = replace(gate.judge(value), require=require)
    if verdict.estimate is None or not math.isfinite(verdict.estimate):
        return verdict
    # By value alone an interval is only shown: computing a metric 50 times over would cost more than it tells.
    influence = None if rows is None else influence_of(rows, groups=rows.groups, closed=require == "value")
    if rows is None or influence is None:
        return verdict if require == "value" else replace(verdict, decision="INCONCLUSIVE", reason=_NO_ROWS)
    sign = 1 if gate.kind == "floor" else -1
    sample = summarise(oriented(influence, sign=sign), groups=rows.groups)
    m, alpha = max(policy.m, 1), policy.share(ALPHA)
    if parse_metric(rows.metric).base == "accuracy" and rows.groups is None:
        found, method = _find_exactly(sample, float(gate.bound), sign=sign, alpha=alpha, m=m), "rows, exact binomial"
    else:
        if require == "value" and sample.n_eff < MIN_EFF[require]:
            # Where a handful of rows decide, an interval would promise what it cannot keep.
            return verdict
        found = decide(sample, sign * float(gate.bound), min_eff=MIN_EFF[require], alpha=alpha, m=m)
        method = f"{'rows' if rows.groups is None else 'groups'}, {'influence' if sample.df is None else 'jackknife'} t"
    low, high = sorted((sign * found.low, sign * found.high))
    verdict = replace(verdict, low=low, high=high, alpha=alpha, n=sample.n, n_eff=sample.n_eff)
    if require == "value":
        return verdict
    return replace(
        verdict,
        decision=found.decision,
        calibrated=True,
        method=method,
        m=m,
        p=found.p,
        mde=_detectable(sample, alpha / m),
        # How far the value is from the bound is more than a look at held-out rows may tell.
        reason=found.reason or (_need(sample, verdict.bound, found) if policy.looks == 1 else ""),
    )


_NO_ROWS = "no rows are behind it: log it with mlrun.evaluate"


def _find_exactly(sample: Sample, bound: float, *, sign: int, alpha: float, m: int) -> Finding:
    """Decide about a share of rows: exact for any number of them, so that none is too few."""
    from pytest_mlrun.rules.statistics.binomial import exact_interval, exact_p_values

    hits = round(sign * sample.estimate * sample.n)
    ends = exact_interval(hits, sample.n, alpha=alpha)
    few, many = exact_p_values(hits, sample.n, bound)
    p, p_pass = (few, many) if sign > 0 else (many, few)
    low, high = sorted(sign * end for end in ends)
    decision: Decision = "PASS" if p_pass <= alpha else "FAIL" if p <= alpha / m else "INCONCLUSIVE"
    return Finding(decision, low, high, p, p_pass)


def _detectable(sample: Sample, alpha: float) -> float | None:
    from pytest_mlrun.rules.statistics.power import detectable

    return detectable(sample, margin=0.0, alpha=alpha) if sample.se else None


def _need(sample: Sample, bound: float | None, found: Finding) -> str:
    from pytest_mlrun.rules.statistics.power import rows_needed

    if found.decision != "INCONCLUSIVE" or bound is None:
        return ""
    needed = rows_needed(sample, distance=abs(abs(sample.estimate) - abs(bound)))
    if needed is None:
        return ""
    return f"about {needed:,} rows (here {sample.n:,}) would decide 4 times in 5 if the truth is the value"
