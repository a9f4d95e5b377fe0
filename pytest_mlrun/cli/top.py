"""Rank the finished runs of an experiment."""

from __future__ import annotations

import argparse
import math
import shlex
from collections.abc import Sequence

from pytest_mlrun.cli.console import Console
from pytest_mlrun.cli.leaderboards import find_board, find_goals
from pytest_mlrun.cli.source import open_source, warn_of_damage
from pytest_mlrun.errors import QueryError
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.report.plain import json_line
from pytest_mlrun.report.run_table import Selection, choose_metrics, lay_out_runs
from pytest_mlrun.report.standing import Standing
from pytest_mlrun.report.table import clean_text, wrap_text
from pytest_mlrun.rules.leaderboard import can_win, complete_rule, matches
from pytest_mlrun.rules.suggest import did_you_mean
from pytest_mlrun.rules.where import parse_where


def run(args: argparse.Namespace, console: Console) -> int:
    """Run ``pytest-mlrun top``."""
    parse_where(args.where or "")
    source = open_source(args, console)
    runs = source.runs(experiment=args.experiment)
    if not runs:
        raise _no_experiment(args.experiment, sorted({record.experiment for record in source.runs()}))
    standing = _choose_standing(args, runs, console)
    where = parse_where(standing.where)
    ranked = source.top(args.experiment, by=standing.by, goal=standing.goal, where=where, limit=args.limit or len(runs))
    ranks = _rank(ranked, standing.by)
    if args.json:
        for record, rank in zip(ranked, ranks, strict=True):
            console.write(json_line(record, extra={"rank": int(rank.rstrip("="))}))
    else:
        _write_table(ranked, ranks, standing, console)
        console.write(clean_text(f"1 = {standing}"))
        for line in wrap_text(_legend(runs, len(ranked), standing), console.width):
            console.write(line)
    return warn_of_damage(source, console)


def _choose_standing(args: argparse.Namespace, runs: Sequence[RunRecord], console: Console) -> Standing:
    board = find_board(args.experiment, runs, console)
    rule = complete_rule(board, find_goals(runs, console), by=args.by, goal=args.goal, where=args.where)
    logged = list(dict.fromkeys(name for record in runs for name in record.metrics))
    if not rule.by:
        raise QueryError(
            f"nothing says which metric ranks {args.experiment!r}",
            details=(f"its runs log: {', '.join(logged) or 'no metrics'}",),
            next_step=f'--by METRIC, or in mlrun.toml: [leaderboard.{args.experiment}] by = "…"',
        )
    if rule.by not in logged:
        raise QueryError(
            f"no run of {args.experiment!r} has a metric {rule.by!r}{did_you_mean(rule.by, logged)}",
            details=(f"its runs log: {', '.join(logged) or 'no metrics'}",),
            next_step="--by one of them",
        )
    if rule.goal is None:
        command = shlex.join(["pytest-mlrun", "top", args.experiment, "--by", rule.by, "--goal"])
        raise QueryError(
            f"is a higher or a lower {rule.by!r} better?",
            next_step=f'{command} max (or min), or in mlrun.toml: [metrics.{rule.by}] goal = "max"',
        )
    return Standing(rule.by, rule.goal, rule.where)


def _rank(ranked: Sequence[RunRecord], by: str) -> list[str]:
    values = [record.metrics[by] for record in ranked]
    return [f"{values.index(value) + 1}{'=' if values.count(value) > 1 else ''}" for value in values]


def _write_table(ranked: list[RunRecord], ranks: list[str], standing: Standing, console: Console) -> None:
    if not ranked:
        return
    selection = Selection(
        identity=("mark", "id", "name", "outcome", "started"),
        metrics=choose_metrics(ranked, first=standing.metrics),
        marks={record.run_id: rank for record, rank in zip(ranked, ranks, strict=True)},
        distinct=standing.by,
    )
    layout = lay_out_runs(ranked, selection, width=console.width, now_us=console.now_us)
    for text in layout.header:
        console.write(text, {"bold": True})
    for text, rank in zip(layout.rows, ranks, strict=True):
        console.write(text, {"green": rank.rstrip("=") == "1"})
    if layout.left_out:
        console.write(f"no room for: {', '.join(layout.left_out)}  (--json has everything)", {"faint": True})


def _legend(runs: Sequence[RunRecord], shown: int, standing: Standing) -> str:
    where = parse_where(standing.where)
    finished = [record for record in runs if record.status == "finished"]
    able = [record for record in finished if matches(record, where)]
    missing = sum(standing.by not in record.metrics for record in able)
    nans = sum(math.isnan(record.metrics.get(standing.by, 0.0)) for record in able)
    ranked = len(able) - missing - nans
    refused = sum(not can_win(record) and not math.isnan(record.metrics.get(standing.by, math.nan)) for record in able)
    parts = [
        f"{shown} of {ranked} shown" if shown < ranked else f"{_count(ranked, 'run')} ranked",
        f"{refused} of them did not pass and cannot win" if refused else "",
        f"{nans} with {standing.by} NaN" if nans else "",
        f"{missing} without {standing.by}" if missing else "",
        f"{len(finished) - len(able)} outside the constraint" if len(able) < len(finished) else "",
        f"{len(runs) - len(finished)} not finished" if len(finished) < len(runs) else "",
    ]
    return clean_text(", ".join(part for part in parts if part))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _no_experiment(name: str, known: Sequence[str]) -> QueryError:
    return QueryError(
        f"no experiment {name!r}{did_you_mean(name, known)}",
        details=(f"experiments here: {', '.join(known[:10])}",) if known else (),
        next_step="list the runs: pytest-mlrun runs" if known else "record a first run: pytest --mlrun",
    )
