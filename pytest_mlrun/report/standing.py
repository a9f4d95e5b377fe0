"""Say which of some runs is best, by the rule that a project wrote down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pytest_mlrun.records.project import Goal, Leaderboard
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.rules.leaderboard import best, complete_rule, matches
from pytest_mlrun.rules.where import parse_where

_WORDS: Mapping[Goal, str] = {"max": "highest", "min": "lowest"}


@dataclass(frozen=True, slots=True)
class Standing:
    """A leaderboard's rule with its direction known.

    Attributes:
        by: The deciding metric.
        goal: Whether more or less of it is better.
        where: What a winner must satisfy, as written.
    """

    by: str
    goal: Goal
    where: str = ""

    def best_of(self, runs: Sequence[RunRecord]) -> RunRecord | None:
        """Return the best run that passed, or None where there is none."""
        return best(runs, by=self.by, goal=self.goal, where=parse_where(self.where))

    def best_first(self, runs: Sequence[RunRecord]) -> list[RunRecord]:
        """Return the finished runs that have the metric, best first, those that did not pass included."""
        where = parse_where(self.where)
        able = [run for run in runs if run.status == "finished" and matches(run, where)]
        # NaN is not below, above or equal to anything: it would leave the order to chance.
        ranked = [run for run in able if run.metrics.get(self.by, float("nan")) == run.metrics.get(self.by)]
        sign = -1.0 if self.goal == "max" else 1.0
        return sorted(ranked, key=lambda run: (sign * run.metrics[self.by], run.started_us, run.run_id))

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that decide: the one sorted by, then those of the constraint."""
        return self.by, *(part.field for part in parse_where(self.where) if part.kind == "metric")

    def __str__(self) -> str:
        constraint = f" where {self.where}" if self.where else ""
        return f"{_WORDS[self.goal]} {self.by}{constraint}"


def standing_of(leaderboard: Leaderboard, goals: Mapping[str, Goal]) -> Standing | None:
    """Return a leaderboard's rule, or None if nothing says whether more or less is better.

    Args:
        leaderboard: ``[leaderboard.<experiment>]``.
        goals: Metric to goal, from ``[metrics.<name>]``.
    """
    rule = complete_rule(leaderboard, goals)
    return None if rule.goal is None else Standing(rule.by, rule.goal, rule.where)
