"""Say which artifacts no rule keeps, and delete them if asked."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from pytest_mlrun.cli.console import Console
from pytest_mlrun.cli.progress import Progress
from pytest_mlrun.cli.source import find_store, open_source
from pytest_mlrun.records.names import REGISTRY_FOLDER
from pytest_mlrun.registry.actor import find_actor
from pytest_mlrun.report.facts import MISSING, show_size
from pytest_mlrun.report.table import Column, clean_text, lay_out, wrap_text

if TYPE_CHECKING:
    from pytest_mlrun.cli.retaining import Retaining
    from pytest_mlrun.records.retention import Fate
    from pytest_mlrun.store.collection import Account, Tally

_COLUMNS: Final = (
    Column(""),
    Column("rule"),
    Column("runs", align="right"),
    Column("files", align="right"),
    Column("size", align="right"),
    Column("", cut="end", rank=1, least=20),
)
_MEANINGS: Final[Mapping[str, str]] = {
    "live": "under way",
    "registered": "named by a registry",
    "registered_years": "out of use before that",
    "exploratory_days": "ended before that",
    "pinned": "tagged to stay",
    "top": "best of a leaderboard",
    "recent": "ended lately",
    "elsewhere": "their project is not here",
    "unreferenced": "named by no run",
    "abandoned": "left by killed processes",
}


def run(args: argparse.Namespace, console: Console) -> int:
    """Run ``pytest-mlrun gc``."""
    from pytest_mlrun.cli.retaining import Retaining
    from pytest_mlrun.store.collection import collect

    retaining = Retaining(args.project, console)
    open_source(args, console)  # seals what dead processes of this boot left: else it would count as under way
    with Progress(console, "reading what is wanted"):
        account = collect(
            find_store(args, console), retaining.decide, who=find_actor(), now_us=console.now_us, delete=args.delete
        )
    if args.json:
        console.write_all(_json_line(fate, tally) for fate, tally in account.tallies.items())
        return 0
    _write_table(account, console)
    _write_sum(account, console, deleted=args.delete)
    for note in _notes(retaining, console):
        console.write_all(clean_text(line) for line in wrap_text(note, console.width, hanging=2))
    return 0


def _write_table(account: Account, console: Console) -> None:
    rows = [
        (
            "keep" if fate.kept else "delete",
            fate.rule,
            str(tally.runs) if tally.runs else MISSING,
            str(tally.objects),
            show_size(tally.size_bytes),
            _MEANINGS[fate.rule.partition(" = ")[0]],
        )
        for fate, tally in sorted(account.tallies.items(), key=lambda entry: not entry[0].kept)
    ]
    layout = lay_out(_COLUMNS, rows, width=console.width)
    for line in layout.header:
        console.write(line, {"bold": True})
    for row, cells in zip(layout.rows, rows, strict=True):
        console.write(row, {"red": cells[0] == "delete"})


def _write_sum(account: Account, console: Console, *, deleted: bool) -> None:
    gone = account.total(kept=False)
    if not gone.objects:
        console.write("nothing to delete: every file is kept by a rule", {"green": True})
        return
    verb = "were deleted" if gone.objects != 1 else "was deleted"
    text = f"{_count(gone.objects, 'file')}, {show_size(gone.size_bytes)}, {verb if deleted else 'would be deleted'}"
    rows = "1 run keeps its row" if gone.runs == 1 else f"{gone.runs} runs keep their rows"
    console.write(f"{text}; {rows}" if gone.runs else text)
    if not deleted:
        console.write("  next:  pytest-mlrun gc --delete")


def _notes(retaining: Retaining, console: Console) -> Iterator[str]:
    asked = [
        f"{os.path.relpath(root / REGISTRY_FOLDER, console.folder)} ({count} named)"
        for root, count in sorted(retaining.registries.items())
        if (root / REGISTRY_FOLDER).is_dir()
    ]
    yield f"registries read: {', '.join(asked) or 'none found'}"
    if retaining.elsewhere:
        first, *others = sorted(retaining.elsewhere)
        more = f" and {len(others)} more" if others else ""
        yield (
            f"not here: {first}{more}. What was recorded there is kept, for its registry cannot be asked."
            " If the mlrun.toml of a folder speaks for it: --project DIR"
        )


def _json_line(fate: Fate, tally: Tally) -> str:
    return json.dumps(
        {
            "rule": fate.rule,
            "kept": fate.kept,
            "runs": tally.runs,
            "files": tally.objects,
            "size_bytes": tally.size_bytes,
        }
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
