"""Judge a gate on what a run has logged, and on the rows behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_mlrun.errors import InconclusiveGateWarning

if TYPE_CHECKING:
    from pytest_mlrun.recorder.recording import Recording
    from pytest_mlrun.records.verdict import Verdict
    from pytest_mlrun.rules.gates import Gate
    from pytest_mlrun.rules.marker import MarkerArguments
    from pytest_mlrun.rules.no_regression import NoRegression
    from pytest_mlrun.rules.reproduces import Reproduces

_MOST_SHOWN = 1_000_000
"""Rows up to which a gate that decides by value reads them for its interval; beyond, nobody could see its width."""


def judge_gate(recording: Recording, gate: Gate | NoRegression | Reproduces) -> Verdict:
    """Judge a gate and write the verdict into the record.

    Raises:
        MetricError: If the metric was never logged, has no point at that step, or other rows than the baseline.
        RunNotFoundError: If there is no such baseline.
    """
    from pytest_mlrun.pillars.randomness import undisturbed
    from pytest_mlrun.rules.gates import Gate
    from pytest_mlrun.rules.no_regression import NoRegression

    with undisturbed():
        if isinstance(gate, Gate | NoRegression):
            return _judge_metric(recording, gate)
        from pytest_mlrun.run.reproducing import judge_reproduces

        return recording.judge(judge_reproduces(recording, gate))


def _judge_metric(recording: Recording, gate: Gate | NoRegression) -> Verdict:
    from pytest_mlrun.rules.gates import Gate
    from pytest_mlrun.run.held_out import note_look
    from pytest_mlrun.run.seeds import verdict_of
    from pytest_mlrun.run.updating import update_instead

    updated = None if isinstance(gate, Gate) else update_instead(recording, gate)
    if updated is not None:
        return updated
    known = verdict_of(recording, gate)
    if known is not None:
        # The seeds that were trained for it recorded it at their last look.
        return known
    verdict = _judge_bound(recording, gate) if isinstance(gate, Gate) else _judge_against(recording, gate)
    return recording.judge(note_look(recording, gate, verdict))


def _judge_against(recording: Recording, gate: NoRegression) -> Verdict:
    from pytest_mlrun.run.sides import judge_data, judge_model, judge_procedure

    if gate.claim == "model":
        return judge_model(recording, gate)
    if gate.claim == "data":
        return judge_data(recording, gate)
    # Seeds that came until another gate was decided were looked at just as often for this one.
    looks = None if recording.sequence is None else recording.sequence.looks
    return judge_procedure(recording, gate, None, looks)


def settle(verdicts: Sequence[Verdict]) -> None:
    """Fail once, naming every gate that is broken; warn of each that could not be decided.

    Raises:
        GateFailure: If any is broken.
    """
    __tracebackhide__ = True
    from pytest_mlrun.rules.gates import failure, is_broken, verdict_lines
    from pytest_mlrun.run.updating import UPDATE
    from pytest_mlrun.run.warning import warn_at_test

    for verdict in verdicts:
        if verdict.decision == "INCONCLUSIVE" and verdict.method != UPDATE and not is_broken(verdict):
            warn_at_test("\n".join(verdict_lines(verdict)), InconclusiveGateWarning)
    if any(is_broken(verdict) for verdict in verdicts):
        raise failure(verdicts)


def judge_marker(recording: Recording, marker: MarkerArguments, *, only_logged: bool = False) -> None:
    """Judge the gates written in the marker, each once in a run, and fail once, naming every one that failed.

    Args:
        recording: The run.
        marker: What the markers say.
        only_logged: Whether a gate whose metric was not logged yet can wait.

    Raises:
        GateFailure: If any failed.
        MetricError: If a metric was never logged.
    """
    from pytest_mlrun.rules.gates import Gate

    gates = [Gate("floor", metric, bound) for metric, bound in marker.floors.items()]
    gates += [Gate("ceiling", metric, bound) for metric, bound in marker.ceilings.items()]
    primary = recording.plan.primary
    verdicts = []
    for gate in gates:
        waits = only_logged and gate.metric not in recording.values
        if not waits and gate not in recording.marker_gates:
            recording.marker_gates.append(gate)
            verdicts.append(judge_gate(recording, replace(gate, primary=gate.metric == primary)))
    settle(verdicts)


# -- floors and ceilings -----------------------------------------------------------------------------------------------


def _judge_bound(recording: Recording, gate: Gate) -> Verdict:
    from pytest_mlrun.rules.bound_evidence import judge_bound
    from pytest_mlrun.run.held_out import held_out, policy_of
    from pytest_mlrun.run.sides import refuse_unlogged

    refuse_unlogged(recording, gate.metric)
    rows = recording.rows_of(gate.metric) if gate.at == "last" and _is_wanted(recording, gate) else None
    held = held_out(recording, gate)
    value = _value(recording, gate) if held is None else held.shown.exact
    return judge_bound(gate, value, rows, policy_of(recording, gate))


def _is_wanted(recording: Recording, gate: Gate) -> bool:
    if recording.plan.policy.require(gate.require, default="value") != "value":
        return True
    fact = recording.evaluations.get(gate.metric)
    return fact is not None and fact["n"] <= _MOST_SHOWN


def _value(recording: Recording, gate: Gate) -> float:
    last = recording.values[gate.metric]
    points = None if gate.at == "last" else recording.series(gate.metric)
    if gate.at == "last" or (points is None and gate.at == "best"):
        return last
    from pytest_mlrun.rules.series import read_at

    if points is None:
        return read_at((), (), gate.at, kind=gate.kind, metric=gate.metric)
    return read_at(points.values, points.steps, gate.at, kind=gate.kind, metric=gate.metric)
