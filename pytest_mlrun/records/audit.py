"""Describe an audit: what was checked of a run, what was found, and what could not be looked at."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from pytest_mlrun.records.event import REPRODUCED

AUDIT_VERSION: Final = 1
PILLARS: Final = ("record", "code", "data", "interpreter", "environment", "randomness", "replay")

PillarStatus = Literal["pass", "finding", "fail", "unchecked"]
AuditVerdict = Literal[
    "REPRODUCED_EXACTLY", "REPRODUCED", "CONSISTENT", "DIVERGED", "NOT_REPRODUCIBLE", "REJECTED", "INCONCLUSIVE"
]


@dataclass(frozen=True, slots=True)
class AuditedPillar:
    """What an audit found of one thing that a result rests on.

    Attributes:
        name: One of ``PILLARS``.
        status: ``pass``, ``finding`` (it holds, with something that a reader must know), ``fail`` or ``unchecked``.
        said: What was found, a sentence without a full stop.
        method: How it was checked.
        evidence: Name to digest, commit or version.
        findings: What a reader must know, one sentence each.
        not_checked: What nobody looked at.
        cure: What to do about a failure.
        infrastructure: Whether it failed for a reason that says nothing of the model: no network, no time.
        took_ms: How long it took.
    """

    name: str
    status: PillarStatus
    said: str
    method: str = ""
    evidence: Mapping[str, str] = field(default_factory=dict)
    findings: tuple[str, ...] = ()
    not_checked: tuple[str, ...] = ()
    cure: str = ""
    infrastructure: bool = False
    took_ms: int = 0


@dataclass(frozen=True, slots=True)
class AuditedMetric:
    """One number of the record beside the one that the replay gave.

    Attributes:
        name: Name of the metric.
        recorded: As recorded; None if the record has no such metric.
        replayed: As replayed; None if the replay has no such metric.
        tolerance: What difference is allowed, for a person.
        source: Where the tolerance comes from.
        status: ``exact``, ``close``, ``consistent``, ``differs``, ``missing`` or ``extra``.
    """

    name: str
    recorded: float | None
    replayed: float | None
    tolerance: str
    source: str
    status: str


@dataclass(frozen=True, slots=True)
class AuditedApproval:
    """A signed yes, and whether it holds.

    Attributes:
        principal: Who gave it, as the signers' file names them.
        role: In which role.
        alias: For which alias.
        time_us: When, as the signer's clock said.
        expires_us: From when it no longer counts.
        note: Why.
        signers: Digest of the signers' file that it was checked with.
        reason: Why it does not hold; empty if it does.
    """

    principal: str
    role: str
    alias: str
    time_us: int
    expires_us: int
    note: str
    signers: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class AuditSubject:
    """What was audited.

    Attributes:
        ref: As it was asked for.
        model: Name of the model; empty for a run that is not registered.
        version: Its version; 0 for such a run.
        aliases: Aliases that the version held.
        run_id: The run; empty if it could not be read.
        run_digest: Digest of its record, as registered or, for a run that is not, as the store has it.
        run_name: Its name.
        experiment: Its experiment.
        test: Identity of its test.
        commit: Full id; empty where the run knew none.
        params: Name to JSON text.
        files: Name of each model file to its digest.
    """

    ref: str
    model: str = ""
    version: int = 0
    aliases: tuple[str, ...] = ()
    run_id: str = ""
    run_digest: str = ""
    run_name: str = ""
    experiment: str = ""
    test: str = ""
    commit: str = ""
    params: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """``churn/3``, or how a run is named."""
        if self.model:
            return f"{self.model}/{self.version}"
        return f"run {self.run_id[-8:]}" if self.run_id else self.ref


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """An audit that ended.

    Attributes:
        subject: What was audited.
        verdict: What it says.
        reason: Why, a sentence without a full stop.
        pillars: In the order of ``PILLARS``, all of them.
        level: Distance of the two environments, ``L0`` to ``L3``; empty if nothing was replayed.
        level_reasons: Why it is that far.
        metrics: Every number of the record and of the replay.
        divergence: Where the two first differ, as far as it is known.
        approvals: Every approval of the version.
        independence: Who registered, approved, wrote and audited, and what follows from it; one sentence each.
        recorded_on: Facts of the machine of the record.
        audited_on: Facts of the machine of the audit.
        auditor: Who audited, as their machine knows them.
        tool: Version of the plugin that audited.
        began_us: When, in microseconds since the epoch, UTC.
        took_ms: How long it took.
        log: Digest of what the child processes wrote; empty if none was started.
        previous: Digest of the report of the audit of this version before; empty if there was none.
        v: Version of this form.
    """

    subject: AuditSubject
    verdict: AuditVerdict
    reason: str
    pillars: tuple[AuditedPillar, ...]
    level: str = ""
    level_reasons: tuple[str, ...] = ()
    metrics: tuple[AuditedMetric, ...] = ()
    divergence: str = ""
    approvals: tuple[AuditedApproval, ...] = ()
    independence: tuple[str, ...] = ()
    recorded_on: Mapping[str, str] = field(default_factory=dict)
    audited_on: Mapping[str, str] = field(default_factory=dict)
    auditor: str = ""
    tool: str = ""
    began_us: int = 0
    took_ms: int = 0
    log: str = ""
    previous: str = ""
    v: int = AUDIT_VERSION

    @property
    def findings(self) -> tuple[str, ...]:
        """What a reader must know, pillar by pillar."""
        return tuple(f"{pillar.name}: {text}" for pillar in self.pillars for text in pillar.findings)

    @property
    def not_checked(self) -> tuple[str, ...]:
        """What nobody looked at, pillar by pillar."""
        return tuple(f"{pillar.name}: {text}" for pillar in self.pillars for text in pillar.not_checked)

    @property
    def headline(self) -> str:
        """The verdict, and whether there are findings."""
        return f"{self.verdict} WITH FINDINGS" if self.findings and self.verdict in REPRODUCED else self.verdict

    @property
    def exit_code(self) -> int:
        """What the program says: 0 reproduced, 4 inconclusive, 1 anything else."""
        return 0 if self.verdict in REPRODUCED else 4 if self.verdict == "INCONCLUSIVE" else 1


def encode_audit(record: AuditRecord) -> bytes:
    """Return the one form of an audit that is kept and signed: JSON in ASCII, keys sorted, two spaces, LF at its end.

    No number in it is a float, which every language writes in another way: metrics are texts, and hexadecimal besides.
    """
    return (json.dumps(plain_audit(record), sort_keys=True, indent=2, allow_nan=False) + "\n").encode("ascii")


def plain_audit(record: AuditRecord) -> dict[str, object]:
    """Return an audit as values that JSON knows, one key a field."""
    return {
        **_plain(record),
        "kind": "mlrun-audit",
        "subject": _plain(record.subject),
        "pillars": [_plain(pillar) for pillar in record.pillars],
        "metrics": [_plain_metric(metric) for metric in record.metrics],
        "approvals": [_plain(approval) for approval in record.approvals],
        "findings": list(record.findings),
        "not_checked": list(record.not_checked),
        "exit_code": record.exit_code,
    }


def _plain(entry: object) -> dict[str, object]:
    return {name: _value(getattr(entry, name)) for name in getattr(entry, "__slots__", ())}


def _value(value: object) -> object:
    if isinstance(value, tuple):
        return list(value)
    return dict(value) if isinstance(value, Mapping) else value


def _plain_metric(metric: AuditedMetric) -> dict[str, object]:
    plain = _plain(metric)
    for side in ("recorded", "replayed"):
        number = getattr(metric, side)
        plain[side] = None if number is None else repr(float(number))
        plain[f"{side}_hex"] = None if number is None else float(number).hex()
    return plain
