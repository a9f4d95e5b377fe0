"""Decide which checkpoints of a run are worth keeping."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_mlrun.errors import ArtifactError
from pytest_mlrun.records.project import Goal


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One state of a training.

    Attributes:
        step: When it was.
        value: What the deciding metric was then; NaN is never the best.
        names: The artifacts that hold it.
    """

    step: int
    value: float
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CheckpointRule:
    """Which checkpoints a run keeps.

    Attributes:
        metric: The deciding metric; empty where only the last is kept.
        goal: Whether more or less of it is better.
        keep_best: How many of the best.
        keep_last: Whether the last one too.
    """

    metric: str
    goal: Goal
    keep_best: int
    keep_last: bool

    def best(self, logged: Sequence[Checkpoint]) -> tuple[Checkpoint, ...]:
        """Return the best, best first; the earlier of equals is the better one.

        Args:
            logged: In logged order.
        """
        sign = -1.0 if self.goal == "max" else 1.0
        known = [checkpoint for checkpoint in logged if not math.isnan(checkpoint.value)]
        return tuple(sorted(known, key=lambda checkpoint: sign * checkpoint.value)[: self.keep_best])

    def kept(self, logged: Sequence[Checkpoint]) -> tuple[Checkpoint, ...]:
        """Return those to keep, in logged order.

        Args:
            logged: In logged order.
        """
        wanted = [*self.best(logged), *(logged[-1:] if self.keep_last else ())]
        return tuple(checkpoint for checkpoint in logged if checkpoint in wanted)


def make_rule(metric: str, goal: Goal | None, *, keep_best: int, keep_last: bool) -> CheckpointRule:
    """Make a rule of what was asked for.

    Args:
        metric: The deciding metric, or nothing.
        goal: As asked for, declared or known of the metric.
        keep_best: How many of the best.
        keep_last: Whether the last one too.

    Raises:
        ArtifactError: If nothing would be kept, or nothing says which value is better.
    """
    if type(keep_best) is not int or keep_best < 0:
        raise ArtifactError(
            f"keep_best is a number of checkpoints, found {keep_best!r}",
            next_step='write log_checkpoint(step, path, metric="val_loss", keep_best=3)',
        )
    if not keep_last and not (metric and keep_best):
        raise ArtifactError(
            "no checkpoint would be kept: neither the last nor the best by a metric",
            next_step='write log_checkpoint(step, path, metric="val_loss"), or keep_last=True',
        )
    if metric and goal not in {"max", "min"}:
        raise ArtifactError(
            f"the best checkpoint is not known: is more or less of {metric!r} better?",
            next_step=f'pass goal="max" or goal="min", or write [metrics.{metric}] goal = "…" in mlrun.toml',
        )
    return CheckpointRule(metric, goal or "max", keep_best if metric else 0, keep_last)
