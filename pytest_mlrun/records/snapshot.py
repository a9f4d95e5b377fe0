"""Describe data whose content is pinned by a digest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of a snapshot.

    Attributes:
        path: Relative to the snapshot, ``/``-separated; for a single file its name.
        size_bytes: Number of bytes.
        sha256: 64 hex digits.
    """

    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """The files of a snapshot and the digest that pins them all.

    Attributes:
        digest: ``sha256:<hex>``: of the bytes for a single file, of the canonical listing for a folder.
        files: Sorted by path.
        kind: ``file`` or ``folder``.
    """

    digest: str
    files: tuple[FileEntry, ...]
    kind: Literal["file", "folder"]

    @property
    def size_bytes(self) -> int:
        """Bytes of all files."""
        return sum(entry.size_bytes for entry in self.files)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Verified data: usable wherever a path is expected.

    Attributes:
        name: Name in ``[data.<name>]``.
        path: Local file or folder that holds the verified bytes.
        source: The path or URI written in ``mlrun.toml``.
        manifest: What was verified.
    """

    name: str
    path: Path
    source: str
    manifest: Manifest

    def __fspath__(self) -> str:
        return str(self.path)

    def __truediv__(self, part: str) -> Path:
        return self.path / part

    @property
    def digest(self) -> str:
        """``sha256:<hex>`` that pins the content."""
        return self.manifest.digest
