"""Hold what a gate found: PASS, FAIL or INCONCLUSIVE, with everything that led to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Decision = Literal["PASS", "FAIL", "INCONCLUSIVE"]
GateKind = Literal["floor", "ceiling", "no-regression", "reproduces"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Outcome of one gate on one metric.

    Attributes:
        gate: Kind of gate, such as ``floor``.
        metric: Name of the metric judged.
        decision: ``PASS``, ``FAIL`` or ``INCONCLUSIVE``.
        calibrated: Whether an error rate can be stated; never for a bare number.
        method: How it was decided, such as ``value``.
        claim: What the verdict speaks about: ``this model``, ``this procedure`` or ``new data``.
        estimate: Observed value (floors, ceilings) or difference; may be NaN.
        bound: Floor or ceiling that was asked for.
        low: Lower end of the interval of 1 - 2 alpha: of 90 %, where one looks once.
        high: Its upper end.
        margin: Loss that the gate tolerates.
        alpha: One-sided error rate of each side; of each look, where one looks several times.
        m: Number of primary gates that share alpha.
        p: p-value of the failing side.
        n: Number of rows.
        n_eff: Number of rows that decide the answer.
        mde: Drop that would be caught four times in five.
        at: Which value of a series was read: ``last``, ``best`` or a step.
        require: Policy in force: ``value``, ``evidence`` or ``proof``.
        primary: Whether the gate counts towards ``m``.
        baseline_id: Run id of the baseline.
        baseline_digest: Record digest of the baseline.
        reason: Sentence for a person, such as why NaN satisfies nothing.
    """

    gate: str
    metric: str
    decision: Decision
    calibrated: bool = False
    method: str = "value"
    claim: str = "this model"
    estimate: float | None = None
    bound: float | None = None
    low: float | None = None
    high: float | None = None
    margin: float | None = None
    alpha: float | None = None
    m: int | None = None
    p: float | None = None
    n: int | None = None
    n_eff: float | None = None
    mde: float | None = None
    at: str = "last"
    require: str = "value"
    primary: bool = False
    baseline_id: str | None = None
    baseline_digest: str | None = None
    reason: str = ""

    @property
    def passed(self) -> bool:
        """Whether the decision is PASS."""
        return self.decision == "PASS"

    @property
    def failed(self) -> bool:
        """Whether the decision is FAIL."""
        return self.decision == "FAIL"
