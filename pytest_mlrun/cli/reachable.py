"""Find the runs and digests that the registry of a project names."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pytest_mlrun.errors import ConfigError
from pytest_mlrun.records.names import REGISTRY_FOLDER

_NAME: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|sha256:[0-9a-f]{64}")


def read_reachable(root: Path) -> set[str]:
    """Return every text of a registry that is the id of a run or a digest.

    Whatever an event says, what it names is evidence: an event of a kind that is not known here keeps it too.

    Args:
        root: Folder of the project.

    Raises:
        ConfigError: If a file of the registry cannot be read: it may name any run.
    """
    found: set[str] = set()
    for path in _list_files(root / REGISTRY_FOLDER):
        try:
            found.update(text for text in _texts(json.loads(path.read_bytes())) if _NAME.fullmatch(text))
        except (OSError, ValueError, RecursionError) as error:
            raise _unreadable(path, error) from error
    return found


def _list_files(folder: Path) -> list[Path]:
    def refuse(error: OSError) -> None:
        raise _unreadable(folder, error) from error

    found: list[Path] = []
    if folder.is_dir():
        for place, _, names in os.walk(folder, onerror=refuse):
            found += [Path(place) / name for name in names if name.endswith(".json")]
    return sorted(found)


def _texts(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for key, inner in value.items():
                yield str(key)
                yield from _texts(inner)
        case list():
            for inner in value:
                yield from _texts(inner)


def _unreadable(path: Path, error: Exception) -> ConfigError:
    reason = os.strerror(error.errno or 0) if isinstance(error, OSError) else "it is not JSON"
    return ConfigError(
        f"gc stopped: a file of the registry cannot be read: {reason}",
        details=("it may name any run; nothing was deleted",),
        where=str(path),
        next_step="restore it: git checkout",
    )
