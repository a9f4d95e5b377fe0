"""Say what a run is going to be, before it begins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pytest_mlrun.records.project import Project
from pytest_mlrun.rules.gate_policy import GatePolicy
from pytest_mlrun.rules.selection import Choice

CleanTree = Literal["require", "record"]
Entropy = Literal["detect", "off"]


@dataclass(frozen=True, slots=True)
class RunPlan:
    """Everything known about a run before its first line executes.

    Attributes:
        params: Name to JSON text.
        data: Names of the snapshots to verify before the run begins.
        seed: What the global generators start from, 0 to 2**32 - 1.
        seed_source: ``marker``, ``option``, ``branch``, ``replay``, ``derived`` or ``given``.
        primary: Metric whose gates count as primary.
        policy: What the session and the marker ask of the gates.
        selection: How the run's winner is chosen, if it judges one.
        pinned: False outside pytest, where nothing holds the generators.
        entropy: Whether draws without a seed are looked for.
        context: Further facts, name to JSON text.
    """

    project: Project
    experiment: str
    name: str
    test: str
    case: str = ""
    attempt: int = 1
    parent_id: str | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    data: tuple[str, ...] = ()
    seed: int = 0
    seed_source: str = "option"
    clean_tree: CleanTree = "record"
    primary: str = ""
    policy: GatePolicy = field(default_factory=GatePolicy)
    selection: Choice | None = None
    pinned: bool = True
    entropy: Entropy = "off"
    context: Mapping[str, str] = field(default_factory=dict)
