"""Answer a question in SQL over the runs, metrics, artifacts and gates of a store."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import cast

from pytest_mlrun.cli.console import Console
from pytest_mlrun.cli.source import open_reader, warn_of_damage
from pytest_mlrun.errors import QueryError
from pytest_mlrun.integrations.duckdb import Answer, ask
from pytest_mlrun.records.wire import Plain
from pytest_mlrun.report.facts import MISSING, show_numbers
from pytest_mlrun.report.plain import plain_json
from pytest_mlrun.report.table import Column, lay_out


def run(args: argparse.Namespace, console: Console) -> int:
    """Run ``pytest-mlrun sql``."""
    reader = open_reader(args, console)
    answer = ask(reader, args.query)
    if args.json:
        _write_json(answer, console)
    else:
        _write_table(answer, console)
    return warn_of_damage(reader, console)


def _write_json(answer: Answer, console: Console) -> None:
    twice = [name for name in answer.columns if answer.columns.count(name) > 1]
    if twice:
        raise QueryError(f"two columns are named {twice[0]!r}", next_step=f"name one of them: … as other_{twice[0]}")
    for row in answer.rows:
        console.write(plain_json({name: _plain(value) for name, value in zip(answer.columns, row, strict=True)}))


def _write_table(answer: Answer, console: Console) -> None:
    values = list(zip(*answer.rows, strict=True)) or [()] * len(answer.columns)
    columns = [_column(name, at, cells) for at, (name, cells) in enumerate(zip(answer.columns, values, strict=True))]
    rows = list(zip(*(_show(cells) for cells in values), strict=True))
    layout = lay_out(columns, rows, width=console.width)
    for text in layout.header:
        console.write(text, {"bold": True})
    console.write_all(layout.rows)
    if layout.left_out:
        console.write(f"no room for: {', '.join(layout.left_out)}  (--json has everything)", {"faint": True})
    console.note("1 row" if len(rows) == 1 else f"{len(rows)} rows")


def _column(name: str, at: int, cells: Sequence[object]) -> Column:
    if _are_numbers(cells):
        return Column(name, align="right", rank=at)
    return Column(name, cut="middle" if all(isinstance(cell, str | None) for cell in cells) else "end", rank=at)


def _are_numbers(cells: Sequence[object]) -> bool:
    known = [cell for cell in cells if cell is not None]
    return bool(known) and all(isinstance(cell, int | float | Decimal) and not isinstance(cell, bool) for cell in known)


def _show(cells: Sequence[object]) -> list[str]:
    if _are_numbers(cells) and not all(isinstance(cell, int | None) for cell in cells):
        return show_numbers([None if cell is None else float(cast("float", cell)) for cell in cells])
    return [_show_one(cell) for cell in cells]


def _show_one(cell: object) -> str:
    if cell is None:
        return MISSING
    if isinstance(cell, datetime):
        return cell.isoformat(sep=" ", timespec="seconds")
    plain = _plain(cell)
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)


def _plain(value: object) -> Plain:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return float(value) if isinstance(value, Decimal) else _text(value)


def _text(value: object) -> str:
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return value.hex() if isinstance(value, bytes) else str(value)
