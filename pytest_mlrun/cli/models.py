"""List model versions and who holds which alias, today or on a day in the past."""

from __future__ import annotations

import argparse
from datetime import datetime, timedelta

from pytest_mlrun.cli.console import Console
from pytest_mlrun.cli.registries import find_registry
from pytest_mlrun.errors import QueryError
from pytest_mlrun.registry.log import list_models
from pytest_mlrun.registry.resolve import read_state
from pytest_mlrun.report.models import lay_out_models, show_instant, version_object
from pytest_mlrun.report.plain import plain_json

_DATE_CHARS = len("2026-03-31")


def run(args: argparse.Namespace, console: Console) -> int:
    """Run ``pytest-mlrun models``."""
    project = find_registry(console)
    until_us = None if args.at is None else read_instant(args.at)
    names = [args.model] if args.model else list_models(project.root)
    states = [read_state(project.root, name, until_us=until_us) for name in names]
    if args.json:
        for state in states:
            for version in state.versions.values():
                console.write(plain_json(version_object(state, version)))
        return 0
    if until_us is not None:
        console.note(f"as of {show_instant(until_us)}")
    if not any(state.versions for state in states):
        console.note("no model version" + ("" if until_us is None else " at that time"))
        if until_us is None:
            console.note("  next:  register a run: pytest-mlrun register RUN --name churn")
        return 0
    table = lay_out_models(states, width=console.width)
    for line in table.header:
        console.write(line, {"bold": True})
    console.write_all(table.rows)
    return 0


def read_instant(text: str) -> int:
    """Return an instant in microseconds since the epoch: the end of a day, or the time of this time zone that is given.

    Raises:
        QueryError: If it is neither a date nor a time.
    """
    try:
        then = datetime.fromisoformat(text.strip()).astimezone()
        if len(text.strip()) == _DATE_CHARS:
            then += timedelta(days=1) - timedelta(microseconds=1)
        return int(then.timestamp() * 1_000_000)
    except (ValueError, OverflowError, OSError):
        raise QueryError(f"--at {text}: not a date", next_step="write 2026-03-31 or 2026-03-31T18:00") from None
