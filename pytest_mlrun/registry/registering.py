"""Register a run as the next version of a model."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from pytest_mlrun.errors import RegistryError
from pytest_mlrun.pillars.git import Repository, open_repository
from pytest_mlrun.records.event import ModelVersion, StoredModel, Value
from pytest_mlrun.records.project import Project
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.registry.commits import find_authors, keep_commit, ref_name
from pytest_mlrun.registry.fold import fold, version_body
from pytest_mlrun.registry.log import append, read_events
from pytest_mlrun.registry.refs import check_model_name
from pytest_mlrun.registry.signers import Sign

FindRun = Callable[[str], RunRecord]


@dataclass(frozen=True, slots=True)
class Registration:
    """A version that was registered.

    Attributes:
        version: The version.
        ref: The git ref that keeps its commit; empty where the run knew no commit.
        path: File of the event, to commit.
    """

    version: ModelVersion
    ref: str
    path: Path


def check_registrable(run: RunRecord) -> None:
    """Refuse a run that can be no model version.

    Raises:
        RegistryError: It did not finish, did not pass, was recorded outside pytest, or logged no model.
    """
    found, cure = "", "register one that passed: pytest-mlrun runs --status passed"
    if run.status != "finished" or run.outcome != "passed":
        found = (
            f"it is {run.status}" if run.status != "finished" else f"it {run.outcome}: {run.cause or 'no cause known'}"
        )
    elif run.context.get("pinned") == "false":
        found, cure = "it was recorded outside pytest, unpinned", "make it a test, and run it: pytest --mlrun"
    elif run.is_replay:
        of = str(json.loads(run.context["replay.of"]))[-8:]
        found, cure = "it is a replay", f"register the run that it made again: {of}"
    elif not _files_of(run) and "selection.winner" not in run.context:
        found, cure = "it logged no model", "log it in the test: mlrun.log_model(model)"
    if found:
        raise RegistryError(
            f"run {run.short_id} cannot be registered: {found}", where=f"{run.name} of {run.experiment}", next_step=cure
        )


def check_asked(name: str, project: Project, *, pinned: bool) -> None:
    """Refuse in a test what could not be registered at the end of its session.

    Raises:
        RegistryError: The name can name no model, there is no ``mlrun.toml``, or the run is none of pytest's.
    """
    check_model_name(name)
    if not pinned:
        raise RegistryError(
            "a run that was recorded outside pytest cannot be registered",
            next_step="make it a test, and run it: pytest --mlrun --mlrun-register",
        )
    if project.config_file is None:
        raise RegistryError(
            "no mlrun.toml: the registry lies beside it",
            where=str(project.root),
            next_step="make one, be it empty: touch mlrun.toml",
        )


def register(
    project: Path, named: RunRecord, model: str, *, who: str, note: str, find: FindRun, sign: Sign | None = None
) -> Registration:
    """Register a run under a model's name, and keep its commit; of a run that judged a winner, the winner.

    Args:
        project: Folder of ``mlrun.toml``.
        named: The run.
        model: Name of the model.
        who: Who registers it.
        note: Why.
        find: Finds a run by its id.
        sign: Signs a statement; returns the signature, the signer, and the digest of the signers' file.

    Raises:
        RegistryError: The run or the name cannot be registered.
        LostRaceError: Somebody else wrote the model's next event first.
    """
    check_model_name(model)
    check_registrable(named)
    run = named
    if "selection.winner" in named.context:
        run = find(json.loads(named.context["selection.winner"]))
        check_registrable(run)
    events = read_events(project, model)
    state = fold(model, events)
    for known in state.versions.values():
        if known.run_id == run.run_id:
            raise RegistryError(
                f"run {run.short_id} is {known.ref} already", next_step=f"look at it: pytest-mlrun show {known.ref}"
            )
    repository = open_repository(project)
    version = _describe(run, named, model, len(state.versions) + 1, repository)
    body = version_body(version)
    if sign is not None:
        statement = registration_statement(version)
        signature, principal, signers = sign(statement)
        body |= {"principal": principal, "signature": signature, "signers": signers}
    event = append(project, events, model=model, kind="registered", who=who, note=note, body=body)
    ref = ""
    if version.commit and isinstance(repository, Repository):
        # After the event, which decides whose number it is; should this not happen, promoting makes up for it.
        ref = keep_commit(repository, version.commit, model=model, version=version.version)
    registered = fold(model, (*events, event)).versions[version.version]
    return Registration(registered, ref, project / "mlrun-registry" / model / f"{event.number:06}.json")


def registration_statement(version: ModelVersion) -> dict[str, Value]:
    """Return what the registrar signs."""
    return {
        "kind": "mlrun-registration",
        "v": 1,
        "model": version.model,
        "version": version.version,
        "run_id": version.run_id,
        "run_digest": version.run_digest,
        "commit": version.commit,
    }


def _describe(run: RunRecord, named: RunRecord, model: str, number: int, repository: Repository | str) -> ModelVersion:
    commit = _fact(run, "code.commit")
    authors: tuple[str, ...] = ()
    if commit:
        if isinstance(repository, str):
            raise RegistryError(
                f"{repository}: the commit {commit[:10]} of the run cannot be kept",
                next_step=f"register it in the checkout, which then keeps {ref_name(model, number)}",
            )
        authors = find_authors(repository, commit)
    judged = named is not run
    return replace(
        facts_of(run),
        model=model,
        version=number,
        commit=commit,
        authors=authors,
        judge_id=named.run_id if judged else "",
        judge_digest=named.digest if judged else "",
    )


def facts_of(run: RunRecord) -> ModelVersion:
    """Return what a version says of its run, and nothing of the registry."""
    seed = _fact(run, "rand.seed")
    return ModelVersion(
        model="",
        version=0,
        run_id=run.run_id,
        run_digest=run.digest,
        run_name=run.name,
        experiment=run.experiment,
        test=run.test,
        commit=_fact(run, "code.commit"),
        authors=(),
        seed=int(seed) if seed else None,
        data={
            name.removeprefix("data.").removesuffix(".digest"): json.loads(text)
            for name, text in run.context.items()
            if name.startswith("data.") and name.endswith(".digest")
        },
        params=dict(run.params),
        files=_files_of(run),
        judge_id="",
        judge_digest="",
        registered_us=0,
        who="",
        principal="",
        note="",
        event="",
    )


def find_difference(version: ModelVersion, run: RunRecord) -> str:
    """Return what a version says otherwise than its run's record, or nothing."""
    told = facts_of(run)
    names = ("run_name", "experiment", "test", "commit", "seed", "data", "params", "files")
    return next((name for name in names if getattr(version, name) != getattr(told, name)), "")


def _files_of(run: RunRecord) -> tuple[StoredModel, ...]:
    return tuple(
        StoredModel(file.name, file.digest, file.size_bytes, file.unsafe)
        for file in run.artifacts
        if file.role == "model"
    )


def _fact(run: RunRecord, name: str) -> str:
    found = json.loads(run.context.get(name, "null"))
    return "" if found is None else str(found)
