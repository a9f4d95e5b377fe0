"""Score a campaign the way marketing does."""

from __future__ import annotations

import numpy as np


def lift_at(share: float, y: np.ndarray, score: np.ndarray) -> float:
    """How many times the average churn rate is found among the highest scores."""
    count = max(1, int(len(y) * share))
    top = np.argsort(-score, kind="stable")[:count]
    return float(y[top].mean() / y.mean())
