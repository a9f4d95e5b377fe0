"""Pin data snapshots in ``mlrun.lock``, and check them."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from pytest_mlrun.cli.console import Console
from pytest_mlrun.cli.progress import Progress
from pytest_mlrun.cli.projects import find_named_project
from pytest_mlrun.errors import ConfigError, DataError
from pytest_mlrun.records.project import DataSource, Project
from pytest_mlrun.records.snapshot import FileEntry, Manifest
from pytest_mlrun.report.facts import short_digest, show_size
from pytest_mlrun.report.table import clean_text
from pytest_mlrun.rules.suggest import did_you_mean


def run(args: argparse.Namespace, console: Console) -> int:
    """Run ``pytest-mlrun data lock`` or ``pytest-mlrun data verify``."""
    cure = 'write one that names your data: [data.churn] path = "data/churn.parquet"'
    project = find_named_project(args.project, console, next_step=cure)
    names = _choose_names(args.names, project)
    if args.action == "lock":
        return _lock(project, names, console, everything=not args.names)
    return _verify(project, names, console)


def _lock(project: Project, names: Sequence[str], console: Console, *, everything: bool) -> int:
    from pytest_mlrun.pillars.snapshots.lockfile import read_lock, write_lock

    before = read_lock(project.lock_file)
    with Progress(console, "hashing") as progress:
        found = {name: _hash(project.data[name], project.root, progress) for name in names}
    gone = sorted(set(before).difference(project.data)) if everything else []
    after = {name: manifest for name, manifest in before.items() if name not in gone} | found
    for name in names:
        _write_change(name, before.get(name), found[name], console)
    for name in gone:
        console.write(clean_text(f"removed    {name}: mlrun.toml has no [data.{name}]"))
    if after != before:
        write_lock(project.lock_file, after)
        console.write(clean_text(f"wrote {os.path.relpath(project.lock_file, console.folder)}: commit it"))
    return 0


def _hash(source: DataSource, root: Path, progress: Progress) -> Manifest:
    from pytest_mlrun.pillars.snapshots.manifest import hash_source
    from pytest_mlrun.pillars.snapshots.sources import fetch_into, is_uri, locate, make_passing_folder
    from pytest_mlrun.store.remote import fetch_uri

    hashed_bytes = 0

    def advance(entry: FileEntry) -> None:
        nonlocal hashed_bytes
        hashed_bytes += entry.size_bytes
        progress.detail = f"{source.name}: {show_size(hashed_bytes)}"

    progress.detail = source.name
    if is_uri(source.source):
        progress.detail = f"{source.name}: fetching"
        return hash_source(fetch_into(source, make_passing_folder(), fetch_uri), progress=advance)
    return hash_source(locate(source, root), progress=advance)


def _verify(project: Project, names: Sequence[str], console: Console) -> int:
    from pytest_mlrun.recorder.snapshots import find_snapshot

    broken: list[DataError] = []
    with Progress(console, "hashing") as progress:
        for name in names:
            progress.detail = name
            try:
                snapshot = find_snapshot(project, name, shared=None)
            except DataError as found:
                broken.append(found)
            else:
                console.write(clean_text(f"intact     {name}  {_describe(snapshot.manifest)}"))
    for error in broken:
        console.write_error(error)
    return 1 if broken else 0


def _write_change(name: str, before: Manifest | None, found: Manifest, console: Console) -> None:
    from pytest_mlrun.pillars.snapshots.verify import describe_changes

    if before is None:
        console.write(clean_text(f"new        {name}  {_describe(found)}"))
    elif before.digest == found.digest:
        console.write(clean_text(f"unchanged  {name}  {_describe(found)}"))
    else:
        console.write(clean_text(f"changed    {name}  {short_digest(before.digest)} → {_describe(found)}"))
        console.write_all(clean_text(f"  {change}") for change in describe_changes(before, found))


def _describe(manifest: Manifest) -> str:
    files = "1 file" if len(manifest.files) == 1 else f"{len(manifest.files)} files"
    return f"{short_digest(manifest.digest)}  {files}, {show_size(manifest.size_bytes)}"


def _choose_names(wanted: Sequence[str], project: Project) -> Sequence[str]:
    for name in wanted:
        if name not in project.data:
            raise _unknown(name, project.data, str(project.config_file))
    if not project.data:
        raise ConfigError(
            "mlrun.toml names no data",
            where=str(project.config_file),
            next_step='add a section with its path: [data.churn] path = "data/churn.parquet"',
        )
    return list(dict.fromkeys(wanted)) or list(project.data)


def _unknown(name: str, known: Mapping[str, DataSource], where: str) -> ConfigError:
    return ConfigError(
        f"data {name!r} is not in mlrun.toml{did_you_mean(name, known)}",
        where=where,
        next_step=f"add a section [data.{name}] with its path",
    )
