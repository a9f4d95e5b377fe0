"""Take the runs of other stores into one."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_mlrun.cli.console import Console
from pytest_mlrun.cli.progress import Progress
from pytest_mlrun.cli.source import DAMAGED, find_store
from pytest_mlrun.errors import StoreError
from pytest_mlrun.report.facts import show_size
from pytest_mlrun.report.table import clean_text

if TYPE_CHECKING:
    from pytest_mlrun.store.merge import Merged
    from pytest_mlrun.store.store import Store

_NAMED = 10


def run(args: argparse.Namespace, console: Console) -> int:
    """Run ``pytest-mlrun merge``."""
    from pytest_mlrun.store.store import Store

    others = [_open_other(console.folder / name) for name in args.others]
    store = open_target(args, console)
    code = 0
    for name, other in zip(args.others, others, strict=True):
        with Progress(console, f"merging {name}"):
            merged = store.merge(other)
        write_merged(merged, name, store, args, console)
        code = code or (DAMAGED if merged.lost or merged.damaged else 0)
    if not args.json:
        count = len(Store.open(store.path).reader().runs())
        console.write(clean_text(f"{_count(count, 'run')} in {store.path}"))
    return code


def open_target(args: argparse.Namespace, console: Console) -> Store:
    """Open the store that takes over: the one that ``--into`` names, made if missing, else the nearest one.

    Args:
        args: The command line.
        console: Surroundings.

    Raises:
        StoreError: There is none, or it cannot be read or written.
    """
    from pytest_mlrun.store.store import Store

    if args.into is not None:
        return Store.open(console.folder / args.into, create=True)
    return Store.open(find_store(args, console))


def write_merged(merged: Merged, origin: str, store: Store, args: argparse.Namespace, console: Console) -> None:
    """Say what was taken over, and what was not and why.

    Args:
        merged: What was done.
        origin: Where from, as typed.
        store: Where to.
        args: The command line.
        console: Surroundings.
    """
    if args.json:
        facts = {**asdict(merged), "lost": [lost._asdict() for lost in merged.lost]}
        console.write(json.dumps({"from": origin, "into": str(store.path), **facts}))
        return
    parts = [f"{_count(len(merged.added), 'run')} added"]
    parts += [f"{len(merged.superseded)} completed"] if merged.superseded else []
    parts += [f"{merged.known} here before"] if merged.known else []
    parts += [_count(merged.annotations, "annotation")] if merged.annotations else []
    if merged.objects:
        parts.append(f"{_count(merged.objects, 'file')} of {show_size(merged.object_bytes)}")
    console.write(clean_text(f"{origin}: {', '.join(parts)}"))
    _note_unfinished(merged, origin, console)
    _write_lost(merged, console)


def _note_unfinished(merged: Merged, origin: str, console: Console) -> None:
    if merged.under_way:
        runs = _count(len(merged.under_way), "run")
        console.note(f"{runs} there not ended, left out. If over: pytest-mlrun --store {origin} verify --recover")
    if merged.busy:
        ids = ", ".join(run_id[-8:] for run_id in merged.busy[:_NAMED])
        console.note(f"not ended here, left as is: {ids}. If over: pytest-mlrun verify --recover, then merge again")


def _write_lost(merged: Merged, console: Console) -> None:
    lines = [f"{lost.run_id[-8:]}: {lost.reason}" for lost in merged.lost]
    for text in _first(lines):
        console.write(clean_text(f"not taken over: {text}"), {"red": True})
    for path in _first(merged.damaged):
        console.write(clean_text(f"damaged there: {path}"), {"red": True})


def _first(lines: Sequence[str]) -> Iterable[str]:
    more = len(lines) - _NAMED
    return (*lines[:_NAMED], *([f"and {more} more"] if more > 0 else []))


def _open_other(path: Path) -> Store:
    from pytest_mlrun.store.store import Store

    if path.is_file():
        raise StoreError(
            f"{path.name} is a file, not a store", where=str(path), next_step=f"pytest-mlrun import {path.name}"
        )
    return Store.open(path)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
