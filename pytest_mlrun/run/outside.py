"""Record and read outside pytest."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_mlrun.errors import NamingError
from pytest_mlrun.records.names import MAX_NAME_CHARS, STORE_FOLDER, is_name
from pytest_mlrun.run.run import Run

if TYPE_CHECKING:
    from pytest_mlrun.recorder.plan import RunPlan
    from pytest_mlrun.records.project import Project
    from pytest_mlrun.store.reader import Reader


@contextmanager
def record(
    *,
    experiment: str,
    name: str | None = None,
    params: Mapping[str, object] | None = None,
    tags: Mapping[str, str] | None = None,
    data: str | list[str] | None = None,
    seed: int = 0,
    store: str | os.PathLike[str] | None = None,
) -> Iterator[Run]:
    """Record a run in a script or a notebook: ``with pytest_mlrun.record(experiment="churn") as run: ...``.

    Nothing holds the random generators here, so the run is marked ``unpinned`` and can never be promoted.

    Args:
        experiment: Name of the experiment.
        name: Run name; default the script's.
        params: Params of the run.
        tags: Tags of the run.
        data: Names of snapshots in ``mlrun.toml`` to verify before the block begins.
        seed: What ``run.seed`` and ``run.rng`` give.
        store: Folder of the store; default ``PYTEST_MLRUN_STORE``, else ``.pytest_mlrun`` in the current folder or the
            nearest one above that has it.

    Raises:
        DataError: If a snapshot changed.
        StoreError: If the store cannot be written.
    """
    from pytest_mlrun.project import find_project
    from pytest_mlrun.recorder.recorder import Recorder
    from pytest_mlrun.records.identity import new_id

    here = Path.cwd()
    project = find_project(here, stop=Path(here.anchor))
    if project.config_file is None:
        project = replace(project, root=here)
    plan = _plan(project, experiment, name, params or {}, tags or {}, data or (), seed)
    recorder = Recorder(_store_path(store), session_id=new_id(), argv=sys.argv)
    recording = recorder.begin(plan)
    try:
        with tempfile.TemporaryDirectory(prefix="mlrun-") as folder:
            recording.verify_pillars()
            yield Run(recording, tmp_path=lambda: Path(folder))
            recording.check_required()
    except BaseException as error:
        recording.finish("failed", error=error, text="".join(traceback.format_exception(error)), last=True)
        raise
    else:
        recording.finish("passed", last=True)
    finally:
        recorder.close()


def open_store(path: str | os.PathLike[str] | None = None) -> Reader:
    """Open a run store for reading; default as for ``record``.

    Raises:
        StoreError: If there is no store at ``path``, or it is of a newer format.
    """
    from pytest_mlrun.store.store import Store

    return Store.open(_store_path(path)).reader()


def _plan(  # noqa: PLR0917 - one argument a fact of the run, all named by its only caller
    project: Project,
    experiment: str,
    name: str | None,
    params: Mapping[str, object],
    tags: Mapping[str, str],
    data: str | list[str] | tuple[str, ...],
    seed: int,
) -> RunPlan:
    from pytest_mlrun.pillars.randomness import check_seed
    from pytest_mlrun.recorder.plan import RunPlan
    from pytest_mlrun.rules.naming import check_param_names, check_tag
    from pytest_mlrun.rules.params import describe_param

    script = Path(sys.argv[0] or "interactive")
    test = (
        script.resolve().relative_to(project.root).as_posix()
        if script.resolve().is_relative_to(project.root)
        else script.name
    )
    _check_names({"experiment": experiment, "name": name or "run"})
    check_param_names(params, project.naming)
    for key, value in tags.items():
        check_tag(key, value, project.naming)
    return RunPlan(
        project=project,
        experiment=experiment,
        name=name or script.stem or "interactive",
        test=test,
        params={key: describe_param(key, value) for key, value in params.items()},
        tags=dict(tags),
        data=(data,) if isinstance(data, str) else tuple(data),
        seed=check_seed(seed),
        seed_source="given",
        pinned=False,
    )


def _check_names(names: Mapping[str, str]) -> None:
    for what, text in names.items():
        if not is_name(text):
            raise NamingError(
                f"the {what} must be one line of 1 to {MAX_NAME_CHARS} characters, found {text!r}",
                where="pytest_mlrun.record",
                next_step=f"correct {what}",
            )


def _store_path(given: str | os.PathLike[str] | None) -> Path:
    chosen = given or os.environ.get("PYTEST_MLRUN_STORE")
    if chosen:
        return Path(chosen).expanduser()
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / STORE_FOLDER / "mlrun.json").is_file():
            return folder / STORE_FOLDER
    return here / STORE_FOLDER
