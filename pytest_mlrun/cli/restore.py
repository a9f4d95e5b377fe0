"""Write the kept data of a run into a folder, as it was bit by bit."""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_mlrun.cli.console import Console
from pytest_mlrun.cli.evidence import read_manifest
from pytest_mlrun.cli.progress import Progress
from pytest_mlrun.cli.refs import find_run
from pytest_mlrun.cli.source import RunSource, find_store, open_source
from pytest_mlrun.errors import ConfigError, DataError, StoreDamagedError
from pytest_mlrun.records.identity import new_id
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.records.snapshot import FileEntry, Manifest
from pytest_mlrun.report.facts import short_digest, show_size
from pytest_mlrun.report.table import clean_text
from pytest_mlrun.rules.naming import check_artifact_name
from pytest_mlrun.rules.suggest import did_you_mean

if TYPE_CHECKING:
    from pytest_mlrun.store.objects import Objects


def run(args: argparse.Namespace, console: Console) -> int:
    """Run ``pytest-mlrun data restore``."""
    from pytest_mlrun.store.objects import Objects

    source = open_source(args, console)
    record = find_run(args.ref, source, console)
    folder = console.folder / args.output
    targets = {name: folder / name for name in _choose(record, args.names)}
    for target in targets.values():
        if target.exists():
            raise ConfigError(
                f"{target.name} is there already", where=str(target), next_step="name another folder: -o DIR"
            )
    objects = Objects(find_store(args, console))
    for name, target in targets.items():
        manifest = _read_manifest(record, name, source)
        with Progress(console, f"restoring {name}") as progress:
            _restore(manifest, target, objects, progress)
        size = show_size(manifest.size_bytes)
        files = "1 file" if len(manifest.files) == 1 else f"{len(manifest.files)} files"
        shown = os.path.relpath(target, console.folder)
        console.write(clean_text(f"restored   {name}  {short_digest(manifest.digest)}  {files}, {size}  {shown}"))
    return 0


def _choose(record: RunRecord, wanted: Sequence[str]) -> list[str]:
    data = {artifact.name.removeprefix("data/").removesuffix(".json"): artifact.role for artifact in record.artifacts
            if artifact.role in {"snapshot", "manifest"}}  # fmt: skip
    if not data:
        raise DataError(
            f"run {record.short_id} was trained on no data that mlrun.toml names",
            where=f"run {record.name}",
            next_step="see what it rests on: pytest-mlrun show",
        )
    kept = [name for name, role in data.items() if role == "snapshot"]
    for name in wanted:
        if name not in data:
            raise DataError(
                f"run {record.short_id} was not trained on data {name!r}{did_you_mean(name, data)}",
                where=f"run {record.name}",
                next_step=f"it has: {', '.join(data) or 'none'}",
            )
    missing = [name for name in wanted or data if name not in kept]
    if missing or not kept:
        what = f"of data {missing[0]!r}" if missing else "of any data"
        if wanted or not kept:
            raise DataError(
                f"run {record.short_id} kept no copy {what}: only its digest is known",
                where=f"run {record.name}",
                next_step='for runs to come, write keep = "copy" under its [data] section in mlrun.toml',
            )
    return list(dict.fromkeys(wanted)) or kept


def _read_manifest(record: RunRecord, name: str, source: RunSource) -> Manifest:
    from pytest_mlrun.pillars.snapshots.manifest import compute_listing_digest

    try:
        manifest = read_manifest(record, f"data/{name}.json", source)
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(name, record) from error
    for entry in manifest.files:
        # A listing from another machine must not write outside its folder.
        check_artifact_name(entry.path)
    single = f"sha256:{manifest.files[0].sha256}" if len(manifest.files) == 1 else ""
    expected = compute_listing_digest(manifest.files) if manifest.kind == "folder" else single
    if manifest.digest != expected:
        raise _damaged(name, record)
    return manifest


def _restore(manifest: Manifest, target: Path, objects: Objects, progress: Progress) -> None:
    partial = target.with_name(f".{target.name}.{new_id()}")
    try:
        done_bytes = 0
        for entry in manifest.files:
            _write_file(entry, partial / entry.path, objects)
            done_bytes += entry.size_bytes
            progress.detail = show_size(done_bytes)
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
            where=str(objects.path(digest)),
            next_step="restore it from a copy of the store; see what else is damaged: pytest-mlrun verify",
        )


def _damaged(name: str, record: RunRecord) -> StoreDamagedError:
    return StoreDamagedError(
        f"the listing of data {name!r} of run {record.short_id} is not as it was written",
        where=f"run {record.name}",
        next_step="see: pytest-mlrun verify",
    )
