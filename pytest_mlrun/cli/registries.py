"""Find the registry that a verb is about, and the runs behind its versions."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from pytest_mlrun.cli.console import Console
from pytest_mlrun.cli.projects import find_named_project
from pytest_mlrun.cli.source import RunSource, find_store, open_source
from pytest_mlrun.errors import QueryError, RunNotFoundError, StoreError
from pytest_mlrun.records.event import ModelState, ModelVersion
from pytest_mlrun.records.project import Project
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.registry.promoting import find_record
from pytest_mlrun.registry.refs import expect_ref
from pytest_mlrun.registry.resolve import choose, read_state


def find_registry(console: Console) -> Project:
    """Return the nearest project: its registry lies beside its ``mlrun.toml``.

    Raises:
        ConfigError: If there is no ``mlrun.toml``.
    """
    return find_named_project(
        None, console, next_step="make one, be it empty, where the registry shall lie: touch mlrun.toml"
    )


def find_version(ref: str, project: Project) -> tuple[ModelState, ModelVersion]:
    """Return the version that a person names, and what its model's events say.

    Raises:
        RegistryError: It names no version.
    """
    found = expect_ref(ref)
    state = read_state(project.root, found.model)
    return state, choose(state, found)


def record_of(version: ModelVersion, source: RunSource) -> RunRecord:
    """Return the run of a version, held to the digest that was registered.

    Raises:
        RunNotFoundError: The store does not have it.
        RegistryDamagedError: The store has another one under its id.
    """
    return find_record(version.run_id, version.run_digest, ref=version.ref, find=finder(source, version.ref))


def finder(source: RunSource, ref: str) -> Callable[[str], RunRecord]:
    """Return what finds a run by its id, and says which version lacks it."""

    def find(run_id: str) -> RunRecord:
        try:
            return source.find(run_id)
        except RunNotFoundError as error:
            raise RunNotFoundError(
                f"the run of {ref} is not in this store: {run_id[-8:]}",
                where=error.where,
                next_step="name the store that has it: --store PATH",
            ) from None

    return find


def lazy_finder(args: argparse.Namespace, console: Console, ref: str) -> Callable[[str], RunRecord]:
    """Return a finder that opens the store when the first run is asked for: not every question needs one."""
    opened: dict[str, RunSource] = {}

    def find(run_id: str) -> RunRecord:
        if "store" not in opened:
            opened["store"] = open_source(args, console)
        return finder(opened["store"], ref)(run_id)

    return find


def require_note(note: str | None, verb: str) -> str:
    """Return why something is done: the log of a registry is read by those who were not there.

    Raises:
        QueryError: If nobody said.
    """
    if note is None or not note.strip():
        raise QueryError("--note is needed: it is what history shows", next_step=f"say why: {verb} --note '…'")
    return note


def need_store(ref: str, args: argparse.Namespace, console: Console) -> Path:
    """Return the folder of the store that has the run of a reference.

    Raises:
        StoreError: There is none here, as in a fresh clone; of a model version it says which run it must have.
    """
    try:
        return find_store(args, console)
    except StoreError as error:
        named = find_named_version(ref, console)
        if named is None:
            raise
        version = named[1]
        raise StoreError(
            f"the run of {version.ref} is in no store here: {version.run_id[-8:]}",
            where=error.where,
            next_step="name the store that has it: --store PATH, before the verb",
        ) from None


def find_named_version(ref: str, console: Console) -> tuple[ModelState, ModelVersion] | None:
    """Return the model version that a text names, or None where it names none that the nearest registry knows.

    Args:
        ref: As typed, where a run is meant.
        console: Surroundings.

    Raises:
        RegistryError: The model is known, the version or the alias is not.
    """
    from pytest_mlrun.project import find_project
    from pytest_mlrun.registry.log import list_models
    from pytest_mlrun.registry.refs import parse_ref

    found = parse_ref(ref)
    if found is None:
        return None
    root = find_project(console.folder, stop=Path(console.folder.anchor)).root
    if found.model not in list_models(root):
        return None
    state = read_state(root, found.model)
    return state, choose(state, found)
