"""Keep the best checkpoints of a training and the last one, and let go of the others."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_mlrun.errors import ArtifactError, MetricError
from pytest_mlrun.rules.arguments import show
from pytest_mlrun.rules.checkpoints import Checkpoint, CheckpointRule, make_rule

if TYPE_CHECKING:
    from pytest_mlrun.recorder.recording import Recording
    from pytest_mlrun.records.project import Goal


def add_checkpoint(
    recording: Recording,
    step: int,
    path: str | os.PathLike[str],
    *,
    metric: str,
    goal: Goal | None,
    keep_best: int,
    keep_last: bool,
) -> bool:
    """Store a checkpoint if it is worth keeping, then drop those that no longer are.

    Returns:
        Whether it is one of the best.

    Raises:
        ArtifactError: If the rule or the path cannot be meant.
        MetricError: If the metric was never logged.
    """
    if type(step) is not int:
        raise ArtifactError(
            f"log_checkpoint takes the step first, found {show(step)}",
            next_step='write mlrun.log_checkpoint(epoch, "last.pt", metric="val_loss")',
        )
    rule = make_rule(metric, goal or _goal_of(recording, metric), keep_best=keep_best, keep_last=keep_last)
    value = _value_of(recording, metric)
    files = {f"checkpoints/{step}/{inner}": file for inner, file in _list_files(path).items()}
    fresh = Checkpoint(step, value, tuple(files))
    again = [checkpoint for checkpoint in recording.checkpoints if checkpoint.step == step]
    logged = [*(checkpoint for checkpoint in recording.checkpoints if checkpoint.step != step), fresh]
    kept = rule.kept(logged)
    for earlier in again:  # as at the end of an epoch, and once more at that of the training
        recording.drop_artifacts(earlier.names)
    if fresh in kept:
        for name, file in files.items():
            recording.add_file(name, file, media_type="application/octet-stream", role="checkpoint")
    # The new one is safe, and the record says what is kept, before an old one goes.
    recording.write_context({"checkpoints": _describe(kept, rule)})
    recording.checkpoints = list(kept)
    for loser in logged:
        if loser not in kept and loser is not fresh:
            recording.drop_artifacts(loser.names)
    return fresh in rule.best(kept)


def _goal_of(recording: Recording, metric: str) -> Goal | None:
    from pytest_mlrun.rules.goals import default_goal

    declared = recording.plan.project.metric(metric)
    return (declared.goal if declared is not None else None) or default_goal(metric)


def _value_of(recording: Recording, metric: str) -> float:
    if not metric:
        return math.nan
    if metric not in recording.values:
        raise MetricError(
            f"metric {metric!r} was never logged; this run has: {', '.join(recording.values) or 'none'}",
            where=f"log_checkpoint of run {recording.plan.name}",
            next_step=f'log it before the checkpoint: mlrun.log_metric("{metric}", value, step)',
        )
    return recording.values[metric]


def _list_files(given: str | os.PathLike[str]) -> dict[str, Path]:
    place: object = given
    if not isinstance(place, (str, os.PathLike)):
        raise ArtifactError(
            f"log_checkpoint takes the path of a file or folder, found {show(place)}",
            next_step='save the state first: torch.save(state, "last.pt")',
        )
    path = Path(given)
    if path.is_file():
        return {path.name: path}
    files = {file.relative_to(path).as_posix(): file for file in sorted(path.rglob("*")) if file.is_file()}
    if not files:
        found = "an empty folder" if path.is_dir() else "no such file"
        raise ArtifactError(
            f"checkpoint {path.name!r}: {found}", where=str(path), next_step="write the file before logging it"
        )
    return files


def _describe(kept: tuple[Checkpoint, ...], rule: CheckpointRule) -> dict[str, object]:
    best = rule.best(kept)
    listed = [
        {
            "step": checkpoint.step,
            "value": checkpoint.value if math.isfinite(checkpoint.value) else str(checkpoint.value),
            "files": len(checkpoint.names),
            "best": best.index(checkpoint) + 1 if checkpoint in best else None,
        }
        for checkpoint in kept
    ]
    return {"metric": rule.metric, "goal": rule.goal, "kept": listed}
