"""Rewrite, at the end of a session, the committed baselines that its gates name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_mlrun.errors import StoreError

if TYPE_CHECKING:
    from pytest_mlrun.records.project import Project
    from pytest_mlrun.records.run import RunRecord

ProjectOf = Callable[["RunRecord"], "Project"]


def update_baselines(runs: Sequence[RunRecord], project_of: ProjectOf, *, store: Path) -> list[str]:
    """Make the runs that asked for it the baselines of their gates; return what to say, nothing where none asked.

    Args:
        runs: The runs of this session.
        project_of: Returns the project of a run.
        store: Folder of the store.

    Raises:
        StoreError: A baseline cannot be written.
    """
    from pytest_mlrun.recorder.baseline_files import ASKS

    asked: dict[tuple[Path, str], list[RunRecord]] = {}
    for run in runs:
        for name in run.context:
            if name.startswith(ASKS):
                asked.setdefault((project_of(run).root, name.removeprefix(ASKS)), []).append(run)
    return [line for (root, file), family in asked.items() for line in _update(root, file, family, store)]


def _update(root: Path, file: str, asking: Sequence[RunRecord], store: Path) -> list[str]:
    from pytest_mlrun.recorder.baseline_files import check_inside, pack_baseline, write_baseline
    from pytest_mlrun.store.store import Store

    passed = [run for run in asking if run.outcome == "passed" and run.status == "finished"]
    if len(passed) != 1:
        names = ", ".join(run.name for run in asking)
        why = "no run of it passed" if not passed else f"{len(passed)} runs name it: select one with -k"
        return [f"baseline not updated: {file}; {why} ({names})"]
    target = check_inside(root, file)
    before = _values(target)
    reader = Store.open(store).reader()
    write_baseline(target, pack_baseline(store, passed[0], reader))
    after = _values(target)
    head = f"baseline updated: {file} is {passed[0].name} ({passed[0].short_id})"
    return [head, *_changes(before, after), f"  look at it, then:  git add {file}"]


def _values(file: Path) -> Mapping[str, float]:
    """Return the metrics of a baseline, and their means over seeds and folds; nothing of one that cannot be read."""
    from pytest_mlrun.store.bundle import open_bundle

    try:
        bundle = open_bundle(file)
    except StoreError:
        return {}
    values = dict(bundle.row.metrics)
    for param, what in (("replicate", "seeds"), ("fold", "folds")):
        family = [run for run in bundle.companions if param in run.params]
        for metric in sorted({metric for run in family for metric in run.metrics}):
            scores = [run.metrics[metric] for run in family if metric in run.metrics]
            values[f"mean {metric} of {len(scores)} {what}"] = sum(scores) / len(scores)
    return values


def _changes(before: Mapping[str, float], after: Mapping[str, float]) -> list[str]:
    names = [*after, *(name for name in before if name not in after)]
    width = max(map(len, names), default=0)
    return [f"  {name:<{width}}  {_show(before.get(name))} → {_show(after.get(name))}" for name in names]


def _show(value: float | None) -> str:
    return "none" if value is None else f"{value:.4g}"
