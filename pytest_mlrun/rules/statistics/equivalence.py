"""Prove that two models are alike within a margin: two one-sided tests (Schuirmann, 1987).

Both must reject at alpha, which is to say that the interval of 1 - 2 alpha lies inside the margin.
"""

from __future__ import annotations

from pytest_mlrun.rules.statistics.sample import Sample
from pytest_mlrun.rules.statistics.student import p_values


def equivalence_p(sample: Sample, *, margin: float) -> float:
    """Return the p-value of "they differ by the margin or more": the greater of the two one-sided ones."""
    return max(p_values(sample, -margin)[1], p_values(sample, margin)[0])
