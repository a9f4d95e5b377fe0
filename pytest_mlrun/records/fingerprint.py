"""Describe the fingerprint of arrays, and the marks that a run leaves on its way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

ROLE: Final = "fingerprints"
"""Role of the artifacts that hold the marks of a run."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What is kept of arrays.

    Attributes:
        digest: ``sha256:<hex>`` over every array's name, type, shape and bytes.
        count: How many numbers there were.
        not_finite: How many of them were NaN or infinite; the sketch counts those as 0.
        sketch: Sums of the numbers under random signs, one a bucket.
    """

    digest: str
    count: int = 0
    not_finite: int = 0
    sketch: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Mark:
    """One fingerprint at one step, or the state of one random generator there.

    Attributes:
        step: The step.
        kind: ``array`` or ``generator``.
        channel: What it is of, such as ``weights`` or ``numpy``.
        found: The fingerprint; of a generator the digest only.
    """

    step: int
    kind: str
    channel: str
    found: Fingerprint
