"""Measure models the same way in every team."""

from __future__ import annotations

import numpy as np


def population_stability(expected: np.ndarray, actual: np.ndarray, bins: int = 5) -> float:
    """How far two samples of scores lie apart; under 0.1 nobody worries."""
    edges = np.quantile(expected, np.linspace(0, 1, bins + 1)[1:-1])
    share = [
        np.bincount(np.digitize(sample, edges), minlength=bins) / len(sample) + 1e-4
        for sample in (expected, actual)
    ]
    return float(np.sum((share[1] - share[0]) * np.log(share[1] / share[0])))
