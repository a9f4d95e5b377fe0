"""Judge a gate on held-out rows: all looks at them share its error rate, and each is written down."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_mlrun.recorder.looking import HeldOut
    from pytest_mlrun.recorder.recording import Recording
    from pytest_mlrun.records.verdict import Verdict
    from pytest_mlrun.rules.gate_policy import GatePolicy
    from pytest_mlrun.rules.gates import Gate
    from pytest_mlrun.rules.no_regression import NoRegression


def held_out(recording: Recording, gate: Gate | NoRegression) -> HeldOut | None:
    """Return the look that a gate is, if its rows are held out; of several trainings the last one's."""
    known = [each for each in (*recording.children, recording) if gate.metric in each.held_out]
    if not known or (getattr(gate, "at", "last") != "last" and recording.series(gate.metric) is not None):
        return None
    from pytest_mlrun.recorder.looking import held_out_of

    return held_out_of(known[-1], gate.metric)


def policy_of(recording: Recording, gate: Gate | NoRegression) -> GatePolicy:
    """Return what the session asks of a gate, which on held-out rows has a share of the error rate only."""
    held = held_out(recording, gate)
    if held is None:
        return recording.plan.policy
    from pytest_mlrun.recorder.looking import policy_for

    return policy_for(recording.plan.policy, held)


def note_look(recording: Recording, gate: Gate | NoRegression, verdict: Verdict) -> Verdict:
    """Write down what a gate found, if its rows are held out, and return the verdict as it may be shown."""
    held = held_out(recording, gate)
    if held is None:
        return verdict
    from pytest_mlrun.recorder.looking import note_gate

    return note_gate(recording, verdict, held)
