"""Write the kept data of a run into a folder, as it was bit by bit."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from functools import partial

from pytest_mlrun.cli.console import Console
from pytest_mlrun.cli.progress import Progress
from pytest_mlrun.cli.refs import find_run
from pytest_mlrun.cli.source import find_store, open_source
from pytest_mlrun.errors import ConfigError, DataError
from pytest_mlrun.recorder.restoring import read_kept_listing, restore_kept
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.report.facts import short_digest, show_size
from pytest_mlrun.report.table import clean_text
from pytest_mlrun.rules.suggest import did_you_mean


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
        manifest = read_kept_listing(record, name, partial(source.read_artifact, record))
        with Progress(console, f"restoring {name}") as progress:
            restore_kept(manifest, target, objects, told=partial(_tell, progress))
        size = show_size(manifest.size_bytes)
        files = "1 file" if len(manifest.files) == 1 else f"{len(manifest.files)} files"
        shown = os.path.relpath(target, console.folder)
        console.write(clean_text(f"restored   {name}  {short_digest(manifest.digest)}  {files}, {size}  {shown}"))
    return 0


def _tell(progress: Progress, done_bytes: int) -> None:
    progress.detail = show_size(done_bytes)


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
