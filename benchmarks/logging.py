"""Measure what one logged point costs, beside other trackers, and what a SIGKILL leaves of it."""
# ruff: noqa: E402 - the import path must be right before anything is imported

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    # As a script, this folder comes first on the path, and this file would be everybody's ``import logging``.
    sys.path[:] = [str(ROOT), *(entry for entry in sys.path if Path(entry).resolve() != ROOT / "benchmarks")]

import argparse
import json
import shlex
import tempfile
from collections.abc import Sequence
from dataclasses import asdict

from benchmarks.comparison import Result, judge_goals, render_kills, render_notes, render_timings, summaries_of
from benchmarks.machine import machine_facts, render_facts
from benchmarks.peers import NAMES
from benchmarks.processes import default_core, positive
from benchmarks.rounds import Plan, measure


def parse_arguments(arguments: Sequence[str]) -> tuple[Plan, Path | None]:
    """Return what is to be measured, and the file for the figures."""
    parser = argparse.ArgumentParser(prog="benchmarks/logging.py", description=__doc__)
    add = parser.add_argument
    add("--points", type=positive, default=100_000, help="points a run (%(default)s); slow trackers get fewer")
    add("--reps", type=positive, default=5, help="rounds (%(default)s); medians are reported")
    add("--kill", type=positive, nargs="?", const=5, default=0, dest="kills", metavar="KILLS",
        help="also kill KILLS runs of each tracker (%(const)s) and count what is left")  # fmt: skip
    add("--peers", type=_peer_names, default=NAMES, help="comma-separated; default all")
    add("--json", type=Path, metavar="FILE", help="write every figure to FILE")
    add("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where trackers write (%(default)s)")
    add("--core", type=int, default=default_core(), help="core of the measured process (%(default)s); -1 for any")
    add("--realtime", action="store_true", help="give it round-robin priority (needs the right to)")
    add("--timeout-s", type=float, default=300.0, help="limit of one run (%(default)s)")
    chosen = vars(parser.parse_args(arguments))
    json_file: Path | None = chosen.pop("json")
    return Plan(**chosen), json_file


def render_report(results: Sequence[Result], facts: str) -> str:
    """Write the whole report in Markdown."""
    kills = render_kills(results)
    parts = [
        "### One call a point",
        facts,
        render_timings(results),
        *(["### SIGKILL while logging", kills] if kills else []),
        "### Goals",
        "\n".join(judge_goals(results)) or "- pytest-mlrun was not measured",
        "### Notes",
        render_notes(results),
    ]
    return "\n\n".join(parts) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Measure, print the report, and write the figures if asked to."""
    plan, json_file = parse_arguments(arguments)
    facts = machine_facts(plan.folder, core=plan.core, realtime=plan.realtime)
    command = shlex.join(["python", "benchmarks/logging.py", *arguments])
    results = measure(plan)
    sys.stdout.write(render_report(results, render_facts(facts, command)))
    if json_file is not None:
        summaries = {name: asdict(summary) for name, summary in summaries_of(results).items()}
        figures = {
            "command": command,
            "machine": facts,
            "trackers": [{**asdict(result), "medians": summaries.get(result.name)} for result in results],
        }
        json_file.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0


def _peer_names(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise argparse.ArgumentTypeError(f"no tracker {unknown[0]!r}; there are: {', '.join(NAMES)}")
    return names


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
