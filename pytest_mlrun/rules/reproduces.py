"""Decide whether a run's metrics are those of a recorded run: bit by bit, within a tolerance, or equivalent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from pytest_mlrun.errors import MetricError
from pytest_mlrun.records.reproduction import MetricComparison, Tolerance
from pytest_mlrun.records.verdict import Decision, Verdict
from pytest_mlrun.rules.arguments import expect_text, show
from pytest_mlrun.rules.scored_rows import ScoredRows, align, influence_of, same_predictions
from pytest_mlrun.rules.statistics.sample import Sample, difference, summarise
from pytest_mlrun.rules.suggest import did_you_mean
from pytest_mlrun.rules.tolerances import Tolerances

Tier = Literal["bitwise", "close", "equivalent"]
TIERS: tuple[Tier, ...] = get_args(Tier)
KIND = "reproduces"
ALPHA = 0.05
_MIN_DECIDING = 10
_WRITE = 'mlrun.assert_reproduces("churn@production", tier="close")'
_GIVEN = "assert_reproduces"


@dataclass(frozen=True, slots=True)
class Reproduces:
    """A comparison with a recorded run that was asked for and is not judged yet.

    Attributes:
        against: The recorded run: a model version, an exported file, a run's name or id, or ``tag:key=value``.
        tier: ``bitwise``, every bit; ``close``, within the tolerance of one environment; ``equivalent``, proven to
            differ by less than the margin.
        rtol: Largest difference as a part of the recorded number; None for that of the environments' distance.
        atol: Largest difference whatever the number; likewise.
        metrics: Names of the metrics; empty for all that the recorded run has.
        margin: Difference that does no harm, where equivalence is to be proven.
    """

    against: str
    tier: Tier = "close"
    rtol: float | None = None
    atol: float | None = None
    metrics: tuple[str, ...] = ()
    margin: float | None = None

    def __post_init__(self) -> None:
        expect_text(self.against, what="the recorded run of a gate", write=_WRITE, error=MetricError)
        given: object = self.tier
        if given not in TIERS:
            hint = did_you_mean(given, TIERS) if isinstance(given, str) else ""
            raise MetricError(
                f"tier must be 'bitwise', 'close' or 'equivalent', found {show(given)}{hint}",
                next_step=f"write {_WRITE}",
            )
        for name in ("rtol", "atol", "margin"):
            value = getattr(self, name)
            if value is not None and not _is_amount(value):
                raise MetricError(
                    f"{name} must be a number of 0 or more, found {show(value)}", next_step=f"write {name}=1e-6"
                )
        self._refuse_mixed()

    def _refuse_mixed(self) -> None:
        tolerant = self.rtol is not None or self.atol is not None
        if tolerant and self.tier != "close":
            raise MetricError(
                f"rtol and atol say nothing to tier={self.tier!r}", next_step='leave them out, or write tier="close"'
            )
        if (self.margin is None) == (self.tier == "equivalent"):
            raise MetricError(
                f"tier={self.tier!r} {'needs' if self.margin is None else 'takes no'} margin",
                next_step='write tier="equivalent", margin=0.01: the difference that does no harm',
            )

    def tolerance(self) -> Tolerance | None:
        """Return the tolerance that was written, if any."""
        if self.tier == "bitwise":
            return Tolerance(0.0, 0.0, _GIVEN)
        if self.rtol is None and self.atol is None:
            return None
        return Tolerance(self.rtol or 0.0, self.atol or 0.0, _GIVEN)


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """The recorded run that a gate compares with.

    Attributes:
        name: What it is called in a line for people.
        run_id: Its id.
        digest: Digest of its record.
    """

    name: str
    run_id: str
    digest: str


def judge_values(
    gate: Reproduces, metrics: Sequence[MetricComparison], tolerances: Tolerances, recorded: RecordedRun
) -> Verdict:
    """Decide by the numbers: all of them must hold, and the one that is farthest off is named."""
    allowed = {"exact"} if gate.tier == "bitwise" else {"exact", "close"}
    if gate.tolerance() is not None and gate.tier == "close":
        # Whoever writes a tolerance answers for it, also where the environments are not one.
        allowed |= {"consistent"}
    broken = [metric for metric in metrics if metric.status not in allowed]
    worst = max(broken or metrics, key=_excess)
    unproven = bool(broken) and all(metric.status == "consistent" for metric in broken)
    decision: Decision = "INCONCLUSIVE" if unproven else "FAIL" if broken else "PASS"
    return Verdict(
        gate=KIND,
        metric=worst.name,
        decision=decision,
        method=f"{gate.tier}, {tolerances.level}",
        estimate=worst.replayed,
        bound=worst.recorded,
        margin=worst.allowed,
        require="proof",
        baseline_id=recorded.run_id,
        baseline_digest=recorded.digest,
        reason=_word(gate, worst, len(metrics), recorded, decision),
    )


def judge_equivalence(
    gate: Reproduces, metric: str, rows: tuple[ScoredRows, ScoredRows], recorded: RecordedRun
) -> Verdict:
    """Decide by the rows of both runs: PASS only where they are proven to differ by less than the margin.

    Args:
        gate: What was asked.
        metric: Name of the metric.
        rows: Of the recorded run, and of this one.
        recorded: The recorded run.

    Raises:
        MetricError: If the rows are not the same on both sides.
    """
    from pytest_mlrun.rules.statistics.equivalence import equivalence_p
    from pytest_mlrun.rules.statistics.student import interval

    base, new = align(rows[0], rows[1], names=f"{metric} against {recorded.name}"), rows[1]
    margin = gate.margin or 0.0
    sample = Sample(0.0, 0.0, 0.0, 0.0, len(new)) if same_predictions(base, new) else _difference(new, base)
    identical = sample.se == 0.0 and sample.estimate == 0.0
    p = 0.0 if identical else equivalence_p(sample, margin=margin)
    low, high = (0.0, 0.0) if identical else interval(sample, alpha=ALPHA)
    outside = low > margin or high < -margin
    enough = identical or sample.n_eff >= _MIN_DECIDING
    decision: Decision = "PASS" if p <= ALPHA and enough else "FAIL" if outside and enough else "INCONCLUSIVE"
    said = {"PASS": "proven within", "FAIL": "proven beyond", "INCONCLUSIVE": "not proven within"}[decision]
    found = f"differs by {sample.estimate:.3g}, 90% CI [{low:.3g}, {high:.3g}]"
    return Verdict(
        gate=KIND,
        metric=metric,
        decision=decision,
        calibrated=True,
        method="identical predictions" if identical else "paired rows, two one-sided tests",
        estimate=sample.estimate,
        low=low,
        high=high,
        margin=margin,
        alpha=ALPHA,
        p=p,
        n=len(new),
        n_eff=sample.n_eff,
        require="proof",
        baseline_id=recorded.run_id,
        baseline_digest=recorded.digest,
        reason=f"{found}, {said} {margin:g} of {recorded.name}",
    )


def _difference(new: ScoredRows, base: ScoredRows) -> Sample:
    moved = [influence_of(each, groups=new.groups) for each in (new, base)]
    if moved[0] is None or moved[1] is None:
        raise MetricError(f"{new.metric} has no influence values", next_step="gate on another metric")
    return summarise(difference(moved[0], moved[1]), groups=new.groups)


def _excess(metric: MetricComparison) -> float:
    """Return how far a metric lies from what is allowed, for its tolerance; those that are missing come first."""
    if metric.difference is None:
        return 0.0 if metric.status == "exact" else math.inf
    return metric.difference / metric.allowed if metric.allowed else metric.difference


def _word(gate: Reproduces, worst: MetricComparison, count: int, recorded: RecordedRun, decision: Decision) -> str:
    others = f" (farthest of {count} metrics)" if count > 1 else ""
    if worst.replayed is None:
        return f"was never logged, and was {worst.recorded!r} in {recorded.name}"
    if worst.recorded is None:
        return f"is {worst.replayed!r}, and {recorded.name} never logged it"
    if worst.status == "exact":
        return f"{worst.replayed!r} has the bits of {recorded.name}{others}"
    allowed = f"{worst.flips} rows changed, {worst.source}" if worst.allowed is None else f"allowed {worst.allowed:.3g}"
    if gate.tier == "bitwise":
        allowed = "every bit asked"
    off = "" if worst.difference is None else f", off by {worst.difference:.3g}"
    more = "; the environments differ too far to tell" if decision == "INCONCLUSIVE" else ""
    return f"is {worst.replayed!r}, was {worst.recorded!r} in {recorded.name}{off}, {allowed}{others}{more}"


def _is_amount(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf
