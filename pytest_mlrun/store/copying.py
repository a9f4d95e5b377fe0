"""Bring the bytes of a file into another, hashing them on the way; share their blocks where the disk can."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from pytest_mlrun.errors import ArtifactError

_CHUNK_BYTES: Final = 1 << 20
_FICLONE: Final = 0x40049409
"""Linux: let one file have the blocks of another until either is written to. XFS, Btrfs, bcachefs, some NFS."""


def copy_content(source: BinaryIO, target: BinaryIO, *, source_path: Path | None = None) -> tuple[str, int]:
    """Copy a file into an empty one.

    Args:
        source: What to copy, open for reading.
        target: An empty file, open for writing and reading.
        source_path: Where it lies, for the error.

    Returns:
        ``sha256:<hex>`` of the bytes, and how many they are.

    Raises:
        ArtifactError: The source cannot be read.
        OSError: The target cannot be written.
    """
    shared = _clone(source, target)
    sha256 = hashlib.sha256()
    size_bytes = 0
    # A clone is hashed where it lies: the source may change at any moment, the clone does not change with it.
    for chunk in _chunks(target if shared else source, source_path):
        sha256.update(chunk)
        size_bytes += len(chunk)
        if not shared:
            target.write(chunk)
    return f"sha256:{sha256.hexdigest()}", size_bytes


def unreadable_source(path: Path, error: OSError) -> ArtifactError:
    """Word a file that cannot be read.

    Args:
        path: The file.
        error: What the operating system said.
    """
    return ArtifactError(
        f"a file cannot be stored: {os.strerror(error.errno or 0)} ({path.name})",
        where=str(path),
        next_step="check the path and its permissions; a folder is stored file by file",
    )


def _clone(source: BinaryIO, target: BinaryIO) -> bool:
    try:
        import fcntl

        fcntl.ioctl(target.fileno(), _FICLONE, source.fileno())
    except (ImportError, AttributeError, OSError):  # another system, no file, or a disk that cannot: bytes are copied
        return False
    return True


def _chunks(source: BinaryIO, path: Path | None) -> Iterator[memoryview]:
    buffer = memoryview(bytearray(_CHUNK_BYTES))
    while True:
        try:
            count = source.readinto(buffer)  # type: ignore[attr-defined]
        except OSError as error:
            # Not a write error: the message would tell the reader to free space on the wrong disk.
            raise unreadable_source(path or Path(), error) from error
        if not count:
            return
        yield buffer[:count]
