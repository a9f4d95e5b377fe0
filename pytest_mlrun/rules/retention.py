"""Decide which runs keep their artifacts, and by which rule."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from pytest_mlrun.records.retention import Fate, Fates, Retention
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.rules.leaderboard import Rule, rank
from pytest_mlrun.rules.where import parse_where

LIVE: Final = "live"
REGISTERED: Final = "registered"
PINNED: Final = "pinned"
TOP: Final = "top"
RECENT: Final = "recent"
ELSEWHERE: Final = "elsewhere"

_DAY_US: Final = 86_400_000_000
_YEAR_US: Final = 366 * _DAY_US
"""No year is longer: what is to stay for years stays at least so long."""
_UNPINNED: Final = "no"
_SOURCES: Final = ("branched_from.run", "selection.winner")


@dataclass(frozen=True, slots=True)
class Scope:
    """Runs under one policy.

    Attributes:
        runs: The runs of a project.
        policy: What it says of them; None where the project is not there to be asked.
        boards: Experiment to the rule of its leaderboard.
    """

    runs: Sequence[RunRecord]
    policy: Retention | None
    boards: Mapping[str, Rule]


def split_named(
    named: Mapping[str, int | None], policy: Retention, *, now_us: int
) -> tuple[AbstractSet[str], AbstractSet[str]]:
    """Return which of the run ids and digests that a registry names are still wanted, and which lapsed.

    Args:
        named: Each to when its years began; None where they never end.
        policy: What the project says.
        now_us: Microseconds since the epoch.
    """
    first_us = now_us - policy.registered_years * _YEAR_US
    lapsed = {text for text, since_us in named.items() if since_us is not None and since_us <= first_us}
    return named.keys() - lapsed, lapsed


def decide(
    scopes: Sequence[Scope],
    *,
    reachable: AbstractSet[str],
    live: AbstractSet[str],
    now_us: int,
    lapsed: AbstractSet[str] = frozenset(),
) -> Fates:
    """Decide about every run.

    A run that is kept keeps what it rests on: its parent, the run that it was branched from, the winner that it was
    given, the baselines of its gates, and theirs.

    Args:
        scopes: All runs of a store, project by project.
        reachable: Run ids and digests that a registry names and that are still wanted.
        live: Ids of the runs in logs that are still written.
        now_us: Microseconds since the epoch.
        lapsed: Run ids and digests that a registry names and that are no longer wanted for it.
    """
    runs = {run.run_id: run for scope in scopes for run in scope.runs}
    fates: dict[str, Fate] = {}
    for rule, found in _first_kept(scopes, reachable=reachable, live=live, now_us=now_us):
        waiting = list(found)
        while waiting:
            run_id = waiting.pop()
            if run_id in runs and run_id not in fates:
                fates[run_id] = Fate(rule, kept=True)
                waiting.extend(rests_on(runs[run_id]))
    for scope in scopes:
        for run in scope.runs:
            if run.run_id not in fates and scope.policy is not None:
                fates[run.run_id] = Fate(_last_rule(run, scope.policy, lapsed), kept=False)
    digests = {text: Fate(REGISTERED, kept=True) for text in reachable if text.startswith("sha256:")}
    return Fates(fates, digests)


def rests_on(run: RunRecord) -> Iterator[str]:
    """Yield the ids of the runs that a run cannot be understood without.

    Args:
        run: The run.
    """
    if run.parent_id:
        yield run.parent_id
    for name in _SOURCES:
        with suppress(ValueError):
            source = json.loads(run.context.get(name, "null"))
            if isinstance(source, str):
                yield source
    for gate in run.gates:
        if gate.baseline_id:
            yield gate.baseline_id


def _last_rule(run: RunRecord, policy: Retention, lapsed: AbstractSet[str]) -> str:
    if run.run_id in lapsed or run.digest in lapsed:
        return f"registered_years = {policy.registered_years}"
    return f"exploratory_days = {policy.exploratory_days}"


def _first_kept(
    scopes: Sequence[Scope], *, reachable: AbstractSet[str], live: AbstractSet[str], now_us: int
) -> Iterator[tuple[str, Sequence[str]]]:
    every = [(scope, run) for scope in scopes for run in scope.runs]
    known = [(scope.policy, scope, run) for scope, run in every if scope.policy is not None]
    yield LIVE, [run.run_id for _, run in every if run.run_id in live]
    yield REGISTERED, [run.run_id for _, run in every if run.run_id in reachable or run.digest in reachable]
    yield PINNED, [run.run_id for policy, _, run in known if run.tags.get(policy.pin, _UNPINNED) != _UNPINNED]
    yield TOP, [run_id for scope in scopes for run_id in _best(scope)]
    yield RECENT, [run.run_id for policy, _, run in known if run.ended_us > now_us - policy.exploratory_days * _DAY_US]
    yield ELSEWHERE, [run.run_id for scope, run in every if scope.policy is None]


def _best(scope: Scope) -> Iterator[str]:
    if scope.policy is None:
        return
    for experiment, rule in scope.boards.items():
        if rule.by and rule.goal is not None:
            runs = [run for run in scope.runs if run.experiment == experiment]
            ranked = rank(runs, by=rule.by, goal=rule.goal, where=parse_where(rule.where))
            yield from (run.run_id for run in ranked[: scope.policy.top])
