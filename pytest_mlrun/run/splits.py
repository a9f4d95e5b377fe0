"""Record which rows each split holds, and refuse a row in two of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pytest_mlrun.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from pytest_mlrun.recorder.recording import Recording

_NAMED_ROWS = 5


def add_splits(recording: Recording, rows: Mapping[str, ArrayLike]) -> None:
    """Write count and digest of each split into the record.

    The digest is SHA-256 over the sorted ids, each as JSON text and a line feed.

    Raises:
        DataError: If a row is in two splits, or twice in one.
    """
    import numpy as np

    seen: dict[str, str] = {}
    facts: dict[str, object] = {}
    for split, ids in rows.items():
        texts = [json.dumps(identity, default=str) for identity in np.asarray(ids).ravel().tolist()]
        twice = sorted(_twice(texts) | {text for text in texts if text in seen})
        if twice:
            _refuse(recording, split, twice, seen)
        seen.update(dict.fromkeys(texts, split))
        digest = hashlib.sha256("".join(f"{text}\n" for text in sorted(texts)).encode()).hexdigest()
        facts |= {f"split.{split}.rows": len(texts), f"split.{split}.digest": f"sha256:{digest}"}
    recording.write_context(facts)


def _twice(texts: list[str]) -> set[str]:
    unique: set[str] = set()
    return {text for text in texts if text in unique or unique.add(text)}  # type: ignore[func-returns-value]


def _refuse(recording: Recording, split: str, twice: list[str], seen: Mapping[str, str]) -> None:
    other = seen.get(twice[0], split)
    found = f"twice in {split!r}" if other == split else f"in both {other!r} and {split!r}"
    shown = ", ".join(twice[:_NAMED_ROWS]) + (", …" if len(twice) > _NAMED_ROWS else "")
    raise DataError(
        f"splits overlap: {len(twice)} rows are {found}",
        details=(f"rows: {shown}",),
        where=f"log_split of run {recording.plan.name}",
        next_step="split by the identity of the rows, so that none is used to fit and to judge",
    )
