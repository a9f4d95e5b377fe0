"""Hash the source files of a folder that no version control looks after."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from pytest_mlrun.pillars.changes import matches
from pytest_mlrun.pillars.redaction import is_secret_file

_SUFFIXES = frozenset(
    {
        *(".py", ".pyi", ".pyx", ".pxd", ".ipynb", ".toml", ".cfg", ".ini", ".yaml", ".yml", ".lock", ".sql", ".sh"),
        *(".r", ".jl", ".c", ".cc", ".cpp", ".cu", ".h", ".hpp", ".rs", ".go"),
    }
)
_SKIPPED_FOLDERS = frozenset({"__pycache__", "node_modules", "build", "dist", "site-packages"})


@dataclass(frozen=True, slots=True)
class Bounds:
    """Where hashing stops, so that a home folder or a file server cannot stall a session."""

    files: int = 20_000
    size_bytes: int = 200 * 2**20
    entries: int = 500_000


@dataclass(frozen=True, slots=True)
class SourceTree:
    """The digest of a folder's source files.

    Attributes:
        digest: ``sha256:<hex>`` over each file's path and sha256, in order of path.
        files: Number of files hashed.
        note: Which limit was met; empty where every file was hashed.
    """

    digest: str
    files: int
    note: str = ""


def hash_source_tree(root: Path, *, own_files: tuple[str, ...] = (), bounds: Bounds | None = None) -> SourceTree:
    """Hash code and configuration under a folder.

    Hidden folders, virtual environments, caches and build results are skipped, as is every file that is not source.

    Args:
        root: Folder to hash.
        own_files: Patterns of files that belong to the plugin.
        bounds: Where to stop.
    """
    limits = bounds or Bounds()
    listing = hashlib.sha256()
    files = size_bytes = 0
    for seen, entry in enumerate(_walk(root), start=1):
        relative = os.path.relpath(entry.path, root).replace(os.sep, "/")
        source = _is_source(entry) and not matches(relative, own_files)
        size_bytes += entry.stat().st_size if source else 0
        note = _limit_met(limits, files=files + source, size_bytes=size_bytes, entries=seen)
        if note:
            listing.update(note.encode())
            return SourceTree(f"sha256:{listing.hexdigest()}", files, note)
        if source:
            files += 1
            listing.update(b"%b\0%b\n" % (os.fsencode(relative), _hash_file(Path(entry.path))))
    return SourceTree(f"sha256:{listing.hexdigest()}", files)


def _walk(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as scan:
            entries = sorted(scan, key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        yield entry
        if entry.is_dir(follow_symlinks=False) and not _is_skipped(entry):
            yield from _walk(Path(entry.path))


def _is_skipped(folder: os.DirEntry[str]) -> bool:
    name = folder.name
    custom = name.startswith(".") or name in _SKIPPED_FOLDERS or name.endswith(".egg-info")
    return custom or (Path(folder.path) / "pyvenv.cfg").exists()


def _is_source(entry: os.DirEntry[str]) -> bool:
    name = entry.name.lower()
    listed = Path(name).suffix in _SUFFIXES or fnmatchcase(name, "requirements*.txt")
    return listed and not is_secret_file(name) and entry.is_file()


def _limit_met(limits: Bounds, *, files: int, size_bytes: int, entries: int) -> str:
    if files > limits.files:
        return f"stopped after {limits.files} files"
    if size_bytes > limits.size_bytes:
        return f"stopped after {limits.size_bytes} bytes"
    if entries > limits.entries:
        return f"stopped after {limits.entries} folder entries"
    return ""


def _hash_file(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest().encode()
    except OSError:
        return b"unreadable"
