"""Put the files of a snapshot into the store, so that it can be trained on again when its source is gone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from pytest_mlrun.errors import DataChangedError

if TYPE_CHECKING:
    from pytest_mlrun.records.snapshot import FileEntry, Snapshot
    from pytest_mlrun.store.objects import Objects
    from pytest_mlrun.store.shared import Shared

_THREADS: Final = 8


def keep_files(objects: Objects, snapshot: Snapshot, *, shared: Shared) -> None:
    """Copy what is not in the store yet; files that several snapshots have are one object.

    The log must hold the listing by now, so that a collector knows what is wanted: see ``Objects``.

    Args:
        objects: The store's objects.
        snapshot: Verified data.
        shared: Keeps other workers from copying the same.

    Raises:
        DataChangedError: A file changed since it was verified.
        StoreWriteError: The operating system refused.
    """
    if not _find_missing(objects, snapshot):
        return
    with shared.lock(f"data-kept-{snapshot.digest}"):
        missing = _find_missing(objects, snapshot)
        # Hashing and writing let go of the interpreter's lock, and of small files the disk is what is waited for.
        with ThreadPoolExecutor(_THREADS) as pool:
            objects.sync(list(pool.map(lambda entry: _keep(objects, snapshot, entry), missing)))


def _find_missing(objects: Objects, snapshot: Snapshot) -> list[FileEntry]:
    files = {entry.sha256: entry for entry in snapshot.manifest.files}
    return [entry for entry in files.values() if not objects.holds(f"sha256:{entry.sha256}", entry.size_bytes)]


def _keep(objects: Objects, snapshot: Snapshot, entry: FileEntry) -> str:
    path = snapshot.path / entry.path if snapshot.manifest.kind == "folder" else snapshot.path
    staged = objects.stage_file(path)
    if staged.digest != f"sha256:{entry.sha256}":
        objects.discard(staged)
        raise DataChangedError(
            f"data {snapshot.name!r} changed while it was copied: {entry.path}",
            where=str(path),
            next_step="wait until nobody writes there, then run again",
        )
    objects.publish(staged, durable=False)
    return staged.digest
