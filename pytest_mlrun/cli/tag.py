"""Add tags and a note to a run that has ended, without changing its row."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from pytest_mlrun.cli.console import Console
from pytest_mlrun.cli.leaderboards import find_projects
from pytest_mlrun.cli.refs import find_run
from pytest_mlrun.cli.source import find_store, open_source
from pytest_mlrun.errors import QueryError
from pytest_mlrun.records.project import Project
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.registry.actor import find_actor
from pytest_mlrun.report.facts import name_of
from pytest_mlrun.report.plain import event_line
from pytest_mlrun.report.table import clean_text
from pytest_mlrun.rules.naming import check_note, check_tag


def run(args: argparse.Namespace, console: Console) -> int:
    """Run ``pytest-mlrun tag``."""
    from pytest_mlrun.store.store import Store

    tags = _read_tags(args.tags)
    if not tags and not args.note:
        raise QueryError(
            "nothing to add: neither a tag nor a note",
            next_step="pytest-mlrun tag RUN stage=candidate --note 'best of the sweep'",
        )
    record = find_run(args.ref, open_source(args, console), console)
    project = _project_of(record, console)
    for key, value in tags.items():
        check_tag(key, value, project.naming)
    check_note(args.note)
    event = Store.open(find_store(args, console)).annotate(record.run_id, tags=tags, note=args.note, who=find_actor())
    if args.json:
        console.write(event_line(event))
        return 0
    console.write(clean_text(f"{record.short_id}  {name_of(record)}"))
    for key, value in event.tags.items():
        before = record.tags.get(key)
        console.write(clean_text(f"  {key} = {value}" + (f"  (was {before})" if before not in {None, value} else "")))
    if event.note:
        console.write(clean_text(f"  note: {event.note}"))
    return 0


def _read_tags(texts: Sequence[str]) -> dict[str, str]:
    tags: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise QueryError(f"{text!r} is no tag: expected key=value", next_step="write it as stage=candidate")
        if key in tags:
            raise QueryError(f"tag {key!r} is given twice", next_step="give it once")
        tags[key] = value
    return tags


def _project_of(record: RunRecord, console: Console) -> Project:
    """Return the project whose vocabulary holds: the one that the run was recorded in, else the nearest."""
    projects = list(find_projects([record], console))
    recorded = record.context.get("project")
    for project in projects:
        if recorded is not None and project.root == Path(json.loads(recorded)):
            return project
    return projects[0] if projects else Project(root=console.folder)
