"""Find the baseline that is a model version: in the registry, in the store, or in the file committed for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pytest_mlrun.errors import RunNotFoundError, StoreDamagedError
from pytest_mlrun.records.names import BASELINES_FOLDER
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.registry.log import list_models
from pytest_mlrun.registry.refs import parse_ref
from pytest_mlrun.registry.resolve import resolve

if TYPE_CHECKING:
    from pytest_mlrun.recorder.baselines import Evidence
    from pytest_mlrun.store.bundle import Bundle
    from pytest_mlrun.store.reader import Reader

_SUFFIX: Final = ".mlrun"


@dataclass(frozen=True, slots=True)
class _OneRun:
    """An exported run, read like a store that has no other."""

    bundle: Bundle

    def read_artifact(self, run: RunRecord, name: str) -> bytes:  # noqa: ARG002 - there is only one
        return self.bundle.read_artifact(name)

    def runs(self, *, experiment: str, session_id: str) -> list[RunRecord]:  # noqa: ARG002 - trainings repeated under seeds are not exported
        return []


def find_committed(ref: str, project_dir: Path) -> tuple[RunRecord, Evidence] | None:
    """Read the exported file that a gate names.

    Args:
        ref: As written.
        project_dir: Folder of ``mlrun.toml``.

    Returns:
        The run and where its rows are; None if no file is named.

    Raises:
        StoreError: The file cannot be read.
        StoreDamagedError: It is not what was exported.
    """
    return _open(project_dir / ref) if ref.endswith(_SUFFIX) else None


def find_registered(ref: str, reader: Reader, project_dir: Path) -> tuple[RunRecord, Evidence] | None:
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
    export = f"pytest-mlrun export {named} -o {BASELINES_FOLDER}/{named}{_SUFFIX}"
    committed = project_dir / BASELINES_FOLDER / f"{named}{_SUFFIX}"
    if named.model not in list_models(project_dir):
        return _open(committed) if committed.is_file() else None
    version = resolve(project_dir, ref)
    try:
        record = reader.find(version.run_id)
    except RunNotFoundError:
        if not committed.is_file():
            raise RunNotFoundError(
                f"no baseline: {named} is run {version.run_id[-8:]}, which is not in this store",
                where=str(committed),
                next_step=f"commit it where its store is: {export}",
            ) from None
        found = _open(committed)
        where = str(committed)
    else:
        found, where = (record, reader), f"run {record.short_id}"
    if (found[0].run_id, found[0].digest) != (version.run_id, version.run_digest):
        raise StoreDamagedError(
            f"the baseline of {named} is not the run that was registered",
            details=(f"registered: {version.run_id}, {version.run_digest[:19]}…",),
            where=where,
            next_step=f"export it anew where its store is: {export}",
        )
    return found


def _open(path: Path) -> tuple[RunRecord, Evidence]:
    from pytest_mlrun.store.bundle import open_bundle

    bundle = open_bundle(path)
    return bundle.run, _OneRun(bundle)
