"""Find the lock file that says which distributions belong to a project."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from pytest_mlrun.pillars.facts import digest_of

# Strongest first: of two lock files in one folder, the one that pins more is the one that speaks.
_KINDS = (
    ("uv.lock", "uv"),
    ("pylock.toml", "pylock"),
    ("pylock.*.toml", "pylock"),
    ("poetry.lock", "poetry"),
    ("conda-lock.yml", "conda"),
    ("conda-lock.yaml", "conda"),
    ("requirements.lock", "requirements"),
    ("requirements.txt", "requirements"),
    ("requirements*.txt", "requirements"),
)


@dataclass(frozen=True, slots=True)
class DependencyLock:
    """A lock file.

    Attributes:
        path: Relative to the folder asked about, ``/``-separated.
        kind: ``uv``, ``pylock``, ``poetry``, ``conda`` or ``requirements``.
        digest: ``sha256:<hex>`` of its bytes.
        hashed: Whether it pins the bytes of what it names, not the versions only.
    """

    path: str
    kind: str
    digest: str
    hashed: bool


def find_dependency_locks(root: Path) -> tuple[DependencyLock, ...]:
    """Return the lock files of the nearest folder that has one, strongest first.

    The search goes up to the repository's top folder; without a repository it stays in ``root``.
    """
    for folder in _folders(root):
        found = tuple(_find_in(folder, root))
        if found:
            return found
    return ()


def _folders(root: Path) -> tuple[Path, ...]:
    above = (root, *root.parents)
    for depth, folder in enumerate(above):
        if (folder / ".git").exists():
            return above[: depth + 1]
    return (root,)


def _find_in(folder: Path, root: Path) -> Iterator[DependencyLock]:
    try:
        names = sorted(entry.name for entry in folder.iterdir())
    except OSError:
        return
    seen: set[str] = set()
    for pattern, kind in _KINDS:
        for name in names:
            if name in seen or not fnmatchcase(name, pattern) or not (folder / name).is_file():
                continue
            seen.add(name)
            content = (folder / name).read_bytes()
            path = Path(os.path.relpath(folder / name, root)).as_posix()
            yield DependencyLock(path, kind, digest_of(content), kind != "requirements" or b"--hash=" in content)
