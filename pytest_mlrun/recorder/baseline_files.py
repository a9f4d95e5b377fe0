"""Pack a run as a baseline that is committed: the rows behind its gates, its seeds, and the run that judged it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pytest_mlrun.errors import RegistryError, StoreWriteError
from pytest_mlrun.records.names import BASELINES_FOLDER
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.registry.log import list_models
from pytest_mlrun.registry.refs import VersionRef, parse_ref
from pytest_mlrun.registry.resolve import find_alias, read_state

if TYPE_CHECKING:
    from pytest_mlrun.store.reader import Reader

SUFFIX: Final = ".mlrun"
ASKS: Final = "baseline.update."
"""Begins the context entry by which a run asks to become the baseline in the file that follows."""
_WINNER: Final = "selection.winner"


def baseline_path(project_dir: Path, ref: VersionRef) -> Path:
    """Return where the baseline of a model version or alias is committed."""
    return project_dir / BASELINES_FOLDER / f"{ref}{SUFFIX}"


def committed_file(ref: str, project_dir: Path) -> str | None:
    """Return the file, relative to ``mlrun.toml``, that is committed for what a gate names; None for a run of a store.

    Raises:
        RegistryError: The registry says which run it is, or the file is outside the project.
    """
    path = project_dir / ref if ref.endswith(SUFFIX) else None
    named = parse_ref(ref if path is None else path.stem)
    if path is None and named is None:
        return None
    if named is not None and named.model in list_models(project_dir):
        raise RegistryError(
            f"the baseline {named} belongs to the registry, and is not rewritten here",
            where="--mlrun-update-baselines",
            next_step=f"promote the run, which writes its baseline: pytest-mlrun promote {named.model}/N {named.alias}",
        )
    if path is None and named is not None:
        path = baseline_path(project_dir, named)
    file = str(path.relative_to(project_dir)) if path is not None and path.is_relative_to(project_dir) else ref
    check_inside(project_dir, file)
    return file


def check_inside(project_dir: Path, file: str) -> Path:
    """Return the path of a baseline that a gate or a record names.

    Raises:
        RegistryError: It is outside the project.
    """
    target = project_dir / file
    if not file.endswith(SUFFIX) or not target.resolve().is_relative_to(project_dir.resolve()):
        raise RegistryError(
            f"{file!r} is no file of this project that could be a baseline",
            where=str(project_dir),
            next_step=f"name one such as {BASELINES_FOLDER}/churn@production{SUFFIX}",
        )
    return target


def find_judge(row: RunRecord, runs: Iterable[RunRecord]) -> RunRecord | None:
    """Return the newest run that judged another one as a winner, and passed."""
    wanted = json.dumps(row.run_id)
    judges = [run for run in runs if run.context.get(_WINNER) == wanted and run.outcome == "passed"]
    return max(judges, key=lambda run: (run.started_us, run.run_id), default=None)


def pack_baseline(store: Path, row: RunRecord, reader: Reader, *, judge_id: str = "") -> bytes:
    """Return the bundle that is committed for a run: predictions, labels and environment, no models.

    Args:
        store: Folder of the store.
        row: The run.
        reader: The store.
        judge_id: The run that judged it, if the registry names one; the newest that did, otherwise.

    Raises:
        StoreError: A run has not ended, or all are too large.
        StoreDamagedError: A run or its rows are not what was recorded.
    """
    from pytest_mlrun.store.bundle_write import pack_run

    family = reader.runs(experiment=row.experiment, session_id=row.session_id)
    companions = [run.run_id for run in family if is_replicate(run, row)]
    if judge_id:
        # Where the store lost it, the gates on what it measured say so.
        companions += [run.run_id for run in reader.find_all(judge_id)]
    else:
        judge = find_judge(row, reader.runs())
        companions += [judge.run_id] if judge is not None else []
    return pack_run(store, row.run_id, choice="rows", companions=companions)


def is_replicate(run: RunRecord, parent: RunRecord) -> bool:
    """Whether a run is a finished training of another one, under a seed of its own or on a fold."""
    repeated = "replicate" in run.params or "fold" in run.params
    return run.parent_id == parent.run_id and repeated and run.status == "finished"


def write_baseline(target: Path, content: bytes) -> None:
    """Write a baseline as a whole, in a folder that is made if missing.

    Raises:
        StoreWriteError: It cannot be written.
    """
    from pytest_mlrun.store.bundle_write import write_bundle

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreWriteError(
            f"the baseline cannot be written: {error.strerror}",
            where=str(target.parent),
            next_step="make room for the folder, then: pytest-mlrun baseline init RUN --as MODEL@ALIAS",
        ) from error
    write_bundle(target, content)


def refuse_unfit(row: RunRecord) -> None:
    """Refuse a run that a gate would not take as its baseline.

    Raises:
        RegistryError: It did not finish, or its test did not pass.
    """
    if row.status != "finished" or row.outcome != "passed":
        raise RegistryError(
            f"run {row.short_id} is no baseline: it ended {row.outcome or row.status}",
            where=f"run {row.name}",
            next_step="name a run that passed: pytest-mlrun runs --status passed",
        )


def refuse_owned(ref: VersionRef, row: RunRecord, project_dir: Path) -> str:
    """Refuse to make a run the baseline of a version that the registry says is another run.

    Returns:
        Id of the run that judged it, where the registry names one.

    Raises:
        RegistryError: The registry owns the name.
    """
    if ref.model not in list_models(project_dir):
        return ""
    state = read_state(project_dir, ref.model)
    number = state.aliases.get(find_alias(ref, state.aliases), 0) if ref.alias else ref.version
    version = state.versions.get(number)
    if version is not None and version.run_id == row.run_id:
        return version.judge_id
    held = f"{version.ref}, run {version.run_id[-8:]}" if version is not None else "held by no version"
    raise RegistryError(
        f"the baseline {ref} belongs to the registry, and {row.short_id} is another run",
        details=(f"{ref} is {held}",),
        where=str(project_dir / "mlrun-registry" / ref.model),
        next_step=f"pytest-mlrun register {row.short_id} --name {ref.model}; promoting it writes the baseline",
    )
