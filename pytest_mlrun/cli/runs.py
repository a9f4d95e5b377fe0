"""List runs, newest first."""

from __future__ import annotations

import argparse

from pytest_mlrun.cli.console import Console
from pytest_mlrun.cli.filters import check_status, read_cause, read_since, read_tag
from pytest_mlrun.cli.leaderboards import find_standing
from pytest_mlrun.cli.source import RunSource, note_doubtful, open_source, warn_of_damage
from pytest_mlrun.records.query import STATE, Comparison
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.report.facts import is_bad
from pytest_mlrun.report.plain import json_line
from pytest_mlrun.report.run_table import Identity, Selection, choose_metrics, lay_out_runs
from pytest_mlrun.rules.suggest import did_you_mean
from pytest_mlrun.rules.where import parse_where

_TABLE_ROWS = 50


def run(args: argparse.Namespace, console: Console) -> int:
    """Run ``pytest-mlrun runs``."""
    where = _constraint(args, console)
    source = open_source(args, console)
    limit = args.limit if args.limit is not None else 0 if args.json else _TABLE_ROWS
    shown = source.runs(experiment=args.experiment, where=where, limit=limit or None)[::-1]
    if args.json:
        console.write_all(json_line(record) for record in shown)
    elif shown:
        _write_table(shown, console)
        _write_rest(len(shown), args, where, source, console)
    if not shown:
        console.note(_nothing(args, source))
    note_doubtful(shown, console)
    return warn_of_damage(source, console)


def _write_rest(
    shown: int, args: argparse.Namespace, where: tuple[Comparison, ...], source: RunSource, console: Console
) -> None:
    more = source.count(experiment=args.experiment, where=where) - shown
    if more > 0:
        console.write(f"… and {more} more: --limit 0 shows all")


def _constraint(args: argparse.Namespace, console: Console) -> tuple[Comparison, ...]:
    where = [*parse_where(args.where), *(read_tag(text) for text in args.tag)]
    if args.status is not None:
        where.append(Comparison("attribute", STATE, "==", check_status(args.status)))
    if args.cause is not None:
        where.append(read_cause(args.cause))
    if args.since is not None:
        where.append(read_since(args.since, now_us=console.now_us))
    return tuple(where)


def _write_table(shown: list[RunRecord], console: Console) -> None:
    first: list[str] = []
    for experiment in dict.fromkeys(record.experiment for record in shown):
        standing = find_standing(experiment, [record for record in shown if record.experiment == experiment], console)
        first += standing.metrics if standing else ()
    identity: tuple[Identity, ...] = ("id", "name", "experiment", "outcome", "started", "duration")
    selection = Selection(identity=identity, metrics=choose_metrics(shown, first=first))
    layout = lay_out_runs(shown, selection, width=console.width, now_us=console.now_us)
    for text in layout.header:
        console.write(text, {"bold": True})
    for text, record in zip(layout.rows, shown, strict=True):
        console.write(text, {"red": is_bad(record)})
    if layout.left_out:
        console.write(f"no room for: {', '.join(layout.left_out)}  (--json has everything)", {"faint": True})


def _nothing(args: argparse.Namespace, source: RunSource) -> str:
    known = source.experiments()
    if not known:
        return "the store has no runs yet: pytest --mlrun"
    if args.experiment is not None and args.experiment not in known:
        guess = did_you_mean(args.experiment, known) or f"; there are: {', '.join(known[:10])}"
        return f"no experiment {args.experiment!r}{guess}"
    return "no run answers to these filters"
