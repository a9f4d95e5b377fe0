"""Say in what runs differ, pillar by pillar."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from pytest_mlrun.cli.code_changes import describe_commits, describe_patch
from pytest_mlrun.cli.console import Console
from pytest_mlrun.cli.evidence import read_evidence
from pytest_mlrun.cli.leaderboards import find_goals
from pytest_mlrun.cli.parting import find_partings
from pytest_mlrun.cli.refs import find_earlier, find_run
from pytest_mlrun.cli.source import RunSource, open_source, warn_of_damage
from pytest_mlrun.errors import QueryError
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.report.comparison import Legend, json_lines, letters_of, parting_json_lines, render_comparison
from pytest_mlrun.rules.comparison import Aspect, compare


def run(args: argparse.Namespace, console: Console) -> int:
    """Run ``pytest-mlrun diff``."""
    source = open_source(args, console)
    runs = _find_runs(args.refs, source, console)
    evidence = [read_evidence(record, source, console) for record in runs]
    aspects = compare(evidence, goals=find_goals(runs, console))
    partings = find_partings(evidence, source, console)
    differ = [aspect for aspect in aspects if not aspect.same]
    if args.json:
        console.write_all(json_lines(aspects if args.verbose else differ, runs))
        console.write_all(parting_json_lines(partings))
    else:
        legend = Legend(runs, _code_lines(differ, runs, source, console), partings)
        for text, markup in render_comparison(
            aspects, legend, width=console.width, now_us=console.now_us, verbose=args.verbose
        ):
            console.write(text, markup)
    return warn_of_damage(source, console) or int(
        bool(differ) or any(parting.found is not None for parting in partings)
    )


def _find_runs(refs: Sequence[str], source: RunSource, console: Console) -> list[RunRecord]:
    runs = [find_run(ref, source, console) for ref in refs]
    if len(runs) == 1:
        return [find_earlier(runs[0], source), runs[0]]
    if len({record.run_id for record in runs}) < len(runs):
        raise QueryError(
            f"{runs[0].short_id} is named twice: a run does not differ from itself",
            next_step="name it once to compare it with the run of its name before it, or NAME~1 for that one",
        )
    return runs


def _code_lines(
    differ: Sequence[Aspect], runs: Sequence[RunRecord], source: RunSource, console: Console
) -> list[tuple[str, list[str]]]:
    """Return headings with what git says below each."""
    letters = letters_of(runs)
    names = {aspect.name for aspect in differ if aspect.pillar == "code"}
    lines: list[tuple[str, list[str]]] = []
    if "commit" in names:
        bodies = [describe_commits(runs[0], record, console) for record in runs[1:]]
        lines += [(f"git diff --stat {letters[0]} {who}", body) for who, body in _group(letters[1:], bodies)]
    if "uncommitted changes" in names:
        bodies = [describe_patch(record, source, console) for record in runs]
        lines += [(f"uncommitted in {who}", body) for who, body in _group(letters, bodies)]
    return lines


def _group(letters: Sequence[str], bodies: Sequence[list[str]]) -> list[tuple[str, list[str]]]:
    """Return each text once, under the letters of all runs that it is about."""
    found: dict[tuple[str, ...], list[str]] = {}
    for letter, body in zip(letters, bodies, strict=True):
        found.setdefault(tuple(body), []).append(letter)
    return [(", ".join(who), list(body)) for body, who in found.items() if body]
