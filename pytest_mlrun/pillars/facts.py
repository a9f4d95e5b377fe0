"""Write the facts of the pillars in the one form that a run's context keeps."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping


def json_text(value: object) -> str:
    """Return the canonical JSON text of a value: equal values give equal texts.

    Raises:
        ValueError: If the value holds NaN or an infinity.
        TypeError: If the value holds something that JSON cannot say.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def context_of(facts: Mapping[str, object]) -> dict[str, str]:
    """Return context keys with their values as JSON texts."""
    return {key: json_text(value) for key, value in facts.items()}


def digest_of(content: bytes) -> str:
    """Return ``sha256:<hex>`` of the bytes."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
