"""Rewrite the store's many small files as few large ones."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping
from typing import Protocol

from pytest_mlrun.cli.console import Console
from pytest_mlrun.cli.progress import Progress
from pytest_mlrun.cli.source import DAMAGED, find_store
from pytest_mlrun.report.facts import show_size
from pytest_mlrun.report.table import Column, clean_text, lay_out


class Weight(Protocol):
    """How much a store's sealed runs take."""

    @property
    def segments(self) -> int:
        """Segments."""
        ...

    @property
    def series_files(self) -> int:
        """Files of series."""
        ...

    @property
    def size_bytes(self) -> int:
        """Bytes of both."""
        ...


class PutAside(Protocol):
    """A damaged file that was put aside."""

    @property
    def path(self) -> str:
        """Where it is now."""
        ...

    @property
    def was(self) -> str:
        """Where it was."""
        ...

    @property
    def run_ids(self) -> tuple[str, ...]:
        """Runs that are lost with it, as far as they can be named."""
        ...

    @property
    def is_segment(self) -> bool:
        """Whether the runs themselves are lost, not only their series."""
        ...


def run(args: argparse.Namespace, console: Console) -> int:
    """Run ``pytest-mlrun compact``."""
    from pytest_mlrun.store.store import Store

    store = Store.open(find_store(args, console))
    store.recover()
    with Progress(console, "compacting the store") as progress:

        def tell(text: str) -> None:
            progress.detail = text

        done = store.compact(tell=tell)
    if done is None:
        console.note(f"another process is compacting {store.path}: nothing to do here")
        return 0
    if args.json:
        before, after = _facts(done.before), _facts(done.after)
        console.write(json.dumps({"before": before, "after": after, "rewritten": done.rewritten}))
    else:
        write_weights(done.before, done.after, store=str(store.path), console=console)
    return write_put_aside(done.quarantined, console)


def write_weights(before: Weight, after: Weight, *, store: str, console: Console) -> None:
    """Write what there was and what there is.

    Args:
        before: The store before.
        after: The store after.
        store: Its path.
        console: Where to.
    """
    if before == after:
        console.write(clean_text(f"nothing to compact: {_count(after.segments, 'segment')} in {store}"))
        return
    rows = [
        ("segments", str(before.segments), str(after.segments)),
        ("series files", str(before.series_files), str(after.series_files)),
        ("size", show_size(before.size_bytes), show_size(after.size_bytes)),
    ]
    columns = [Column(""), Column("before", align="right"), Column("after", align="right")]
    layout = lay_out(columns, rows, width=console.width)
    for line in layout.header:
        console.write(line, {"bold": True})
    console.write_all(layout.rows)


def write_put_aside(files: Iterable[PutAside], console: Console, *, names: Mapping[str, str] | None = None) -> int:
    """Write which damaged files were put aside, and what is lost with each: beside what ``--json`` promises.

    Args:
        files: The files.
        console: Where to.
        names: Run id to name.

    Returns:
        The exit code: 3 if there were any, else 0.
    """
    found = list(files)
    for file in found:
        console.note(f"put aside: {file.path}")
        console.note(f"  was:   {file.was}")
        what = "run" if file.is_segment else "series of run"
        for run_id in file.run_ids:
            console.note(f"  lost:  {what} {run_id[-8:]}  {(names or {}).get(run_id, '')}".rstrip())
    if found:
        console.note(f"{_count(len(found), 'file')} put aside; what is intact of it stays where it was")
        console.note("  next:  copy the file from a copy of the store to where it was, then remove what was put aside")
    return DAMAGED if found else 0


def _facts(weight: Weight) -> dict[str, int]:
    return {"segments": weight.segments, "series_files": weight.series_files, "size_bytes": weight.size_bytes}


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
