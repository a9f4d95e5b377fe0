"""Describe a constraint on runs, as parsed from ``val_precision >= 0.6``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Operator = Literal["==", "!=", "<", "<=", ">", ">="]
FieldKind = Literal["metric", "param", "tag", "attribute"]


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
