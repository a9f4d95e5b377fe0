"""Rank the finished runs of an experiment."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence

from pytest_mlrun.cli.console import Console
from pytest_mlrun.cli.leaderboards import find_board, find_goals
from pytest_mlrun.cli.source import RunSource, open_source, warn_of_damage
from pytest_mlrun.errors import QueryError
from pytest_mlrun.records.query import Census
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.report.plain import json_line
from pytest_mlrun.report.run_table import Selection, choose_metrics, lay_out_runs
from pytest_mlrun.report.standing import Standing
from pytest_mlrun.report.table import clean_text, wrap_text
from pytest_mlrun.rules.leaderboard import complete_rule
from pytest_mlrun.rules.suggest import did_you_mean
from pytest_mlrun.rules.where import parse_where


def run(args: argparse.Namespace, console: Console) -> int:
    """Run ``pytest-mlrun top``."""
    parse_where(args.where or "")
    source = open_source(args, console)
    latest = source.runs(experiment=args.experiment, limit=1)
    if not latest:
        raise _no_experiment(args.experiment, source.experiments())
    standing = _choose_standing(args, latest, source, console)
    where = parse_where(standing.where)
    limit = args.limit or source.count(experiment=args.experiment)
    ranked = source.top(args.experiment, by=standing.by, goal=standing.goal, where=where, limit=limit)
    ranks = _rank(ranked, standing.by)
    if args.json:
        for record, rank in zip(ranked, ranks, strict=True):
            console.write(json_line(record, extra={"rank": int(rank.rstrip("="))}))
    else:
        _write_table(ranked, ranks, standing, console)
        console.write(clean_text(f"1 = {standing}"))
        census = source.census(args.experiment, by=standing.by, where=where)
        for line in wrap_text(_legend(census, len(ranked), standing), console.width):
            console.write(line)
    return warn_of_damage(source, console)


def _choose_standing(
    args: argparse.Namespace, latest: Sequence[RunRecord], source: RunSource, console: Console
) -> Standing:
    board = find_board(args.experiment, latest, console)
    rule = complete_rule(board, find_goals(latest, console), by=args.by, goal=args.goal, where=args.where)
    logged = source.metrics(args.experiment)
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


def _legend(census: Census, shown: int, standing: Standing) -> str:
    ranked = census.able - census.missing - census.nans
    parts = [
        f"{shown} of {ranked} shown" if shown < ranked else f"{_count(ranked, 'run')} ranked",
        f"{census.refused} of them did not pass and cannot win" if census.refused else "",
        f"{census.nans} with {standing.by} NaN" if census.nans else "",
        f"{census.missing} without {standing.by}" if census.missing else "",
        f"{census.finished - census.able} outside the constraint" if census.able < census.finished else "",
        f"{census.runs - census.finished} not finished" if census.finished < census.runs else "",
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
