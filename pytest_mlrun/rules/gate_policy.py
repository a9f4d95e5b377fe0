"""Say what a gate demands: that the value holds, that nothing proves it broken, or proof that it holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pytest_mlrun.errors import MetricError
from pytest_mlrun.rules.arguments import show
from pytest_mlrun.rules.suggest import did_you_mean

Require = Literal["value", "evidence", "proof"]
REQUIREMENTS = ("value", "evidence", "proof")


@dataclass(frozen=True, slots=True)
class GatePolicy:
    """What a session asks of all gates.

    Attributes:
        release: Whether every gate must be proven that is not written ``require="value"``.
        strict: Whether INCONCLUSIVE fails, so that evidence is not enough.
        m: Number of primary gates, which share alpha.
        must_detect: Drop that a gate must be able to see, for all metrics or by metric.
        looks: How many looks at the rows share alpha: more than one if they are held out.
        update: Whether runs become the committed baselines of their gates, instead of being compared with them.
    """

    release: bool = False
    strict: bool = False
    m: int = 1
    must_detect: float | Mapping[str, float] | None = None
    looks: int = 1
    update: bool = False

    def require(self, written: Require | None, *, default: Require) -> Require:
        """Return what a gate demands.

        Args:
            written: What the gate says, if anything.
            default: What it means by saying nothing.
        """
        if written == "value":
            return written
        if self.release:
            return "proof"
        chosen = written or default
        return "proof" if self.strict and chosen == "evidence" else chosen

    def share(self, alpha: float) -> float:
        """Return what one look may spend of an error rate."""
        return alpha / max(self.looks, 1)

    def drop_to_detect(self, metric: str) -> float | None:
        """Return the drop of a metric that a gate must be able to see, if one is asked for."""
        return self.must_detect.get(metric) if isinstance(self.must_detect, Mapping) else self.must_detect


def check_require(require: object, *, gate: str) -> None:
    """Refuse an unknown requirement.

    Raises:
        MetricError: If it is none of the three.
    """
    if require is not None and require not in REQUIREMENTS:
        hint = did_you_mean(require, REQUIREMENTS) if isinstance(require, str) else ""
        raise MetricError(
            f"require must be 'value', 'evidence' or 'proof', found {show(require)}{hint}",
            where=gate,
            next_step='write require="evidence", which fails only what is proven broken',
        )
