"""Give an alias to a model version."""

from __future__ import annotations

import argparse

from pytest_mlrun.cli.console import Console
from pytest_mlrun.cli.registries import find_registry, find_version, lazy_finder, require_note
from pytest_mlrun.registry.actor import find_actor
from pytest_mlrun.registry.log import path_of
from pytest_mlrun.registry.promoting import promote
from pytest_mlrun.registry.refs import check_alias
from pytest_mlrun.report.table import clean_text


def run(args: argparse.Namespace, console: Console) -> int:
    """Run ``pytest-mlrun promote``."""
    alias = check_alias(args.alias)
    note = require_note(args.note, f"pytest-mlrun promote {args.ref} {alias}")
    project = find_registry(console)
    state, version = find_version(args.ref, project)
    done = promote(
        project,
        state,
        version,
        alias,
        who=find_actor(),
        note=note,
        find=lazy_finder(args, console, version.ref),
    )
    before = f", {version.model}/{done.before} before" if done.before is not None else ""
    console.write(
        clean_text(f"{version.model}@{alias} is {version.ref}{before}{' (archived)' if done.archived else ''}")
    )
    met = [*done.policy.requires, *(f"approved by {name}" for name in done.approved_by)]
    if met:
        console.write(clean_text(f"  met:        {', '.join(met)}"))
    elif alias not in project.aliases:
        console.write(clean_text(f"  unguarded:  mlrun.toml has no [aliases.{alias}]"))
    console.write(clean_text(f"  commit it:  git add {path_of(project.root, done.event).relative_to(project.root)}"))
    return 0
