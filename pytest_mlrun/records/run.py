"""Describe a run: how it starts, how it ends, and its finished row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from pytest_mlrun.records.verdict import Verdict

RECORD_VERSION = 1
REPEATED = "repeated"
"""Context entry of a run that trained under several seeds or on folds: their ids with the digests of their records."""

Status = Literal["running", "finished", "failed", "killed", "orphaned"]
Outcome = Literal["passed", "failed", "error", "skipped", ""]
Cause = Literal["oom", "nan", "data_schema", "data_snapshot", "timeout", "interrupted", "gate", "error", "unknown", ""]
STATUSES: tuple[str, ...] = get_args(Status)
OUTCOMES: tuple[str, ...] = get_args(Outcome)
CAUSES: tuple[str, ...] = get_args(Cause)
ROLES: frozenset[str] = frozenset(
    {
        "artifact",
        "checkpoint",
        "environment",
        "figure",
        "fingerprints",
        "labels",
        "manifest",
        "model",
        "patch",
        "predictions",
        "snapshot",
        "table",
    }
)


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file that belongs to a run, stored as a content-addressed object.

    Attributes:
        name: Name inside the run, ``/``-separated, never absolute, never with ``..``.
        digest: ``sha256:<hex>`` of the bytes.
        size_bytes: Number of bytes.
        media_type: MIME type, such as ``application/json``.
        role: One of ``ROLES``. A ``manifest`` lists the files of a snapshot; a ``snapshot`` does so too, and each of
            these files is an object of the store.
        unsafe: Whether reading it can run code (a pickle).
        time_us: Microseconds since the epoch, UTC.
    """

    name: str
    digest: str
    size_bytes: int
    media_type: str = "application/octet-stream"
    role: str = "artifact"
    unsafe: bool = False
    time_us: int = 0


@dataclass(frozen=True, slots=True)
class RunStart:
    """What is known when a run begins.

    ``params`` and ``context`` map names to JSON texts; ``tags`` map names to plain text.
    """

    run_id: str
    session_id: str
    experiment: str
    name: str
    test: str
    case: str = ""
    attempt: int = 1
    parent_id: str | None = None
    started_us: int = 0
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    context: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunEnd:
    """What is known when a run finishes."""

    status: Status
    outcome: Outcome
    cause: Cause = ""
    cause_detail: str = ""
    error: str = ""
    ended_us: int = 0


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run as the store keeps it: one immutable row.

    Attributes:
        run_id: UUIDv7, 36 characters, lower case.
        session_id: UUIDv7 of the session (one ``pytest`` command, all its workers).
        experiment: Name of the experiment.
        name: Run name, from the template or the test's name.
        test: Identity of the test: path relative to its ``mlrun.toml``, class and function; never the params.
        case: Parametrize id, for people only.
        attempt: 1 for the first attempt, 2 for the first rerun.
        parent_id: Run id of the parent of a child run.
        status: One of ``STATUSES``.
        outcome: One of ``OUTCOMES``; empty while running or orphaned.
        cause: One of ``CAUSES``; empty for a run with nothing wrong.
        cause_detail: Such as the metric and step of a NaN, or the column of a data schema error.
        error: Traceback text of a failure.
        started_us: Microseconds since the epoch, UTC.
        ended_us: Likewise; never before ``started_us``.
        params: Name to JSON text.
        metrics: Name to the last value; NaN and infinities included.
        tags: Name to text.
        context: Dotted name to JSON text: the pillars' facts, host, user, command line, CI job.
        artifacts: In logged order.
        gates: In judged order.
        series: Name to ``"<count>:sha256:<hex>"`` of the points.
        v: Version of the record's form.
        digest: ``sha256:<hex>`` over the canonical form of every other field.
    """

    run_id: str
    session_id: str
    experiment: str
    name: str
    test: str
    case: str
    attempt: int
    parent_id: str | None
    status: str
    outcome: str
    cause: str
    cause_detail: str
    error: str
    started_us: int
    ended_us: int
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    context: Mapping[str, str]
    artifacts: tuple[Artifact, ...]
    gates: tuple[Verdict, ...]
    series: Mapping[str, str]
    v: int = RECORD_VERSION
    digest: str = ""

    @property
    def short_id(self) -> str:
        """Last 8 hex digits of the id: what people type."""
        return self.run_id[-8:]

    @property
    def is_replay(self) -> bool:
        """Whether it made another run again: no baseline, no winner, no model version."""
        return "replay.of" in self.context
