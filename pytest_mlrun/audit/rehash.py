"""Compare installed files with what their wheels said: a cache hands on what somebody edited by hand."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

# What installers and interpreters write themselves.
_WRITTEN: Final = ("/RECORD", "/INSTALLER", "/REQUESTED", "/direct_url.json", "/uv_cache.json", "/uv_build.json")
_OF_VENV: Final = frozenset({"_virtualenv.py", "_virtualenv.pth", "distutils-precedence.pth"})
_LIVE: Final = (".py", ".so", ".pth", ".pyd", ".dylib")


def find_edited(site: Path) -> list[str]:
    """Return the installed files that are not what their wheel said, or that no wheel brought, sorted.

    Args:
        site: A ``site-packages`` folder.
    """
    known: set[str] = set()
    edited: list[str] = []
    for record in sorted(site.glob("*.dist-info/RECORD")):
        for path, written in _read_record(record):
            known.add(os.path.normpath(path))
            if written and not path.startswith("/") and not _is_intact(site / path, written):
                edited.append(path)
    edited += [path for path in _list_live(site) if path not in known]
    return sorted(edited)


def _read_record(record: Path) -> Iterator[tuple[str, str]]:
    for row in csv.reader(io.StringIO(record.read_text("utf-8", "replace"))):
        if len(row) >= 2:  # noqa: PLR2004 - path, hash, size
            # A script's first line names the interpreter's folder: an installer writes it, and hashes what it wrote.
            yield row[0], "" if row[0].endswith((*_WRITTEN, ".pyc")) or row[0].startswith("..") else row[1]


def _is_intact(path: Path, written: str) -> bool:
    name, _, expected = written.partition("=")
    if name not in hashlib.algorithms_guaranteed or name.startswith("shake"):
        return False
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, name).digest()
    except OSError:
        return False
    return base64.urlsafe_b64encode(found).decode("ascii").rstrip("=") == expected


def _list_live(site: Path) -> Iterator[str]:
    """Yield files that an interpreter would load."""
    for folder, folders, names in os.walk(site):
        folders[:] = [name for name in folders if name != "__pycache__"]
        inside = os.path.relpath(folder, site)
        for name in names:
            path = os.path.normpath(os.path.join(inside, name))  # noqa: PTH118 - thousands of them
            if name.endswith(_LIVE) and path not in _OF_VENV:
                yield path
