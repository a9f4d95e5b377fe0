"""Find where the bytes of a data source lie, fetching them if they are far away."""

from __future__ import annotations

import atexit
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pytest_mlrun.errors import DataError
from pytest_mlrun.records.project import DataSource

Fetch = Callable[[str, Path], Path]
"""Copies what a URI names into a folder and returns the copy."""

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


def is_uri(source: str) -> bool:
    """Say whether a source is a URI and not a path.

    Args:
        source: As written in ``mlrun.toml``.
    """
    return _SCHEME.match(source) is not None


def locate(source: DataSource, root: Path) -> Path:
    """Return the local path of a source.

    Args:
        source: Not a URI.
        root: Folder that relative paths start from; ``~`` is a folder of that name.

    Returns:
        An existing file or folder, absolute.

    Raises:
        DataError: Nothing is there, or the path is the project's own folder.
    """
    path = (root / source.source).absolute()
    if not path.exists():
        raise DataError(
            f"data {source.name!r} was not found: {source.source}",
            details=("'~' is not expanded: write the path in full",) if source.source.startswith("~") else (),
            where=str(path),
            next_step=f"put it there, or correct path under [data.{source.name}] in {root / 'mlrun.toml'}",
        )
    if root.resolve().is_relative_to(path.resolve()):
        raise DataError(
            f"data {source.name!r} is the folder of mlrun.toml itself",
            details=("mlrun.lock lies in it: every lock would change what it pins",),
            where=str(root / "mlrun.toml"),
            next_step=f"move the data into a folder of its own and name it under [data.{source.name}]",
        )
    return path


def fetch_into(source: DataSource, folder: Path, fetch: Fetch | None) -> Path:
    """Fetch a URI into an empty folder.

    Args:
        source: A URI.
        folder: Emptied first.
        fetch: Does the copying.

    Returns:
        The copy.

    Raises:
        DataError: It cannot be fetched.
    """
    if fetch is None:
        raise DataError(
            f"data {source.name!r} is far away and nothing here can fetch it",
            where=source.source.partition("?")[0],
            next_step="run: pytest --mlrun",
        )
    clear(folder)
    try:
        return fetch(source.source, folder)
    except DataError:
        clear(folder)
        raise


def find_fetched(folder: Path) -> Path | None:
    """Return what an earlier fetch left in a folder.

    Args:
        folder: As given to ``fetch_into``.
    """
    entries = list(folder.iterdir())
    return entries[0] if len(entries) == 1 else None


def clear(folder: Path) -> None:
    """Remove everything in a folder.

    Args:
        folder: A folder that holds nothing but fetched data.
    """
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def make_passing_folder() -> Path:
    """Make a folder that lasts as long as this process."""
    folder = Path(tempfile.mkdtemp(prefix="pytest-mlrun-data-"))
    owner = os.getpid()

    def remove() -> None:
        # A forked child that ends must not take the data from under its parent.
        if os.getpid() == owner:
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return folder
