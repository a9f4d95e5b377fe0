"""Take the runs of exported files into a store."""

from __future__ import annotations

import argparse

from pytest_mlrun.cli.console import Console
from pytest_mlrun.cli.merge import open_target, write_merged
from pytest_mlrun.report.facts import name_of
from pytest_mlrun.report.table import clean_text


def run(args: argparse.Namespace, console: Console) -> int:
    """Run ``pytest-mlrun import``."""
    from pytest_mlrun.store.bundle import open_bundle

    # All are opened first: one that is refused leaves the store as it was.
    bundles = [open_bundle(console.folder / name) for name in args.files]
    store = open_target(args, console)
    for name, bundle in zip(args.files, bundles, strict=True):
        merged = store.take_bundle(bundle)
        write_merged(merged, name, store, args, console)
        if not args.json:
            for row in (bundle.row, *bundle.companions):
                console.write(clean_text(f"  {row.short_id}  {name_of(row)}"))
        for artifact in bundle.left_out if merged.added and not args.json else ():
            console.write(clean_text(f"  not in the file: {artifact}"))
    return 0
