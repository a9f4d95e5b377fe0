"""Remember which objects were left out on purpose when a run came in: an empty file a digest."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from pytest_mlrun.store.files import Steps, publish

_HEX: Final = re.compile(r"[0-9a-f]{64}")
_PREFIX: Final = "sha256:"


def mark_absent(root: Path, digests: Iterable[str], *, steps: Steps) -> None:
    """Remember that objects were left out.

    Args:
        root: The store's folder.
        digests: Digests of the objects.
        steps: Named instants.

    Raises:
        StoreWriteError: The store cannot be written.
    """
    known = list_absent(root)
    for digest in sorted(set(digests) - known):
        name = digest.removeprefix(_PREFIX)
        if not _HEX.fullmatch(name):
            continue  # a record may say anything; no name of a file follows from it
        publish(root / "absent" / name, Path.touch, temporary=root / "tmp" / f"absent-{name}", steps=steps)


def list_absent(root: Path) -> set[str]:
    """List the objects that were left out; one that came in later is both here and there.

    Args:
        root: The store's folder.

    Returns:
        Their digests.
    """
    try:
        names = os.listdir(root / "absent")  # noqa: PTH208 - names are all that is needed
    except (FileNotFoundError, NotADirectoryError):
        return set()
    return {f"{_PREFIX}{name}" for name in names if _HEX.fullmatch(name)}


def is_absent(root: Path, digest: str) -> bool:
    """Say whether an object was left out.

    Args:
        root: The store's folder.
        digest: ``sha256:<hex>``.
    """
    name = digest.removeprefix(_PREFIX)
    return _HEX.fullmatch(name) is not None and (root / "absent" / name).is_file()
