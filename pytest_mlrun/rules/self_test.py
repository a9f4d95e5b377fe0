"""Prove of a recorded gate that it can fail, and that it does not when nothing is wrong.

Its rows are the population. Two worlds are made of them, and samples of each, drawn with replacement, are judged by
the very gate: one in which the truth lies exactly at the bound, where it may fail as often as alpha says; one with a
planted drop, which it must catch four times in five. What chance explains in 199 of 200 gates is no finding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_mlrun.records.gate_test import GateTest
from pytest_mlrun.rules.gates import is_broken
from pytest_mlrun.rules.recorded_gate import RecordedGate, World, at_the_bound, judge_shifted, judge_world, with_drop
from pytest_mlrun.rules.statistics.decision import MIN_EFF

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pytest_mlrun.records.verdict import Verdict
    from pytest_mlrun.rules.scored_rows import ScoredRows

SAMPLES = 200
POWER = 0.8
_CHANCE = 0.005
_LADDER = (1.0, 1.25, 1.6, 2.0, 3.0, 5.0)
"""Multiples of the drop that a gate states: where decisions turn, planting it widens what chance does."""
_MORE_ROWS = "evaluate more rows, or ask for less: a larger margin or must_detect"


def prove(gate: RecordedGate, *, run: str, seed: int) -> GateTest:
    """Return what a gate does in both worlds.

    Args:
        gate: With the rows behind it.
        run: Name of the run that recorded it.
        seed: Of all that is drawn: the same gate is told the same twice.
    """
    verdict = gate.verdict
    bound = verdict.bound if verdict.margin is None else verdict.margin
    told = GateTest(run, verdict.gate, verdict.metric, float(bound or 0.0), verdict.require)
    problem, cure = gate.contradiction()
    if problem:
        return replace(told, problem=problem, cure=cure)
    if verdict.require == "value":
        return _prove_by_value(gate, told)
    worlds = _Worlds(gate, seed)
    boundary = at_the_bound(gate, seed=seed)
    if boundary is None:
        problem = f"cannot fail: even the worst predictions keep to it, so {_limit_of(gate)} allows everything"
        return replace(told, problem=problem, cure="write the bound that a bad model breaks")
    alarms = worlds.count(boundary, lambda verdict: verdict.failed)
    found = _catch(worlds, replace(told, tried=SAMPLES, alarms=alarms))
    most = most_alarms(verdict.m or 1)
    if not found.problem and alarms > most:
        problem = f"cries wolf: FAIL in {alarms} of {SAMPLES} samples with nothing wrong, where chance explains {most}"
        return replace(found, problem=problem, cure="evaluate more rows, or gate on a metric that more rows decide")
    return found


def most_alarms(m: int) -> int:
    """Return how many of the samples may fail at the bound by chance, for a gate among so many."""
    from scipy import special

    level = 0.05 / m
    return next(count for count in range(SAMPLES + 1) if special.bdtrc(count, SAMPLES, level) <= _CHANCE)


def fewest_caught() -> int:
    """Return how many of the samples with the drop a gate catches at least that catches four in five."""
    from scipy import special

    return next(count for count in range(SAMPLES + 1) if special.bdtr(count, SAMPLES, POWER) > _CHANCE)


# -- both worlds -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Worlds:
    """Samples of worlds, the same rows in each of them."""

    gate: RecordedGate
    seed: int

    def count(self, world: World, wanted: Callable[[Verdict], bool], *, misses: int = SAMPLES) -> int:
        """Return in how many samples the verdict is the wanted one; stop after too many in which it is not."""
        found = missed = 0
        for rows, groups in _samples(self.gate.rows, self.seed):
            verdict = judge_world(self.gate, world.sample(rows, groups))
            hit = verdict is not None and wanted(verdict)
            found, missed = found + hit, missed + (not hit)
            if missed > misses:
                break
        return found


def _catch(worlds: _Worlds, told: GateTest) -> GateTest:
    """Plant the drop that must be seen; where none is named, the one that the gate states, or the next that it sees."""
    gate, least = worlds.gate, fewest_caught()
    named = gate.must_detect is not None
    drops = [gate.must_detect] if gate.must_detect is not None else list(_drops(gate))
    last = None
    for drop in drops:
        world = with_drop(gate, drop, seed=worlds.seed)
        if world is None:
            break
        last = world
        misses = SAMPLES if named else SAMPLES - least
        told = replace(told, drop=drop, named=named, caught=worlds.count(world, is_broken, misses=misses))
        if told.caught >= least:
            return told
    if last is None:
        problem = f"cannot fail: no predictions are worse by {drops[0]:.4g}" if named else "cannot fail at all"
        return replace(told, named=named, problem=problem, cure="ask for a drop that the metric can have")
    return replace(told, problem=_blindness(gate, last, told), cure=_MORE_ROWS)


def _drops(gate: RecordedGate) -> Iterator[float]:
    margin = gate.verdict.margin or 0.0
    stated, decisive = gate.verdict.mde, gate.verdict.n_eff or 0.0
    # Two models that agree in almost every row state none, or that of a few rows: what a handful makes, and more.
    known = stated is not None and stated > margin and decisive >= MIN_EFF[gate.verdict.require]
    beyond = stated - margin if known and stated is not None else max(margin, 10 / len(gate.rows))
    for factor in _LADDER:
        yield margin + factor * beyond


def _blindness(gate: RecordedGate, world: World, told: GateTest) -> str:
    verdict = judge_world(gate, world)
    why = "" if verdict is None or verdict.failed else verdict.reason.rpartition("; ")[2]
    stated = gate.verdict.mde
    sees = f"; it states {stated:.3g}" if stated is not None and told.named else ""
    share = f"a drop of {told.drop:.4g} turned it red in {told.caught} of {SAMPLES} samples{sees}"
    if not told.named:
        share = f"no drop up to {told.drop:.4g} turns it red 4 times in 5"
    return f"blind: {share}{f' ({why})' if why else ''}"


def _samples(rows: ScoredRows, seed: int) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp] | None]]:
    """Draw positions with replacement; of rows that belong together all, and each time as a group of its own."""
    import numpy as np

    rng, n = np.random.default_rng(seed), len(rows)
    if rows.groups is None:
        for _ in range(SAMPLES):
            yield rng.integers(0, n, n), None
        return
    place = np.unique(rows.groups, return_inverse=True)[1]
    members = np.split(np.argsort(place, kind="stable"), np.cumsum(np.bincount(place))[:-1])
    for _ in range(SAMPLES):
        chosen = [members[group] for group in rng.integers(0, len(members), len(members))]
        sizes = [len(each) for each in chosen]
        yield np.concatenate(chosen), np.repeat(np.arange(len(chosen)), sizes)


# -- by value ----------------------------------------------------------------------------------------------------------


def _prove_by_value(gate: RecordedGate, told: GateTest) -> GateTest:
    """Move the value just past the bound: what decides by the value fails on what it sees."""
    verdict = judge_shifted(gate)
    if verdict is None:
        problem = f"cannot fail: no value of {told.metric} is beyond it, so {_limit_of(gate)} allows everything"
        return replace(told, problem=problem, cure="write the bound that a bad model breaks")
    if not verdict.failed:
        return replace(told, problem="does not fail where its bound is broken", cure="report this gate")
    return replace(told, caught=1)


def _limit_of(gate: RecordedGate) -> str:
    verdict = gate.verdict
    if verdict.margin is not None:
        return f"a margin of {verdict.margin:g}"
    return f"a {verdict.gate} of {verdict.bound:g}"
