"""Hold what the self-test of one recorded gate found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GateTest:
    """What became of a gate that was shown what it must catch, and what it must let pass.

    Attributes:
        run: Name of the run that recorded it.
        gate: Kind of gate, such as ``floor``.
        metric: Name of the metric.
        bound: Floor, ceiling or margin.
        require: ``value``, ``evidence`` or ``proof``.
        drop: Drop that was planted; None where none could be.
        named: Whether the drop is the one that ``must_detect`` names.
        tried: Samples judged in each of both worlds; 0 where the value alone decides.
        caught: Samples with the planted drop in which the gate turned red.
        alarms: Samples of a model exactly at the bound in which it failed.
        problem: Why the gate proves nothing; empty for a gate that works.
        cure: What to do about it.
    """

    run: str
    gate: str
    metric: str
    bound: float
    require: str
    drop: float | None = None
    named: bool = False
    tried: int = 0
    caught: int = 0
    alarms: int = 0
    problem: str = ""
    cure: str = ""
