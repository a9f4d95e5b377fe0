"""Pin the content of a file or a folder by a digest."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from pytest_mlrun.errors import DataError
from pytest_mlrun.pillars.snapshots.listing import ListedFile, list_files
from pytest_mlrun.records.snapshot import FileEntry, Manifest

_SMALL_BYTES: Final = 256 << 10


def hash_source(source: Path, *, progress: Callable[[FileEntry], None] | None = None) -> Manifest:
    r"""Hash a file, or every file of a folder.

    The digest of a file is the sha256 of its bytes, as ``sha256sum`` prints it. The digest of a folder is the sha256 of
    its canonical listing: for each file, sorted by the UTF-8 bytes of its path,

        path NUL size NUL sha256 LF

    where the path is relative to the folder and ``/``-separated, the size is the number of bytes in decimal, and the
    sha256 is 64 lower-case hex digits. A shell computes the same with GNU tools::

        find . -type f -printf '%P\0' | LC_ALL=C sort -z | while IFS= read -r -d '' f; do
          printf '%s\0%s\0%s\n' "$f" "$(stat -c %s -- "$f")" "$(sha256sum < "$f" | cut -c1-64)"; done | sha256sum

    Hidden files count, ``.DS_Store`` and ``Thumbs.db`` do not; empty folders, modes and times leave no trace. A link
    counts as what it leads to.

    Args:
        source: The file or folder.
        progress: Called after each file.

    Returns:
        Files and digest.

    Raises:
        DataError: The data cannot be listed (``list_files``) or read, or changed meanwhile.
    """
    before = list_files(source)
    folder = source.is_dir()
    entries = []
    for file, digest in zip(before, _hash_files(source, before, folder=folder), strict=True):
        entry = FileEntry(file.path, file.size_bytes, digest)
        entries.append(entry)
        if progress is not None:
            progress(entry)
    _refuse_change(source, before, list_files(source))
    if folder:
        return Manifest(compute_listing_digest(entries), tuple(entries), "folder")
    return Manifest(f"sha256:{entries[0].sha256}", tuple(entries), "file")


def compute_listing_digest(entries: Iterable[FileEntry]) -> str:
    """Compute the digest of a folder from its files.

    Args:
        entries: Sorted by the UTF-8 bytes of their paths.

    Returns:
        ``sha256:<hex>``.
    """
    listing = hashlib.sha256()
    for entry in entries:
        listing.update(f"{entry.path}\0{entry.size_bytes}\0{entry.sha256}\n".encode())
    return f"sha256:{listing.hexdigest()}"


def _hash_files(source: Path, files: tuple[ListedFile, ...], *, folder: bool) -> Iterator[str]:
    """Yield the digest of each file, in order, the large ones hashed on every core.

    Small ones are hashed here: threads that take turns at them wait for each other longer than they hash.
    """
    paths = [os.path.join(source, file.path) if folder else str(source) for file in files]  # noqa: PTH118 - 5 x faster
    with ThreadPoolExecutor(max_workers=_count_cores()) as pool:
        large = {
            path: pool.submit(_hash_file, path)
            for path, file in zip(paths, files, strict=True)
            if file.size_bytes > _SMALL_BYTES
        }
        try:
            for path in paths:
                yield large[path].result() if path in large else _hash_file(path)
        finally:
            pool.shutdown(cancel_futures=True)


def _count_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _hash_file(path: str) -> str:
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - a Path for each of many files takes longer
            whole = hashlib.sha256()
            while part := file.read(_SMALL_BYTES):  # to the end, for a read may return less than there is
                whole.update(part)
            return whole.hexdigest()
    except OSError as error:
        raise DataError(
            f"data cannot be read: {os.strerror(error.errno or 0)} ({os.path.basename(path)})",  # noqa: PTH119
            where=path,
            next_step="check the file and its permissions",
        ) from error


def _refuse_change(source: Path, before: tuple[ListedFile, ...], after: tuple[ListedFile, ...]) -> None:
    if before == after:
        return
    touched = sorted({file.path for file in set(before) ^ set(after)})
    raise DataError(
        f"data changed while it was read: {touched[0]}",
        details=tuple(touched[1:10]),
        where=str(source),
        next_step="wait until nobody writes there, then run again",
    )
