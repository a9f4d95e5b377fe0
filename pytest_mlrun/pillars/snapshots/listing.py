"""List the files of a snapshot, each with what tells whether it was touched."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pytest_mlrun.errors import DataError

IGNORED_NAMES: Final = frozenset({".DS_Store", "Thumbs.db"})
"""Files that a desktop writes while somebody merely looks at a folder."""


@dataclass(frozen=True, slots=True)
class ListedFile:
    """One file as the operating system describes it; equal while nobody touched it.

    Attributes:
        path: Relative to the snapshot, ``/``-separated; for a single file its name.
        size_bytes: Number of bytes.
        modified_ns: Time of the last change of the content; any process can set it back.
        changed_ns: Time of the last change of anything; nobody but the kernel sets it.
        inode: Number of the file on its device.
        device: Number of the device.
    """

    path: str
    size_bytes: int
    modified_ns: int
    changed_ns: int
    inode: int
    device: int


def list_files(source: Path) -> tuple[ListedFile, ...]:
    """List a file, or all files of a folder, sorted by the UTF-8 bytes of their paths.

    Hidden files count; ``.DS_Store`` and ``Thumbs.db`` do not. Links are followed as long as they stay in the folder.

    Args:
        source: The file or folder.

    Returns:
        At least one file.

    Raises:
        DataError: It is missing, unreadable or an empty folder; a link leaves it, goes in a circle or leads nowhere;
            an entry is neither file nor folder; a name is not UTF-8.
    """
    try:
        if not source.is_dir():
            return (_describe(source.stat(), _readable(source.name, source.parent), source),)
        base = source.resolve()
        found = sorted(_walk(base, base, "", (base,)), key=lambda file: file.path.encode())
    except OSError as error:
        raise _unreadable(error, source) from error
    if not found:
        raise DataError(
            f"a data folder has no files: {source.name}",
            where=str(source),
            next_step="put the data there, or correct the path",
        )
    return tuple(found)


def _walk(base: Path, folder: Path, prefix: str, above: tuple[Path, ...]) -> Iterator[ListedFile]:
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            path = prefix + _readable(entry.name, folder)
            if entry.is_symlink():
                yield from _follow(base, Path(entry.path), path, above)
            elif entry.is_dir(follow_symlinks=False):
                yield from _walk(base, Path(entry.path), f"{path}/", (*above, Path(entry.path)))
            elif entry.name not in IGNORED_NAMES:
                yield _describe(entry.stat(follow_symlinks=False), path, folder)


def _follow(base: Path, link: Path, path: str, above: tuple[Path, ...]) -> Iterator[ListedFile]:
    target = Path(os.path.realpath(link))
    if not target.is_relative_to(base):
        raise DataError(
            f"a link leaves the data folder: {path} → {link.readlink()}",
            where=str(link),
            next_step="copy the file into the folder, or give the link's target a [data] section of its own",
        )
    if not target.exists():
        raise DataError(
            f"a link leads nowhere: {path} → {link.readlink()}", where=str(link), next_step="remove or repair the link"
        )
    if target.is_dir():
        if target in above:
            raise DataError(
                f"a link leads back to a folder it lies in: {path} → {link.readlink()}",
                where=str(link),
                next_step="remove the link",
            )
        yield from _walk(base, target, f"{path}/", (*above, target))
    elif link.name not in IGNORED_NAMES:
        yield _describe(target.stat(), path, base)


def _describe(status: os.stat_result, path: str, source: Path) -> ListedFile:
    if not stat.S_ISREG(status.st_mode):
        raise DataError(
            f"neither a file nor a folder: {path}",
            where=str(source),
            next_step="keep pipes, sockets and devices out of data",
        )
    return ListedFile(path, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev)


def _readable(name: str, folder: Path) -> str:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"a file's name is not UTF-8: {name!r}", where=str(folder), next_step="rename the file"
        ) from error
    return name


def _unreadable(error: OSError, source: Path) -> DataError:
    path = str(error.filename or source)
    return DataError(
        f"data cannot be read: {os.strerror(error.errno or 0)} ({Path(path).name})",
        where=path,
        next_step="check the path and its permissions",
    )
