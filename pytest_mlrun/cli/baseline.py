"""Write the baseline of an alias into a file that is committed."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from pytest_mlrun.cli.console import Console
from pytest_mlrun.cli.refs import find_run
from pytest_mlrun.cli.registries import find_registry
from pytest_mlrun.cli.source import find_store, open_reader
from pytest_mlrun.errors import QueryError
from pytest_mlrun.recorder.baseline_files import (
    baseline_path,
    pack_baseline,
    refuse_owned,
    refuse_unfit,
    write_baseline,
)
from pytest_mlrun.registry.refs import VersionRef, parse_ref
from pytest_mlrun.report.facts import name_of, show_size
from pytest_mlrun.report.table import clean_text


def run(args: argparse.Namespace, console: Console) -> int:
    """Run ``pytest-mlrun baseline init``."""
    ref = _read_alias(args)
    project = find_registry(console)
    reader = open_reader(args, console)
    row = find_run(args.ref, reader, console)
    refuse_unfit(row)
    judge_id = refuse_owned(ref, row, project.root)
    target = baseline_path(project.root, ref)
    write_baseline(target, pack_baseline(find_store(args, console), row, reader, judge_id=judge_id))
    _tell(target, ref, args, console, root=project.root)
    return 0


def _read_alias(args: argparse.Namespace) -> VersionRef:
    ref = parse_ref(args.alias or args.ref)
    if ref is None:
        raise QueryError(
            f"{args.alias!r} names no alias" if args.alias else "--as is needed: whose baseline is it?",
            next_step=f"name a model and an alias: pytest-mlrun baseline init {args.ref} --as churn@production",
        )
    return ref


def _tell(target: Path, ref: VersionRef, args: argparse.Namespace, console: Console, *, root: Path) -> None:
    from pytest_mlrun.store.bundle import open_bundle

    # What is said is read from the file: it was just verified.
    bundle, path = open_bundle(target), target.relative_to(root)
    seeds = sum("replicate" in run.params for run in bundle.companions)
    folds = sum("fold" in run.params for run in bundle.companions)
    if args.json:
        facts = {"run_id": bundle.row.run_id, "digest": bundle.row.digest, "file": str(target)}
        console.write(
            json.dumps(
                {
                    **facts,
                    "size_bytes": bundle.size_bytes,
                    "seeds": seeds,
                    "folds": folds,
                    "artifacts": bundle.artifacts,
                }
            )
        )
        return
    more = [f"{seeds} seeds"] if seeds else []
    more += [f"{folds} folds"] if folds else []
    more += ["the run that judged it"] if len(bundle.companions) > seeds + folds else []
    console.write(
        clean_text(
            f"{ref}: run {bundle.row.short_id}  {name_of(bundle.row)}{', with ' if more else ''}{' and '.join(more)}"
        )
    )
    console.write(clean_text(f"  commit it:  git add {path}   ({show_size(bundle.size_bytes)})"))
    if not any("evaluated." in name for run in (bundle.row, *bundle.companions) for name in run.context):
        console.note("it holds no rows: gates compare bare numbers with it, which prove nothing; see mlrun.evaluate")
