"""Write a run into one file."""

from __future__ import annotations

import argparse
import json
from contextlib import suppress
from typing import TYPE_CHECKING

from pytest_mlrun.cli.console import Console
from pytest_mlrun.cli.refs import find_run
from pytest_mlrun.cli.source import find_store, open_source
from pytest_mlrun.records.names import BASELINES_FOLDER
from pytest_mlrun.report.facts import name_of, show_size
from pytest_mlrun.report.table import clean_text

if TYPE_CHECKING:
    from pytest_mlrun.store.bundle import Bundle
    from pytest_mlrun.store.bundle_write import Choice


def run(args: argparse.Namespace, console: Console) -> int:
    """Run ``pytest-mlrun export``."""
    from pytest_mlrun.store.bundle import open_bundle
    from pytest_mlrun.store.bundle_write import export_run

    record = find_run(args.ref, open_source(args, console), console)
    target = console.folder / args.output
    if target.parent.name == BASELINES_FOLDER:
        with suppress(OSError):  # writing says why
            target.parent.mkdir(exist_ok=True)
    export_run(find_store(args, console), record.run_id, target, choice=_choice(args), also=args.artifact)
    # What is said below is read from the file: it was just verified.
    _write(open_bundle(target), args, console)
    return 0


def _choice(args: argparse.Namespace) -> Choice:
    if args.all_artifacts:
        return "all"
    return "none" if args.no_artifacts else "small"


def _write(bundle: Bundle, args: argparse.Namespace, console: Console) -> None:
    row = bundle.row
    if args.json:
        facts = {"run_id": row.run_id, "digest": row.digest, "file": str(bundle.path), "size_bytes": bundle.size_bytes}
        console.write(json.dumps({**facts, "artifacts": bundle.artifacts, "left_out": bundle.left_out}))
        return
    console.write(clean_text(f"{row.short_id}  {name_of(row)}  {args.output}  {show_size(bundle.size_bytes)}"))
    sizes = {artifact.name: artifact.size_bytes for artifact in row.artifacts}
    width = max(map(len, sizes), default=0)
    for title, names in (("with", bundle.artifacts), ("left out", bundle.left_out)):
        for name in names:
            console.write(clean_text(f"  {title:8}  {name:{width}}  {show_size(sizes[name]):>7}"))
    if bundle.left_out:
        console.note("to take them too: --artifact NAME or --all-artifacts")
