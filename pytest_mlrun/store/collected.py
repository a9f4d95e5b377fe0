"""Read which objects of a store were collected, as its tombstones say."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pytest_mlrun.store.files import read_bytes

_NAME: Final = re.compile(r"[0-9a-f-]{36}\.json")
_RESTORED: Final = "restored"


@dataclass(frozen=True, slots=True)
class Collected:
    """The tombstones of a store.

    Attributes:
        files: Name of each file in ``tombstones/`` to its bytes.
        named: Name of each file to the digests it names.
        digests: Objects that were collected, and not stored again since.
    """

    files: Mapping[str, bytes] = field(default_factory=dict)
    named: Mapping[str, frozenset[str]] = field(default_factory=dict)
    digests: frozenset[str] = frozenset()


def read_collected(root: Path) -> Collected:
    """Read the tombstones of a store.

    Args:
        root: The store's folder.

    Returns:
        Those that can be read; what another says is not known.
    """
    files: dict[str, bytes] = {}
    named: dict[str, frozenset[str]] = {}
    events: list[tuple[int, str, dict[str, str]]] = []
    for name in _names(root / "tombstones"):
        try:
            content = read_bytes(root / "tombstones" / name)
            facts = json.loads(content)
            objects = {str(digest): str(rule) for digest, rule in facts["objects"].items()}
            events.append((int(facts["time_us"]), name, objects))
        except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue
        files[name], named[name] = content, frozenset(objects)
    last: dict[str, str] = {}
    for _, _, objects in sorted(events, key=lambda event: event[:2]):
        last |= objects
    return Collected(files, named, frozenset(digest for digest, rule in last.items() if rule != _RESTORED))


def _names(folder: Path) -> list[str]:
    try:
        return sorted(name for name in os.listdir(folder) if _NAME.fullmatch(name))  # noqa: PTH208 - names suffice
    except (FileNotFoundError, NotADirectoryError):
        return []
