"""Decide whether a metric is worse than a baseline's by more than a margin."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, cast, get_args

from pytest_mlrun.errors import MetricError
from pytest_mlrun.records.project import Goal
from pytest_mlrun.records.verdict import Decision, Verdict
from pytest_mlrun.rules.arguments import expect_text, show
from pytest_mlrun.rules.gate_policy import GatePolicy, Require, check_require
from pytest_mlrun.rules.over_folds import NEW_DATA, FoldSizes, over_folds
from pytest_mlrun.rules.over_seeds import ON_THESE_ROWS, OverSeeds, over_seeds_alone, over_seeds_and_rows
from pytest_mlrun.rules.scored_rows import ScoredRows, align, changed_rows, influence_of, ruled_out, same_predictions
from pytest_mlrun.rules.seed_noise import balance, narrow_margin, retraining_sd
from pytest_mlrun.rules.statistics.decision import ALPHA, MIN_EFF, Finding, decide
from pytest_mlrun.rules.statistics.sample import Influence, Sample, difference, oriented, summarise
from pytest_mlrun.rules.statistics.seeds import Variance

if TYPE_CHECKING:
    from pytest_mlrun.rules.statistics.sample import Array
    from pytest_mlrun.rules.statistics.sequential import Looks

Claim = Literal["model", "procedure", "data"]
KIND = "no-regression"
_WRITE = 'mlrun.assert_no_regression("val_log_loss", against="RUN", margin=0.01)'


@dataclass(frozen=True, slots=True)
class NoRegression:
    """A comparison with a baseline that was asked for and is not judged yet.

    Attributes:
        metric: Name of the metric, with its split.
        against: The baseline: a run's name or id, or ``tag:key=value``.
        margin: Drop that is tolerated.
        claim: ``model``, about this model on all such rows; ``procedure``, about trainings like this one; ``data``,
            about trainings like this one on other data of the same kind.
        require: ``value``, ``evidence`` or ``proof``; None for the session's.
        must_detect: Drop that the rows must be able to show; None for the marker's.
        groups: What each row belongs to; None for the groups that ``evaluate`` was given.
        primary: Whether the gate counts towards the number that share alpha.
        variance: Of seeds and rows together: ``conservative``, never too small, or ``exact``.
    """

    metric: str
    against: str
    margin: float
    claim: Claim = "model"
    require: Require | None = None
    must_detect: float | None = None
    groups: Array | None = field(default=None, compare=False)
    primary: bool = False
    variance: Variance = "conservative"

    def __post_init__(self) -> None:
        expect_text(self.metric, what="the metric of a gate", write=_WRITE, error=MetricError)
        expect_text(self.against, what="the baseline of a gate", write=_WRITE, error=MetricError)
        for name, value in (("margin", self.margin), ("must_detect", self.must_detect)):
            if value is not None and not _is_drop(value):
                raise MetricError(
                    f"the {name} of {self.metric!r} must be a number of 0 or more, found {show(value)}",
                    next_step=f"write the drop of {self.metric} that {_MEANT[name]}",
                )
        if self.claim not in get_args(Claim):
            raise MetricError(
                f"claim must be 'model', 'procedure' or 'data', found {show(self.claim)}",
                next_step="write claim='model' for one trained model, 'procedure' for several seeds, 'data' for folds",
            )
        if self.variance not in get_args(Variance):
            raise MetricError(
                f"variance must be 'conservative' or 'exact', found {show(self.variance)}",
                next_step="leave it out: the sum of what seeds and rows vary is then never too small",
            )
        check_require(self.require, gate=f"the no-regression gate on {self.metric}")

    @property
    def speaks_of(self) -> str:
        """What the verdict speaks of."""
        return NEW_DATA if self.claim == "data" else f"this {self.claim}"


_MEANT = {"margin": "does no harm", "must_detect": "the rows must be able to show"}


@dataclass(frozen=True, slots=True)
class Compared:
    """Both sides of a comparison.

    Attributes:
        name: What the baseline is called in a line for people.
        goal: Whether more or less of the metric is better.
        new: Rows of this run, one entry a training; empty where no rows are kept.
        base: Likewise, of the baseline.
        new_value: The metric of this run.
        base_value: The metric of the baseline.
        baseline_id: Run id of the baseline.
        baseline_digest: Digest of its record.
        new_scores: The metric of each training of this run, where several are meant.
        base_scores: Likewise, of the baseline.
        folds: How large the folds are, where the trainings are those of a cross-validation.
        seeds: The metric of trainings of the baseline that differ by their seeds, if any are stored.
    """

    name: str
    goal: Goal
    new: Sequence[ScoredRows]
    base: Sequence[ScoredRows]
    new_value: float
    base_value: float
    baseline_id: str
    baseline_digest: str
    new_scores: Sequence[float] = ()
    base_scores: Sequence[float] = ()
    folds: FoldSizes | None = None
    seeds: Sequence[float] = ()


def judge_no_regression(gate: NoRegression, both: Compared, policy: GatePolicy, looks: Looks | None = None) -> Verdict:
    """Decide on paired rows where both sides have them, else by the scores of several seeds or by bare numbers.

    Args:
        gate: The comparison.
        both: Its sides.
        policy: What the session asks.
        looks: The looks at seeds as they come, of which this is one.

    Raises:
        MetricError: If the rows are not the same on both sides.
    """
    require = policy.require(gate.require, default="evidence")
    looks = looks and looks.shared(policy.looks, m=max(policy.m, 1))
    if not both.new or not both.base:
        if not _have_scores(both) or require == "value":
            return _judge_bare(gate, both, require, policy.drop_to_detect(gate.metric))
        sign = 1 if both.goal == "max" else -1
        new_scores, base_scores = ([sign * one for one in side] for side in (both.new_scores, both.base_scores))
        if both.folds is not None:
            folds = over_folds(new_scores, base_scores, both.folds)
            evidence = _Evidence(*folds, "", require, lone=False, looks=None, claim=NEW_DATA, min_eff=0.0)
            return _conclude(gate, both, policy, evidence)
        alone = over_seeds_alone(new_scores, base_scores)
        lone = len(both.new_scores) == 1
        evidence = _Evidence(*alone, "", require, lone, looks, claim=ON_THESE_ROWS, min_eff=0.0)
        return _conclude(gate, both, policy, evidence)
    names = f"{gate.metric} against {both.name}"
    base = [align(each, both.new[0], names=names) for each in both.base]
    new = [both.new[0], *(align(each, both.new[0], names=names) for each in both.new[1:])]
    groups = _groups_of(gate, new[0])
    weights = ""
    if gate.claim == "procedure":
        sample, method, refusal = _over_seeds(gate, new, base, both.goal, groups)
        weights = _balance_of_seeds(sample)
    elif same_predictions(base[0], new[0]):
        sample, method, refusal = Sample(0.0, 0.0, 0.0, 0.0, len(new[0])), "identical predictions", ""
    else:
        sample, refusal = _over_rows(new[0], base[0], both.goal, groups), ""
        method = _method_of(new[0], sample, groups)
        weights = _balance_of(sample, both.seeds)
    lone = gate.claim == "procedure" and len(new) == 1
    proven = _proven(gate, new, base, groups, alpha=policy.share(ALPHA))
    noise = tuple(part for part in (narrow_margin(gate.margin, both.seeds), weights) if part)
    least = MIN_EFF[require]
    evidence = _Evidence(
        sample, method, refusal, proven, require, lone, looks, gate.speaks_of, least, _unseen(new, base), noise
    )
    return _conclude(gate, both, policy, evidence)


# -- the test ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What the rows say, and how it counts."""

    sample: Sample
    method: str
    refusal: str
    proven: str
    require: Require
    lone: bool
    looks: Looks | None
    claim: str
    min_eff: float
    unseen: Mapping[Decision, str] = field(default_factory=dict)
    noise: tuple[str, ...] = ()

    @property
    def how(self) -> str:
        """How it was decided, in words."""
        return self.method if self.looks is None else f"{self.method}, {self.looks}"

    def levels(self, policy: GatePolicy) -> tuple[float, float]:
        """Return the one-sided levels of PASS and of FAIL."""
        alpha = policy.share(ALPHA)
        return (alpha, alpha / max(policy.m, 1)) if self.looks is None else (self.looks.level, self.looks.fail_level)


def _over_rows(new: ScoredRows, base: ScoredRows, goal: Goal, groups: Array | None) -> Sample:
    return summarise(difference(_influence(new, goal, groups), _influence(base, goal, groups)), groups=groups)


def _over_seeds(
    gate: NoRegression, new: Sequence[ScoredRows], base: Sequence[ScoredRows], goal: Goal, groups: Array | None
) -> OverSeeds:
    arms = [[_influence(each, goal, groups) for each in arm] for arm in (new, base)]
    return over_seeds_and_rows(*arms, groups=groups, variance=gate.variance)


def _balance_of(sample: Sample, stored: Sequence[float]) -> str:
    sd = retraining_sd(stored)
    return "" if sd is None else balance(sample.n, sample.se**2, sd**2)


def _balance_of_seeds(sample: Sample) -> str:
    share = sample.row_share
    return "" if share is None else balance(sample.n, sample.se**2 * share, sample.se**2 * (1 - share))


def _have_scores(both: Compared) -> bool:
    scores = [*both.new_scores, *both.base_scores]
    return bool(both.new_scores and both.base_scores) and all(math.isfinite(score) for score in scores)


def _influence(rows: ScoredRows, goal: Goal, groups: Array | None) -> Influence:
    found = influence_of(rows, groups=groups)
    if found is None:
        raise MetricError(f"{rows.metric} has no influence values", next_step="gate on another metric")
    return oriented(found, sign=1 if goal == "max" else -1)


def _proven(
    gate: NoRegression, new: Sequence[ScoredRows], base: Sequence[ScoredRows], groups: Array | None, *, alpha: float
) -> str:
    """Return why even the worst case fits the margin, or nothing."""
    from pytest_mlrun.rules.statistics.binomial import worst_loss

    changed = changed_rows(base[0], new[0]) if gate.claim == "model" and groups is None else None
    if changed is None:
        return ""
    worst = worst_loss(changed[0], len(new[0]), cap=changed[1], alpha=alpha)
    return f"{changed[0]} rows differ, at worst a drop of {worst:.3g}" if worst < gate.margin else ""


def _unseen(new: Sequence[ScoredRows], base: Sequence[ScoredRows]) -> dict[Decision, str]:
    """Return which decision the rows cannot carry, and why: a loss that they may not have shown yet would undo it."""
    pairs = [ruled_out(base[place % len(base)], each) for place, each in enumerate(new)]
    found: dict[Decision, str] = {}
    for place, (decision, side) in enumerate((("PASS", "the new model"), ("FAIL", "the baseline"))):
        count = max(pair[place] for pair in pairs)
        if count:
            said = (
                f"{side} calls a class impossible in {count:,} rows, and what one error there costs may not be seen yet"
            )
            found[cast("Decision", decision)] = f"{said}: clip the probabilities, or gate on brier"
    return found


def _conclude(gate: NoRegression, both: Compared, policy: GatePolicy, evidence: _Evidence) -> Verdict:
    sample, m = evidence.sample, max(policy.m, 1)
    level, fail_level = evidence.levels(policy)
    mde = _detectable(evidence, gate.margin, fail_level)
    wanted = gate.must_detect if gate.must_detect is not None else policy.drop_to_detect(gate.metric)
    verdict = Verdict(
        gate=KIND,
        metric=gate.metric,
        decision="FAIL",
        calibrated=evidence.require != "value",
        method=evidence.how,
        claim=evidence.claim,
        margin=float(gate.margin),
        alpha=level,
        m=m,
        n=sample.n,
        n_eff=sample.n_eff,
        mde=mde if math.isfinite(mde) else None,
        require=evidence.require,
        primary=gate.primary,
        baseline_id=both.baseline_id,
        baseline_digest=both.baseline_digest,
    )
    if wanted is not None and mde > wanted:
        # Before anybody looks: rows that could not have shown the drop are no reason to pass.
        return replace(verdict, reason=_blind(wanted, mde, sample))
    found = _find(gate, evidence, level, fail_level, m)
    low, high, p = (None, None, None) if evidence.refusal else (found.low, found.high, found.p)
    told = "; ".join([_told(both, found, sample, gate), *evidence.noise])
    return replace(verdict, decision=found.decision, estimate=sample.estimate, low=low, high=high, p=p, reason=told)


def _find(gate: NoRegression, evidence: _Evidence, level: float, fail_level: float, m: int) -> Finding:
    sample = evidence.sample
    if evidence.refusal:
        found = Finding("INCONCLUSIVE", -math.inf, math.inf, 1.0, 1.0, evidence.refusal)
    else:
        found = decide(sample, -gate.margin, min_eff=evidence.min_eff, alpha=level, m=m, fail_alpha=fail_level)
    if evidence.require == "value":
        return replace(found, decision="PASS" if sample.estimate >= -gate.margin else "FAIL", reason="")
    if found.decision == "INCONCLUSIVE" and evidence.proven:
        return replace(found, decision="PASS", reason=evidence.proven)
    if found.decision in evidence.unseen:
        return replace(found, decision="INCONCLUSIVE", reason=evidence.unseen[found.decision])
    if found.decision == "FAIL" and evidence.lone:
        # The spread of the new seeds is then only assumed to be that of the stored ones.
        return replace(found, decision="INCONCLUSIVE", reason="one new seed cannot fail a procedure: train a second")
    return found


def _detectable(evidence: _Evidence, margin: float, fail_level: float) -> float:
    from pytest_mlrun.rules.statistics.power import detectable

    if evidence.refusal:
        return math.inf
    return detectable(evidence.sample, margin=margin, alpha=fail_level) if evidence.sample.se else -math.inf


def _judge_bare(gate: NoRegression, both: Compared, require: Require, wanted: float | None) -> Verdict:
    """Compare two numbers, of which nobody can say how far chance moves them."""
    sign = 1 if both.goal == "max" else -1
    estimate = sign * (both.new_value - both.base_value)
    by_value: Decision = "PASS" if estimate >= -gate.margin else "FAIL"
    decided = require == "value" or math.isnan(estimate)
    told = f"{_sides(both)}; no rows are kept of {'this run' if not both.new else both.name}"
    wanted = gate.must_detect if gate.must_detect is not None else wanted
    blind = wanted is not None and require != "value"
    if wanted is not None and blind:
        told = f"underpowered: it must detect a drop of {wanted:g}, and no rows are kept that could show one"
    return Verdict(
        gate=KIND,
        metric=gate.metric,
        decision="FAIL" if blind else by_value if decided else "INCONCLUSIVE",
        claim=gate.speaks_of,
        estimate=None if blind else estimate,
        margin=float(gate.margin),
        require=require,
        primary=gate.primary,
        baseline_id=both.baseline_id,
        baseline_digest=both.baseline_digest,
        reason=told,
    )


# -- words -------------------------------------------------------------------------------------------------------------


def _sides(both: Compared) -> str:
    return f"new {both.new_value:.4g} vs {both.base_value:.4g} of {both.name}"


def _told(both: Compared, found: Finding, sample: Sample, gate: NoRegression) -> str:
    from pytest_mlrun.rules.statistics.power import rows_needed

    parts = [_sides(both)]
    if found.reason:
        parts.append(found.reason)
    if found.decision == "INCONCLUSIVE" and math.isfinite(sample.se):
        needed = rows_needed(sample, distance=gate.margin)
        if needed is not None and needed > sample.n and gate.claim == "model":
            parts.append(f"about {needed:,} rows (here {sample.n:,}) would prove an equal model equal 4 times in 5")
    return "; ".join(parts)


def _blind(wanted: float, mde: float, sample: Sample) -> str:
    shown = f"only one of {mde:.3g}" if math.isfinite(mde) else "none that can be stated"
    return f"underpowered: it must detect a drop of {wanted:g}, and {sample.n:,} rows show {shown} 4 times in 5"


def _method_of(rows: ScoredRows, sample: Sample, groups: Array | None) -> str:
    name = "DeLong" if rows.metric == "roc_auc" and groups is None else "influence t"
    name = name if sample.df is None else "jackknife t"
    return f"paired {'groups' if groups is not None else 'rows'}, {name}"


def _groups_of(gate: NoRegression, rows: ScoredRows) -> Array | None:
    import numpy as np

    if gate.groups is None:
        return rows.groups
    groups = np.asarray(gate.groups)
    if groups.shape != (len(rows),):
        raise MetricError(
            f"groups has shape {groups.shape}, and {len(rows)} rows were evaluated",
            where=f"the no-regression gate on {gate.metric}",
            next_step="pass one entry a row, in the order of evaluate",
        )
    return groups


def _is_drop(value: object) -> bool:
    if isinstance(value, bool | str):
        return False
    try:
        return 0 <= float(value) < math.inf  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return False
