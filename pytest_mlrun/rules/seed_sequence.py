"""Hold what is known of a gate while seeds are trained until it is decided."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_mlrun.records.verdict import Verdict
    from pytest_mlrun.rules.gates import Gate
    from pytest_mlrun.rules.no_regression import NoRegression
    from pytest_mlrun.rules.statistics.sequential import Looks


@dataclass(slots=True)
class SeedSequence:
    """The seeds that a run trains until a gate is decided.

    Attributes:
        gate: The gate.
        looks: When one looks at it, and at which levels.
        verdict: What the last look found; None before the first.
        decided: Whether nothing is left to train.
    """

    gate: Gate | NoRegression
    looks: Looks
    verdict: Verdict | None = None
    decided: bool = False

    def look(self, verdict: Verdict, *, last: bool) -> None:
        """Take what one look found, and stop at the first decision."""
        # Too few rows and seeds to show the drop that must be seen are no finding while more seeds are to come.
        early = not last and (verdict.decision == "INCONCLUSIVE" or verdict.reason.startswith("underpowered"))
        self.decided = not early
        self.verdict = replace(verdict, decision="INCONCLUSIVE") if early else verdict
