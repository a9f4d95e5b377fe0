"""Choose the winner of an experiment, and say why every other run was not chosen."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from pytest_mlrun.errors import MarkerError, QueryError, RunNotFoundError
from pytest_mlrun.records.project import Goal, Leaderboard
from pytest_mlrun.records.query import Comparison
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.rules.leaderboard import best, can_win, complete_rule, matches
from pytest_mlrun.rules.marker import Selection
from pytest_mlrun.rules.suggest import did_you_mean
from pytest_mlrun.rules.where import parse_where

_MOST_NAMED = 3
_SHARED = "a run that a module shares finishes with the module: judge its winner in another one"


@dataclass(frozen=True, slots=True)
class Choice:
    """The rule by which a winner is chosen.

    Attributes:
        experiment: Whose runs are the candidates.
        by: The deciding metric.
        goal: Whether more or less of it is better.
        where: What a winner must satisfy, as written.
    """

    experiment: str
    by: str
    goal: Goal
    where: str = ""

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """The constraint, parsed."""
        return parse_where(self.where)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that decide: the one compared, then those of the constraint."""
        return tuple(dict.fromkeys([self.by, *(part.field for part in self.comparisons if part.kind == "metric")]))


@dataclass(frozen=True, slots=True)
class Candidate:
    """A run that was looked at.

    Attributes:
        run: The run.
        reason: Why it cannot win; empty if it can.
    """

    run: RunRecord
    reason: str


def resolve_choice(
    asked: Selection,
    *,
    experiment: str,
    written: str,
    leaderboards: Mapping[str, Leaderboard],
    goals: Mapping[str, Goal],
    owner: str,
) -> Choice:
    """Complete what a marker says by the leaderboard of its experiment.

    A leaderboard is one rule: choosing by another metric inherits neither its constraint nor its goal.

    Args:
        asked: What the marker says.
        experiment: Whose runs to choose from.
        written: Its name in the marker, where the session records under another one.
        leaderboards: Experiment to its ``[leaderboard.<experiment>]``.
        goals: Metric to goal, from ``[metrics.<name>]``.
        owner: The test, for the message.

    Raises:
        MarkerError: If nothing says which metric decides, or whether more or less of it is better.
    """
    board = leaderboards.get(experiment) or leaderboards.get(written)
    rule = complete_rule(board, goals, by=asked.by, goal=asked.goal, where=asked.where)
    if not rule.by:
        raise MarkerError(
            f"{owner}: nothing says which metric chooses the winner of {written!r}",
            next_step=f'write mlrun_select(by="…"), or in mlrun.toml: [leaderboard.{written}] by = "…"',
        )
    if rule.goal is None:
        raise MarkerError(
            f"{owner}: is a higher or a lower {rule.by!r} better?",
            next_step=f'write mlrun_select(goal="max") (or "min"), or in mlrun.toml: [metrics.{rule.by}] goal = "max"',
        )
    return Choice(experiment, rule.by, rule.goal, rule.where)


def judge_candidates(runs: Iterable[RunRecord], choice: Choice) -> list[Candidate]:
    """Say of each run whether it can win.

    Only a run that finished and passed can: one that broke its own gate was refused by its author, and must not come
    back by way of another metric.
    """
    return [Candidate(run, _reason_against(run, choice)) for run in runs]


def choose_winner(candidates: Sequence[Candidate], choice: Choice, *, source: str, owner: str) -> RunRecord:
    """Return the best of the candidates that can win; the earliest of equals.

    Args:
        candidates: As ``judge_candidates`` returned them.
        choice: The rule.
        source: Where they come from, for the message: ``this session`` or ``the store``.
        owner: The test, for the message.

    Raises:
        RunNotFoundError: If there is none.
        QueryError: If no run has the metric.
    """
    able = [candidate.run for candidate in candidates if not candidate.reason]
    winner = best(able, by=choice.by, goal=choice.goal, where=choice.comparisons)
    return winner if winner is not None else _refuse(candidates, choice, source, owner)


def _reason_against(run: RunRecord, choice: Choice) -> str:
    if not can_win(run):
        word = run.outcome if run.status in {"finished", "failed"} else run.status
        return f"{word}: {run.cause}" if run.cause not in {"", "unknown", word} else word
    if choice.by not in run.metrics:
        return f"has no {choice.by}"
    if math.isnan(run.metrics[choice.by]):
        return f"its {choice.by} is NaN"
    return "" if matches(run, choice.comparisons) else f"not {choice.where}"


def _refuse(candidates: Sequence[Candidate], choice: Choice, source: str, owner: str) -> NoReturn:
    name = choice.experiment
    if not candidates:
        raise RunNotFoundError(
            f"no run of {name!r} to choose a winner from",
            details=("neither this session nor the store has one",),
            where=owner,
            next_step="run its experiments with this test, or correct mlrun_select(experiment=…)",
        )
    command = shlex.join(["pytest-mlrun", "runs", "--experiment", name])
    passed = [one.run for one in candidates if can_win(one.run)]
    if not passed:
        raise RunNotFoundError(
            f"no run of {name!r} passed, so none can win",
            details=_tell_reasons(candidates, source),
            where=owner,
            next_step=_SHARED if any(_is_under_way(one.run) for one in candidates) else f"see why: {command}",
        )
    logged = list(dict.fromkeys(metric for run in passed for metric in run.metrics))
    if choice.by not in logged:
        raise QueryError(
            f"no run of {name!r} has a metric {choice.by!r}{did_you_mean(choice.by, logged)}",
            details=(f"its runs log: {', '.join(logged) or 'no metrics'}",),
            where=owner,
            next_step="name one of them in mlrun_select(by=…)",
        )
    raise RunNotFoundError(
        f"no run of {name!r} can win: {choice.where}" if choice.where else f"no run of {name!r} can win",
        details=(*_tell_reasons(candidates, source), *_tell_nearest(passed, choice)),
        where=owner,
        next_step="relax where in mlrun_select, or train runs that satisfy it",
    )


def _is_under_way(run: RunRecord) -> bool:
    return run.status == "running" and "::" not in run.test


def _tell_reasons(candidates: Sequence[Candidate], source: str) -> tuple[str, ...]:
    reasons = [candidate.reason for candidate in candidates]
    told = ", ".join(f"{reasons.count(reason)} {reason}" for reason in dict.fromkeys(reasons))
    return (f"{len(candidates)} run{'' if len(candidates) == 1 else 's'} of {source}: {told}",)


def _tell_nearest(passed: Sequence[RunRecord], choice: Choice) -> tuple[str, ...]:
    """Show what the leading runs reached, so that the reader sees by how much they miss the constraint."""
    sign = -1.0 if choice.goal == "max" else 1.0
    known = [run for run in passed if not math.isnan(run.metrics.get(choice.by, math.nan))]
    leading = sorted(known, key=lambda run: (sign * run.metrics[choice.by], run.started_us))[:_MOST_NAMED]
    return tuple(
        f"{run.name}: " + ", ".join(f"{name} {run.metrics[name]:.4g}" for name in choice.metrics if name in run.metrics)
        for run in leading
    )
