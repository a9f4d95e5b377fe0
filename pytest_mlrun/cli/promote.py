"""Give an alias to a model version."""

from __future__ import annotations

import argparse
from pathlib import Path

from pytest_mlrun.cli.console import Console
from pytest_mlrun.cli.registries import find_registry, find_version, lazy_finder, record_of, require_note
from pytest_mlrun.cli.source import find_store, open_reader
from pytest_mlrun.errors import RunNotFoundError, StoreDamagedError, StoreError, StoreWriteError
from pytest_mlrun.recorder.baseline_files import baseline_path, pack_baseline, write_baseline
from pytest_mlrun.records.event import ModelVersion
from pytest_mlrun.registry.actor import find_actor
from pytest_mlrun.registry.log import path_of
from pytest_mlrun.registry.promoting import promote
from pytest_mlrun.registry.refs import VersionRef, check_alias
from pytest_mlrun.report.table import clean_text, wrap_text


def run(args: argparse.Namespace, console: Console) -> int:
    """Run ``pytest-mlrun promote``."""
    alias = check_alias(args.alias)
    note = require_note(args.note, f"pytest-mlrun promote {args.ref} {alias}")
    project = find_registry(console)
    state, version = find_version(args.ref, project)
    target = baseline_path(project.root, VersionRef(version.model, alias=alias))
    # Before the event: what cannot be read stops the promotion, and not only its baseline.
    baseline = _pack(args, console, version)
    done = promote(
        project,
        state,
        version,
        alias,
        who=find_actor(),
        note=note,
        find=lazy_finder(args, console, version.ref),
    )
    before = f", {version.model}/{done.before} before" if done.before is not None else ""
    console.write(
        clean_text(f"{version.model}@{alias} is {version.ref}{before}{' (archived)' if done.archived else ''}")
    )
    met = [*done.policy.requires, *(f"approved by {name}" for name in done.approved_by)]
    if met:
        console.write_all(wrap_text(clean_text(f"  met:        {', '.join(met)}"), console.width, hanging=14))
    elif alias not in project.aliases:
        console.write(clean_text(f"  unguarded:  mlrun.toml has no [aliases.{alias}]"))
    files = [path_of(project.root, done.event)]
    if baseline is not None:
        _write(target, baseline)
        files.append(target)
    names = " ".join(str(file.relative_to(project.root)) for file in files)
    console.write(clean_text(f"  commit it:  git add {names}"))
    if baseline is None:
        cure = f"pytest-mlrun baseline init {target.stem}"
        console.note(f"no baseline was written: the run is not in a store here. Where it is: {cure}")
    return 0


def _write(target: Path, baseline: bytes) -> None:
    try:
        write_baseline(target, baseline)
    except StoreWriteError as error:
        raise StoreWriteError(
            f"promoted, but its baseline was not written: {error.headline}",
            where=error.where,
            next_step=f"commit the event; make room, then: pytest-mlrun baseline init {target.stem}",
        ) from error


def _pack(args: argparse.Namespace, console: Console, version: ModelVersion) -> bytes | None:
    """Return the baseline of a version; None where the store that has its run is elsewhere."""
    try:
        reader = open_reader(args, console)
        row = record_of(version, reader)
    except RunNotFoundError:
        return None
    except StoreDamagedError:
        raise
    except StoreError:
        # No store at all: a registry is promoted in checkouts that never trained.
        return None
    return pack_baseline(find_store(args, console), row, reader, judge_id=version.judge_id)
