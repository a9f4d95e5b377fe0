"""Say which place serves which model."""

from __future__ import annotations

import argparse

from pytest_mlrun.cli.console import Console
from pytest_mlrun.cli.registries import find_registry
from pytest_mlrun.errors import QueryError, RegistryError
from pytest_mlrun.records.event import Event, Value
from pytest_mlrun.records.project import Project
from pytest_mlrun.registry.actor import find_actor
from pytest_mlrun.registry.log import append, list_models, path_of
from pytest_mlrun.registry.refs import expect_ref
from pytest_mlrun.registry.resolve import choose, find_alias, read_state
from pytest_mlrun.report.models import describe_event
from pytest_mlrun.report.table import clean_text

_MOST_CHARS = 500


def run(args: argparse.Namespace, console: Console) -> int:
    """Run ``pytest-mlrun endpoint``."""
    project = find_registry(console)
    event = _add(args, project) if args.action == "add" else _remove(args, project)
    console.write(clean_text(describe_event(event)))
    console.write(clean_text(f"  commit it:  git add {path_of(project.root, event).relative_to(project.root)}"))
    return 0


def _add(args: argparse.Namespace, project: Project) -> Event:
    name: str = args.endpoint
    if not name.strip() or not name.isprintable() or len(name) > _MOST_CHARS:
        raise QueryError(f"{name!r:.60} cannot name an endpoint", next_step="name it by its URL, or by its service")
    ref = expect_ref(args.ref)
    state = read_state(project.root, ref.model)
    version = choose(state, ref)
    if name in state.endpoints:
        raise RegistryError(
            f"{name} serves {ref.model!r} already", next_step=f"first: pytest-mlrun endpoint remove {name} --note '…'"
        )
    # What follows an alias goes on following it; what serves one version is named by its number.
    alias = find_alias(ref, state.aliases) if ref.alias else ""
    body: dict[str, Value] = {"endpoint": name, "alias": alias, "version": 0 if alias else version.version}
    return append(
        project.root, state.events, model=ref.model, kind="endpoint_added", who=find_actor(), note=args.note, body=body
    )


def _remove(args: argparse.Namespace, project: Project) -> Event:
    for model in list_models(project.root):
        state = read_state(project.root, model)
        if args.endpoint in state.endpoints:
            return append(
                project.root,
                state.events,
                model=model,
                kind="endpoint_removed",
                who=find_actor(),
                note=args.note,
                body={"endpoint": args.endpoint},
            )
    raise RegistryError(
        f"no model is known to be served at {args.endpoint}", next_step="list the models: pytest-mlrun models --json"
    )
