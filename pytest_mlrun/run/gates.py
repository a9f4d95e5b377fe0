"""Judge a gate on the values that a run has logged."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_mlrun.recorder.recording import Recording
    from pytest_mlrun.records.verdict import Verdict
    from pytest_mlrun.rules.gates import Gate
    from pytest_mlrun.rules.marker import MarkerArguments


def judge_gate(recording: Recording, gate: Gate) -> Verdict:
    """Judge a gate and write the verdict into the record.

    Raises:
        MetricError: If the metric was never logged, or has no point at the step asked for.
    """
    if gate.metric not in recording.values:
        from pytest_mlrun.rules.gates import never_logged

        raise never_logged(gate.metric, recording.values)
    return recording.judge(gate.judge(_value(recording, gate)))


def _value(recording: Recording, gate: Gate) -> float:
    last = recording.values[gate.metric]
    points = None if gate.at == "last" else recording.series(gate.metric)
    if gate.at == "last" or (points is None and gate.at == "best"):
        return last
    from pytest_mlrun.rules.series import read_at

    if points is None:
        return read_at((), (), gate.at, kind=gate.kind, metric=gate.metric)
    return read_at(points.values, points.steps, gate.at, kind=gate.kind, metric=gate.metric)


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
    from pytest_mlrun.rules.gates import Gate, failure

    gates = [Gate("floor", metric, bound) for metric, bound in marker.floors.items()]
    gates += [Gate("ceiling", metric, bound) for metric, bound in marker.ceilings.items()]
    primary = recording.plan.primary
    verdicts = []
    for gate in gates:
        waits = only_logged and gate.metric not in recording.values
        if not waits and gate not in recording.marker_gates:
            recording.marker_gates.append(gate)
            verdicts.append(judge_gate(recording, replace(gate, primary=gate.metric == primary)))
    broken = [verdict for verdict in verdicts if not verdict.passed]
    if broken:
        raise failure(broken)
