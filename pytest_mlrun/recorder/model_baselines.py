"""Find the baseline that is a model version: in the registry, in the store, or in the file committed for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pytest_mlrun.errors import RunNotFoundError, StoreDamagedError
from pytest_mlrun.recorder.baseline_files import SUFFIX, baseline_path, find_judge
from pytest_mlrun.records.event import ModelVersion
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.registry.log import list_models
from pytest_mlrun.registry.refs import VersionRef, parse_ref
from pytest_mlrun.registry.resolve import resolve

if TYPE_CHECKING:
    from pytest_mlrun.recorder.baselines import Evidence
    from pytest_mlrun.store.bundle import Bundle
    from pytest_mlrun.store.reader import Reader


class Found(NamedTuple):
    """A baseline, and where its rows are.

    Attributes:
        record: The run.
        reader: Where it was found.
        judge: The run that judged it as a winner, if one did.
    """

    record: RunRecord
    reader: Evidence
    judge: RunRecord | None


@dataclass(frozen=True, slots=True)
class _File:
    """An exported run and those that belong to it, read like a store that has no other."""

    bundle: Bundle

    def read_artifact(self, run: RunRecord, name: str) -> bytes:
        return self.bundle.read_artifact(name, run)

    def runs(self, *, experiment: str, session_id: str) -> list[RunRecord]:
        found = (self.bundle.run, *self.bundle.companions)
        return [run for run in found if (run.experiment, run.session_id) == (experiment, session_id)]


def find_committed(ref: str, project_dir: Path) -> Found | None:
    """Read the exported file that a gate names.

    Args:
        ref: As written.
        project_dir: Folder of ``mlrun.toml``.

    Returns:
        The run and where its rows are; None if no file is named.

    Raises:
        StoreError: The file cannot be read.
        StoreDamagedError: It is not what was exported.
        RunNotFoundError: Its run did not pass.
    """
    return _passed(_open(project_dir / ref), ref) if ref.endswith(SUFFIX) else None


def find_registered(ref: str, reader: Reader, project_dir: Path) -> Found | None:
    """Find the run of the model version that a gate names.

    Args:
        ref: As written.
        reader: The store.
        project_dir: Folder of ``mlrun.toml``.

    Returns:
        The run and where its rows are; None if no model is named, or one that is neither registered nor committed.

    Raises:
        RegistryError: The registry knows the model, but no such version or alias.
        RunNotFoundError: The run is neither in the store nor committed.
        StoreDamagedError: What was found is not the run that was registered.
    """
    named = parse_ref(ref)
    if named is None:
        return None
    committed = baseline_path(project_dir, named)
    if named.model not in list_models(project_dir):
        return _passed(_open(committed), str(named)) if committed.is_file() else None
    version = resolve(project_dir, ref)
    try:
        found = Found(reader.find(version.run_id), reader, _judge_in(reader, version))
    except RunNotFoundError:
        if not committed.is_file():
            raise RunNotFoundError(
                f"no baseline: {named} is run {version.run_id[-8:]}, which is not in this store",
                where=str(committed),
                next_step=f"commit it where its store is: {_cure(named)}",
            ) from None
        found = _open(committed)
        _check(found, version, named, where=str(committed))
    else:
        _check(found, version, named, where=f"run {found.record.short_id}")
    return found


def _cure(named: VersionRef) -> str:
    return f"pytest-mlrun baseline init {named}"


def _judge_in(reader: Reader, version: ModelVersion) -> RunRecord | None:
    found = reader.find_all(version.judge_id) if version.judge_id else []
    return found[-1] if found else None


def _check(found: Found, version: ModelVersion, named: VersionRef, *, where: str) -> None:
    """Hold the runs to what was registered.

    Raises:
        StoreDamagedError: One is another.
    """
    judge = found.judge is None or not version.judge_id or found.judge.digest == version.judge_digest
    if (found.record.run_id, found.record.digest) != (version.run_id, version.run_digest) or not judge:
        raise StoreDamagedError(
            f"the baseline of {named} is not the run that was registered",
            details=(f"registered: {version.run_id}, {version.run_digest[:19]}…",),
            where=where,
            next_step=f"write it anew where its store is: {_cure(named)}",
        )


def _passed(found: Found, name: str) -> Found:
    """Return a baseline for which no registry answers: nobody but its own record says that it was good.

    Raises:
        RunNotFoundError: Its test did not pass.
    """
    run = found.record
    if run.status == "finished" and run.outcome == "passed":
        return found
    raise RunNotFoundError(
        f"no baseline: the run committed as {name} did not pass",
        details=(f"{run.short_id} ended {run.outcome or run.status}",),
        where=f"run {run.name}",
        next_step="commit one that passed: pytest-mlrun baseline init RUN --as MODEL@ALIAS",
    )


def _open(path: Path) -> Found:
    from pytest_mlrun.store.bundle import open_bundle

    bundle = open_bundle(path)
    return Found(bundle.run, _File(bundle), find_judge(bundle.run, bundle.companions))
