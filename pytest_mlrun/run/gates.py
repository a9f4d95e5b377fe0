"""Judge a gate on the values that a run has logged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_mlrun.recorder.recording import Recording
    from pytest_mlrun.records.verdict import Verdict
    from pytest_mlrun.rules.gates import Gate


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
    if gate.at == "last":
        return recording.values[gate.metric]
    from pytest_mlrun.rules.series import read_at

    points = recording.series(gate.metric)
    return read_at(points.values, points.steps, gate.at, kind=gate.kind, metric=gate.metric)


def judge_marker(recording: Recording, floors: Mapping[str, float], ceilings: Mapping[str, float]) -> None:
    """Judge the gates written in the marker and fail once, naming every one that failed.

    Raises:
        GateFailure: If any failed.
        MetricError: If a metric was never logged.
    """
    from pytest_mlrun.rules.gates import Gate, failure

    gates = [Gate("floor", metric, bound) for metric, bound in floors.items()]
    gates += [Gate("ceiling", metric, bound) for metric, bound in ceilings.items()]
    primary = recording.plan.primary
    verdicts = [judge_gate(recording, replace(gate, primary=gate.metric == primary)) for gate in gates]
    broken = [verdict for verdict in verdicts if not verdict.passed]
    if broken:
        raise failure(broken)
