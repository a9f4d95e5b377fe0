"""Register, at the end of a session, the runs whose tests asked for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_mlrun.records.project import Project
    from pytest_mlrun.records.run import RunRecord

_ASKS = "register."
ProjectOf = Callable[["RunRecord"], "Project"]


def models_of(run: RunRecord) -> list[str]:
    """Return the models that a run's test asked to be registered as."""
    return [name.removeprefix(_ASKS) for name in run.context if name.startswith(_ASKS)]


def register_runs(
    runs: Sequence[RunRecord], project_of: ProjectOf, *, store: Path, asked: bool, passed: bool
) -> list[str]:
    """Register runs, if that was asked for on the command line and everything passed; return what to say.

    Args:
        runs: The runs of this session.
        project_of: Returns the project of a run.
        store: Folder of the store.
        asked: Whether the session runs with ``--mlrun-register``.
        passed: Whether the session passed, every test of it.

    Raises:
        RegistryError: A run cannot be registered.
    """
    wanted = [(run, name) for run in runs if run.outcome == "passed" and not run.is_replay for name in models_of(run)]
    if not wanted:
        return []
    names = ", ".join(dict.fromkeys(name for _, name in wanted))
    if not passed:
        return [f"not registered: {names}; not everything passed"] if asked else []
    if not asked:
        return [f"not registered: {names}; to register: pytest --mlrun --mlrun-register"]
    return [_register(run, name, project_of(run), store) for run, name in wanted]


def _register(run: RunRecord, name: str, project: Project, store: Path) -> str:
    from pytest_mlrun.registry.actor import find_actor
    from pytest_mlrun.registry.registering import register
    from pytest_mlrun.registry.signers import make_signer
    from pytest_mlrun.store.store import Store

    done = register(
        project.root,
        run,
        name,
        who=find_actor(),
        note=f"asked for by {run.test}",
        find=Store.open(store).reader().find,
        sign=make_signer(project, None),
    )
    version = done.version
    push = f"; then push {done.ref}" if done.ref else ""
    return f"registered {version.ref}: {version.run_name} ({version.run_id[-8:]}); commit mlrun-registry{push}"
