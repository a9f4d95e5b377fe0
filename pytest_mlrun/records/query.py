"""Describe a constraint on runs, as parsed from ``val_precision >= 0.6``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Operator = Literal["==", "!=", "<", "<=", ">", ">="]
FieldKind = Literal["metric", "param", "tag", "attribute"]

STATE: Final = "status or outcome"
"""An attribute that nobody can write in a constraint: equal to both the status, certain or not, and the outcome."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One comparison; a constraint is a tuple of them, all of which must hold.

    A run that lacks the field satisfies no comparison, ``!=`` included, and NaN satisfies none.

    Attributes:
        kind: Where the field lives.
        field: Name of the metric, param or tag, or an attribute such as ``status``.
        operator: As written.
        value: Number, text or truth value to compare with.
    """

    kind: FieldKind
    field: str
    operator: Operator
    value: float | str | bool


@dataclass(frozen=True, slots=True)
class Census:
    """How many runs took part in a ranking, and why the others did not.

    Attributes:
        runs: Of the experiment.
        finished: Of these, those that came to their end.
        able: Of these, those that satisfy the constraint.
        missing: Of these, those without the metric.
        nans: Those whose metric is NaN.
        refused: Those that are ranked and did not pass.
    """

    runs: int = 0
    finished: int = 0
    able: int = 0
    missing: int = 0
    nans: int = 0
    refused: int = 0

    def __add__(self, other: Census) -> Census:
        """Count the runs of two places."""
        return Census(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))
