"""Judge whether the mean over trainings under several seeds meets a floor or ceiling."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pytest_mlrun.errors import MetricError
from pytest_mlrun.rules.gate_policy import GatePolicy, Require
from pytest_mlrun.rules.over_seeds import ON_THESE_ROWS
from pytest_mlrun.rules.scored_rows import ScoredRows, align, influence_of
from pytest_mlrun.rules.statistics.decision import MIN_EFF, Finding, decide
from pytest_mlrun.rules.statistics.sample import Sample, oriented

if TYPE_CHECKING:
    from pytest_mlrun.records.verdict import Verdict
    from pytest_mlrun.rules.gates import Gate
    from pytest_mlrun.rules.statistics.sequential import Looks

_ALIKE: Final = "every seed scored the same, so seeds say nothing of chance"


def require_of(gate: Gate, policy: GatePolicy) -> Require:
    """Return what a floor or ceiling demands of several seeds: evidence, where it says nothing.

    Raises:
        MetricError: If it is decided by the value, which the first seed has.
    """
    require = policy.require(gate.require, default="evidence")
    if require == "value" or gate.at != "last":
        raise MetricError(
            f"the {gate.kind} of {gate.metric!r} is decided by one value, so one training is enough",
            where="mlrun.seeds(until=…)",
            next_step='write require="evidence" or "proof", and leave out at=; or mlrun.seeds(3)',
        )
    return require


def judge_seed_bound(
    gate: Gate, scores: Sequence[float], rows: Sequence[ScoredRows], policy: GatePolicy, looks: Looks
) -> Verdict:
    """Decide about the mean of several trainings, with the rows behind them where those are kept.

    Args:
        gate: The floor or ceiling.
        scores: The metric of each training.
        rows: Rows of each training; empty where they are not kept.
        policy: What the session asks.
        looks: The looks at seeds as they come, of which this is one.

    Raises:
        MetricError: If the trainings were evaluated on different rows.
    """
    require, sign = require_of(gate, policy), 1 if gate.kind == "floor" else -1
    verdict = replace(gate.judge(sum(scores) / len(scores)), require=require, claim="this procedure")
    if verdict.estimate is None or not math.isfinite(verdict.estimate):
        return verdict
    looks = looks.shared(policy.looks, m=max(policy.m, 1))
    sample, method, min_eff = _summarise(gate, scores, rows, sign, require)
    if not rows:
        verdict = replace(verdict, claim=ON_THESE_ROWS)
    bound = sign * float(gate.bound)
    found = (
        Finding("INCONCLUSIVE", -math.inf, math.inf, 1.0, 1.0, _ALIKE)
        if sample.se == 0.0
        else decide(sample, bound, min_eff=min_eff, alpha=looks.level, fail_alpha=looks.fail_level, m=max(policy.m, 1))
    )
    low, high = sorted((sign * found.low, sign * found.high))
    return replace(
        verdict,
        decision=found.decision,
        calibrated=True,
        method=f"{method}, {looks}",
        low=low if math.isfinite(low) else None,
        high=high if math.isfinite(high) else None,
        alpha=looks.level,
        m=max(policy.m, 1),
        p=found.p,
        n=sample.n,
        n_eff=sample.n_eff,
        mde=_detectable(sample, looks),
        reason=found.reason,
    )


def _summarise(
    gate: Gate, scores: Sequence[float], rows: Sequence[ScoredRows], sign: int, require: Require
) -> tuple[Sample, str, float]:
    import numpy as np

    from pytest_mlrun.rules.statistics.seeds import one_way, paired_seeds

    if not rows:
        return paired_seeds(sign * np.array(scores)), f"{len(scores)} seeds, scores alone", 0.0
    names = f"{gate.metric} of seeds 1 and {len(rows)}"
    same = [rows[0], *(align(each, rows[0], names=names) for each in rows[1:])]
    influences = [influence_of(each, groups=each.groups) for each in same]
    arm = [oriented(one, sign=sign) for one in influences if one is not None]
    return one_way(arm, groups=rows[0].groups), f"{len(arm)} seeds, rows and seeds", MIN_EFF[require]


def _detectable(sample: Sample, looks: Looks) -> float | None:
    from pytest_mlrun.rules.statistics.power import detectable

    return detectable(sample, margin=0.0, alpha=looks.fail_level) if sample.se else None
