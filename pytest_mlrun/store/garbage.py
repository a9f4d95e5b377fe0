"""Remove what a store no longer needs: replaced segments, series that no segment names, leftovers of the killed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pytest_mlrun.store.files import Steps, remove
from pytest_mlrun.store.layout import list_logs, list_segments, list_series, list_set_aside
from pytest_mlrun.store.quarantine import is_sound
from pytest_mlrun.store.segment import SegmentFacts, read_facts

_WRITTEN_ASIDE: Final = (".seg", ".pts")


def clear(root: Path, *, steps: Steps) -> Mapping[str, SegmentFacts | None]:
    """Remove them. The caller holds the lock of compactions.

    Args:
        root: The store's folder.
        steps: Named instants.

    Returns:
        What each segment that is left says about itself; None where it cannot be opened.

    Raises:
        StoreWriteError: The operating system refused.
    """
    # In the order in which data move, from series and files written aside over logs to segments: what is on its way
    # while these lists are made is in one of them.
    temporary = _list_temporary(root)
    series = list_series(root)
    logs = set(list_logs(root))
    facts = {name: _read_facts(root, name) for name in list_segments(root)}
    replaced = _find_replaced(root, facts)
    for name in sorted(replaced):
        remove(root / "seg" / f"{name}.arrow")
        steps.reach("clear.removed-segment")
    for name in temporary:
        if name.partition(".")[0] not in logs:
            remove(root / "tmp" / name)
            steps.reach("clear.removed-temporary")
    kept = {name: known for name, known in facts.items() if name not in replaced}
    named = {part for known in kept.values() if known is not None for part in known.series}
    unnamed = sorted(set(series) - named - logs - list_set_aside(root))
    # What a damaged segment says of its series may be wrong, and with them its runs would be lost for good.
    if unnamed and all(is_sound(root / "seg" / f"{name}.arrow") for name in kept):
        for part in unnamed:
            remove(root / "pts" / f"{part}.arrow")
            steps.reach("clear.removed-series")
    return kept


def _find_replaced(root: Path, facts: Mapping[str, SegmentFacts | None]) -> set[str]:
    """Find the segments that a sound one replaces: its checksum is computed only if it replaces any that is there."""
    replaced: set[str] = set()
    for name, known in facts.items():
        present = facts.keys() & set(known.replaces if known is not None else ())
        if present and is_sound(root / "seg" / f"{name}.arrow"):
            replaced |= present - {name}
    return replaced


def _read_facts(root: Path, name: str) -> SegmentFacts | None:
    try:
        return read_facts(root / "seg" / f"{name}.arrow")
    except (FileNotFoundError, ValueError):
        return None


def _list_temporary(root: Path) -> list[str]:
    try:
        names = os.listdir(root / "tmp")  # noqa: PTH208 - names are all that is wanted
    except FileNotFoundError:
        return []
    return sorted(name for name in names if name.endswith(_WRITTEN_ASIDE))
