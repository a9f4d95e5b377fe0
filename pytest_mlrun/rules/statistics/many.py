"""Share one error rate among many gates.

A gate fails at ``alpha / m`` (Bonferroni): each is decided where it stands, so neither workers nor an early stop change
it. Holm's step-down (1979, Scandinavian Journal of Statistics 6, 65-70) is for a summary of all of them.
"""

from __future__ import annotations

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values adjusted for being many, in their order."""
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted
