"""Find the run that is to be made again, and compare it with what was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_mlrun.errors import RunNotFoundError, StoreError
from pytest_mlrun.recorder.accounts import Recorded, open_exported, read_account, take_recorded
from pytest_mlrun.records.names import BASELINES_FOLDER
from pytest_mlrun.registry.log import list_models
from pytest_mlrun.registry.promoting import find_record
from pytest_mlrun.registry.refs import parse_ref
from pytest_mlrun.registry.resolve import resolve
from pytest_mlrun.rules.reproduction import compare_runs, with_findings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_mlrun.records.project import Project
    from pytest_mlrun.records.reproduction import Reproduction
    from pytest_mlrun.records.run import RunRecord
    from pytest_mlrun.store.reader import Reader

OF = "replay.of"
FINDINGS = "replay.findings"
_SUFFIX = ".mlrun"


def find_recorded(ref: str, *, store: Path, project_dir: Path, folder: Path) -> Recorded:
    """Return the run that is named, and where it is read.

    Args:
        ref: An exported file, a model version or alias, the end of a run's id, or a run's name.
        store: Folder of the store.
        project_dir: Folder of ``mlrun.toml``, with the registry.
        folder: Folder that a file's path is relative to.

    Raises:
        RunNotFoundError: No run answers to it.
        RegistryError: The registry knows the model, but no such version or alias.
        StoreDamagedError: What was found is not what was recorded, or not what was registered.
        StoreError: The store, or the file, cannot be read.
    """
    from pytest_mlrun.store.store import Store

    if ref.endswith(_SUFFIX):
        return open_exported(folder / ref)
    named = parse_ref(ref)
    if named is not None and named.model in list_models(project_dir):
        return _find_registered(ref, store=store, project_dir=project_dir)
    reader = Store.open(store).reader()
    return take_recorded(reader.find(ref), reader, where=str(store))


def refuse_unfit(recorded: Recorded) -> None:
    """Refuse a run that cannot be made again.

    Raises:
        RunNotFoundError: It has not ended, no seed is known, it is a trial inside another run, or itself a replay.
    """
    run = recorded.run
    found, cure = "", "name one that did: pytest-mlrun runs --status finished"
    if run.status not in {"finished", "failed"}:
        found = f"did not come to its end: it is {run.status}"
    elif "rand.seed" not in run.context:
        found, cure = "has no recorded seed to start from", "name a run that pytest --mlrun recorded"
    elif run.context.get("pinned") == "false":
        found, cure = "was recorded outside pytest: no test makes it again", "name a run that pytest --mlrun recorded"
    elif run.parent_id is not None:
        found, cure = "is a trial inside another run, and no test of its own", f"name that one: {run.parent_id[-8:]}"
    elif OF in run.context:
        found, cure = "is itself a replay", f"name the run that it replayed: {str(json.loads(run.context[OF]))[-8:]}"
    if found:
        raise RunNotFoundError(f"run {run.short_id} {found}", where=f"{recorded.where}, {run.name}", next_step=cure)


def compare_replay(recorded: Recorded, replayed: RunRecord, reader: Reader, project: Project) -> Reproduction:
    """Compare a recorded run with its replay in a store.

    Args:
        recorded: The recorded run.
        replayed: The replay.
        reader: The store that has it.
        project: What its ``mlrun.toml`` says of tolerances.
    """
    names = {*recorded.run.metrics, *replayed.metrics}
    names |= {artifact.name for artifact in recorded.run.artifacts if artifact.role == "predictions"}
    noted = json.loads(replayed.context.get(FINDINGS, "[]"))
    found = compare_runs(
        recorded.account(),
        read_account(replayed, reader),
        overrides=project.replay.overrides(sorted(names)),
        spread=recorded.spread,
        findings=[str(finding) for finding in noted],
    )
    return with_findings(found, _times_that_differ(found, project))


def _times_that_differ(found: Reproduction, project: Project) -> list[str]:
    """Return what to do about metrics that are times, which no training repeats."""
    differing = [metric.name for metric in found.metrics if metric.status == "differs"]
    return [
        f"{name} is a time ({unit}), another one in each training; if it is no result of the model, say so in "
        f"mlrun.toml, under [replay.tolerances]: {name} = {{ abs = inf }}"
        for name, unit in project.times(differing).items()
    ]


def environment_of(recorded: Recorded) -> Mapping[str, object] | None:
    """Return the environment that a run was recorded in, if it can be read."""
    return recorded.account().evidence.environment


def _find_registered(ref: str, *, store: Path, project_dir: Path) -> Recorded:
    """Return the run of a model version, of the store or of the file committed for it, held to what was registered."""
    from pytest_mlrun.store.store import Store

    version = resolve(project_dir, ref)
    committed = project_dir / BASELINES_FOLDER / f"{parse_ref(ref)}{_SUFFIX}"
    try:
        reader = Store.open(store).reader()
        run = reader.find(version.run_id)
    except StoreError:
        if not committed.is_file():
            raise
        recorded = open_exported(committed)
        find_record(version.run_id, version.run_digest, ref=ref, find=lambda _: recorded.run)
        return recorded
    find_record(version.run_id, version.run_digest, ref=ref, find=lambda _: run)
    return take_recorded(run, reader, where=str(store))
