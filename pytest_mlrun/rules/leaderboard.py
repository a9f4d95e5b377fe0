"""Choose the best run, and the runs that satisfy a constraint."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, cast

from pytest_mlrun.records.project import Goal, Leaderboard
from pytest_mlrun.records.query import Comparison, Operator
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.rules.goals import default_goal
from pytest_mlrun.rules.params import comparable_param


class Rule(NamedTuple):
    """Which run of an experiment is best.

    Attributes:
        by: The deciding metric; empty where nothing names one.
        goal: Whether more or less of it is better; None where nothing says so.
        where: What the best run must satisfy, as written.
    """

    by: str
    goal: Goal | None
    where: str


def complete_rule(
    board: Leaderboard | None,
    goals: Mapping[str, Goal],
    *,
    by: str | None = None,
    goal: Goal | None = None,
    where: str | None = None,
) -> Rule:
    """Complete what a person asks for by the leaderboard of the experiment and by what is known of the metric.

    A leaderboard is one rule: another metric inherits neither its constraint nor its goal.

    Args:
        board: ``[leaderboard.<experiment>]``, if there is one.
        goals: Metric to goal, from ``[metrics.<name>]``.
        by: The metric asked for.
        goal: The goal asked for.
        where: The constraint asked for; an empty one asks for none.
    """
    deciding = by or (board.by if board is not None else "")
    inherited = board if board is not None and board.by == deciding else None
    known = goal or (inherited.goal if inherited else None) or goals.get(deciding) or default_goal(deciding)
    return Rule(deciding, known, where if where is not None else inherited.where if inherited else "")


def can_win(run: RunRecord) -> bool:
    """Whether a run came to its end and passed: one that broke its own gate was refused by its author."""
    return run.status == "finished" and run.outcome == "passed"


def best(runs: Iterable[RunRecord], *, by: str, goal: Goal, where: Sequence[Comparison] = ()) -> RunRecord | None:
    """Return the run that passed with the best value of a metric; None where there is none. See ``rank``."""
    return next(iter(rank(runs, by=by, goal=goal, where=where)), None)


def rank(runs: Iterable[RunRecord], *, by: str, goal: Goal, where: Sequence[Comparison] = ()) -> list[RunRecord]:
    """Return the runs that passed, the best value of a metric first; the earlier of equals is the better one.

    NaN never wins.

    Args:
        runs: To choose from.
        by: Name of the metric.
        goal: Whether more (``max``) or less (``min``) of it is better.
        where: What the winner must satisfy.
    """
    candidates = [
        run for run in runs if can_win(run) and not math.isnan(run.metrics.get(by, math.nan)) and matches(run, where)
    ]
    sign = -1.0 if goal == "max" else 1.0
    return sorted(candidates, key=lambda run: (sign * run.metrics[by], run.started_us, run.run_id))


def matches(run: RunRecord, where: Sequence[Comparison]) -> bool:
    """Whether a run satisfies every comparison.

    Numbers compare with numbers, text with text; another kind of value is unequal and has no order. A run lacking the
    field satisfies no comparison, ``!=`` included, and NaN satisfies none. An estimator, a function or an enum member
    compares by its qualified name, a value with an id by the id.

    Args:
        run: Row of the store.
        where: Comparisons, as ``parse_where`` returns them.
    """
    return all(_holds(_value_of(run, comparison), comparison) for comparison in where)


def varying_params(runs: Sequence[RunRecord]) -> tuple[str, ...]:
    """Return the names of the params in which the runs differ, in the order in which they first occur.

    Args:
        runs: To compare; a param that only some of them have differs.
    """
    names = dict.fromkeys(name for run in runs for name in run.params)
    return tuple(name for name in names if len({run.params.get(name) for run in runs}) > 1)


def _value_of(run: RunRecord, comparison: Comparison) -> object:
    name = comparison.field
    if comparison.kind == "metric":
        return run.metrics.get(name)
    if comparison.kind == "tag":
        return run.tags.get(name)
    if comparison.kind == "param":
        return comparable_param(run.params[name]) if name in run.params else None
    attributes: dict[str, str | int] = {
        "status": run.status,
        "outcome": run.outcome,
        "cause": run.cause,
        "experiment": run.experiment,
        "name": run.name,
        "attempt": run.attempt,
        "test": run.test,
    }
    return attributes.get(name)


def _holds(value: object, comparison: Comparison) -> bool:
    asked = comparison.value
    if value is None or _is_nan(value) or _is_nan(asked):
        return False
    if comparison.operator in {"==", "!="}:
        equal = _kind_of(value) is _kind_of(asked) and value == asked
        return equal is (comparison.operator == "==")
    if isinstance(value, str) and isinstance(asked, str):
        return _in_order((value > asked) - (value < asked), comparison.operator)
    if _kind_of(value) is _kind_of(asked) is float:
        number, bound = cast("float", value), cast("float", asked)
        return _in_order((number > bound) - (number < bound), comparison.operator)
    return False


def _in_order(order: int, operator: Operator) -> bool:
    if order == 0:
        return operator in {"<=", ">="}
    return operator.startswith("<") is (order < 0)


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _kind_of(value: object) -> type:
    # 1 and 1.0 are one number; True is none.
    return float if isinstance(value, int) and not isinstance(value, bool) else type(value)
