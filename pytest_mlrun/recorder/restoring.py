"""Write data that a run kept into a folder, as it was bit by bit."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_mlrun.errors import ConfigError, StoreDamagedError
from pytest_mlrun.records.identity import new_id
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.records.snapshot import FileEntry, Manifest
from pytest_mlrun.rules.naming import check_artifact_name

if TYPE_CHECKING:
    from pytest_mlrun.store.objects import Objects


def parse_listing(content: bytes) -> Manifest:
    """Read the listing of a snapshot as a run keeps it.

    Args:
        content: The artifact ``data/<name>.json``.

    Raises:
        ValueError, KeyError, TypeError: It is not as it was written.
    """
    listing = json.loads(content)
    files = tuple(FileEntry(str(path), int(size), str(digest)) for path, size, digest in listing["files"])
    return Manifest(str(listing["digest"]), files, "folder" if listing["kind"] == "folder" else "file")


def read_kept_listing(run: RunRecord, name: str, read: Callable[[str], bytes]) -> Manifest:
    """Return the files of a snapshot, held to its digest and to paths that stay inside a folder.

    Args:
        run: The run.
        name: Name of the data.
        read: Returns the bytes of an artifact of the run.

    Raises:
        StoreDamagedError: It is not as it was written.
    """
    from pytest_mlrun.pillars.snapshots.manifest import compute_listing_digest

    try:
        manifest = parse_listing(read(f"data/{name}.json"))
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(name, run) from error
    for entry in manifest.files:
        # A listing from another machine must not write outside its folder.
        check_artifact_name(entry.path)
    single = f"sha256:{manifest.files[0].sha256}" if len(manifest.files) == 1 else ""
    expected = compute_listing_digest(manifest.files) if manifest.kind == "folder" else single
    if manifest.digest != expected:
        raise _damaged(name, run)
    return manifest


def restore_kept(manifest: Manifest, target: Path, objects: Objects, *, told: Callable[[int], None]) -> None:
    """Write the files of a snapshot into a new folder, each compared with its digest; all of them or none.

    Args:
        manifest: The files.
        target: The folder.
        objects: Those of the store.
        told: Called with the number of bytes written so far.

    Raises:
        ConfigError: It cannot be written.
        StoreDamagedError: An object is missing, or not what was kept.
        ArtifactError: An object was collected.
    """
    partial = target.with_name(f".{target.name}.{new_id()}")
    try:
        done_bytes = 0
        for entry in manifest.files:
            _write_file(entry, partial / entry.path, objects)
            done_bytes += entry.size_bytes
            told(done_bytes)
        partial.rename(target)
    except OSError as error:
        raise ConfigError(
            f"data cannot be restored: {os.strerror(error.errno or 0)}",
            where=str(error.filename or target),
            next_step="check the folder's permissions and space",
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write_file(entry: FileEntry, path: Path, objects: Objects) -> None:
    from pytest_mlrun.store.copying import copy_content

    path.parent.mkdir(parents=True, exist_ok=True)
    digest = f"sha256:{entry.sha256}"
    with objects.open(digest) as source, path.open("x+b") as target:
        found, _ = copy_content(source, target, source_path=objects.path(digest))
    if found != digest:
        raise StoreDamagedError(
            f"an object is damaged: {entry.path} is not what was kept",
            details=(f"expected {digest}", f"found    {found}"),
            where=str(objects.path(digest)),
            next_step="restore it from a copy of the store; see what else is damaged: pytest-mlrun verify",
        )


def _damaged(name: str, run: RunRecord) -> StoreDamagedError:
    return StoreDamagedError(
        f"the listing of data {name!r} of run {run.short_id} is not as it was written",
        where=f"run {run.name}",
        next_step="see: pytest-mlrun verify",
    )
