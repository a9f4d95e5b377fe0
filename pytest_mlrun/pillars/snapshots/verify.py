"""Hold data to its digest before anything trains on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from pytest_mlrun.errors import DataChangedError, DataError
from pytest_mlrun.pillars.snapshots.listing import ListedFile, list_files
from pytest_mlrun.pillars.snapshots.manifest import hash_source
from pytest_mlrun.pillars.snapshots.sources import (
    Fetch,
    clear,
    fetch_into,
    find_fetched,
    is_uri,
    locate,
    make_passing_folder,
)
from pytest_mlrun.records.project import DataSource
from pytest_mlrun.records.snapshot import FileEntry, Manifest, Snapshot

Hasher = Callable[[Path], Manifest]
Clock = Callable[[], int]

_RACY_NS: Final = 2_000_000_000
_SHOWN: Final = 10


class VerifiedCache(Protocol):
    """Remembers, for all processes of a machine, which files were found to be as locked."""

    def get(self, key: str) -> Mapping[str, object] | None:
        """Return what was put, or None."""

    def put(self, key: str, value: Mapping[str, object]) -> object:
        """Keep JSON values."""

    def lock(self, key: str) -> AbstractContextManager[None]:
        """Keep other processes from the key for the length of a block."""

    def folder(self, key: str) -> Path:
        """Return an existing folder for the key's files."""


def verify_snapshot(
    source: DataSource,
    root: Path,
    locked: Manifest | None,
    *,
    cache: VerifiedCache | None = None,
    fetch: Fetch | None = None,
    hasher: Hasher = hash_source,
    clock_ns: Clock = time.time_ns,
) -> Snapshot:
    """Return data whose content is what ``mlrun.lock`` says.

    Args:
        source: The data's section in ``mlrun.toml``.
        root: Folder of ``mlrun.toml``.
        locked: The data's entry in ``mlrun.lock``, if it has one.
        cache: Remembers what was verified; without it everything is hashed every time.
        fetch: Copies what a URI names.
        hasher: Hashes a file or folder.
        clock_ns: Nanoseconds since the epoch.

    Returns:
        The verified data.

    Raises:
        DataError: It has no digest, is missing, unreadable or cannot be fetched.
        DataChangedError: Its content is not what was locked.
    """
    if locked is None:
        raise DataError(
            f"data {source.name!r} has no digest in mlrun.lock",
            where=str(root / "mlrun.lock"),
            next_step=f"pytest-mlrun data lock {source.name}",
        )
    check = _Check(source, locked, cache, hasher, clock_ns)
    if is_uri(source.source):
        path = check.fetch(fetch)
    else:
        path = locate(source, root)
        check.verify(path)
    return Snapshot(source.name, path, source.source, locked)


@dataclass(frozen=True, slots=True)
class _Check:
    """One source, and what it is held to."""

    source: DataSource
    locked: Manifest
    cache: VerifiedCache | None
    hasher: Hasher
    clock_ns: Clock

    def fetch(self, fetch: Fetch | None) -> Path:
        """Return the verified local copy of a URI, fetched unless an intact one is there."""
        if self.cache is None:
            copy = fetch_into(self.source, make_passing_folder(), fetch)
            self.verify(copy)
            return copy
        key = f"data-fetched-{self.locked.digest}"
        with self.cache.lock(key):
            folder = self.cache.folder(key)
            earlier = find_fetched(folder)
            if earlier is not None and self._holds(earlier):
                return earlier
            copy = fetch_into(self.source, folder, fetch)
            try:
                self.verify(copy)
            except DataError:
                clear(folder)
                raise
            return copy

    def verify(self, path: Path) -> None:
        """Compare the content of a file or folder with what was locked."""
        if self.cache is None:
            self._compare(path)
            return
        key = f"data-verified-{self.locked.digest}-{path}"
        known = self.cache.get(key)
        if known is not None and _is_as_known(known, list_files(path)):
            return
        # Whoever comes second waits here for the first one's answer: the data is hashed once for all workers.
        with self.cache.lock(key):
            began_ns = self.clock_ns()
            files = list_files(path)
            # Read again: another process may have verified the data while this one waited.
            known = self.cache.get(key)
            if known is not None and _is_as_known(known, files):
                return
            self._compare(path)
            # A change within the clock's grain of an earlier one leaves times, and so all that is compared here, equal.
            settled = all(max(file.modified_ns, file.changed_ns) + _RACY_NS < began_ns for file in files)
            if settled and list_files(path) == files:
                self.cache.put(key, {"files": [_facts(file) for file in files]})

    def _holds(self, path: Path) -> bool:
        try:
            self.verify(path)
        except DataError:
            return False
        return True

    def _compare(self, path: Path) -> None:
        found = self.hasher(path)
        if found.digest == self.locked.digest and found.kind == self.locked.kind:
            return
        raise DataChangedError(
            f"data {self.source.name!r} changed: expected sha256 {_short(self.locked)}, found {_short(found)}",
            details=tuple(describe_changes(self.locked, found)),
            where=self.source.source,
            next_step=f"if intended: pytest-mlrun data lock {self.source.name}",
        )


def _is_as_known(known: Mapping[str, object], files: tuple[ListedFile, ...]) -> bool:
    return known.get("files") == [_facts(file) for file in files]


def _facts(file: ListedFile) -> list[object]:
    # Field by field: dataclasses.astuple copies each value, which takes most of the time for ten thousand files.
    return [file.path, file.size_bytes, file.modified_ns, file.changed_ns, file.inode, file.device]


def describe_changes(locked: Manifest, found: Manifest) -> Iterator[str]:
    """Yield a line for each file that changed, appeared or vanished; at most ten of each.

    Args:
        locked: What should be there.
        found: What is there.
    """
    if locked.kind != found.kind:
        yield f"was a {locked.kind}, is a {found.kind}"
        return
    if locked.kind == "file":
        yield from _shorten("changed", [_describe_change(locked.files[0], found.files[0])])
        return
    before = {file.path: file for file in locked.files}
    after = {file.path: file for file in found.files}
    both = [path for path in before if path in after]
    yield from _shorten("changed", [_describe_change(before[p], after[p]) for p in both if before[p] != after[p]])
    yield from _shorten("appeared", [path for path in after if path not in before])
    yield from _shorten("vanished", [path for path in before if path not in after])


def _describe_change(before: FileEntry, after: FileEntry) -> str:
    if before.size_bytes == after.size_bytes:
        return f"{after.path} (still {after.size_bytes} bytes)"
    return f"{after.path} ({before.size_bytes} → {after.size_bytes} bytes)"


def _shorten(verb: str, texts: list[str]) -> Iterator[str]:
    for text in texts[:_SHOWN]:
        yield f"{verb}: {text}"
    if len(texts) > _SHOWN:
        yield f"{verb}: and {len(texts) - _SHOWN} more"


def _short(manifest: Manifest) -> str:
    return f"{manifest.digest.removeprefix('sha256:')[:6]}…"
