"""Add the result of an audit to a model's log."""

from __future__ import annotations

from pathlib import Path

from pytest_mlrun.records.audit import AuditRecord
from pytest_mlrun.records.event import Event
from pytest_mlrun.registry.log import append, read_events


def add_audit(project: Path, record: AuditRecord, *, report: str, who: str, note: str) -> Event:
    """Add the result of an audit of a registered run.

    Args:
        project: Folder of ``mlrun.toml``.
        record: The audit.
        report: Digest of its ``audit.json``.
        who: Who audited.
        note: Why.

    Raises:
        LostRaceError: Somebody else wrote the model's next event first.
        RegistryError: The file cannot be written.
    """
    subject = record.subject
    return append(
        project,
        # Read again: events may have been added while the model was trained again.
        read_events(project, subject.model),
        model=subject.model,
        kind="audited",
        who=who,
        note=note,
        body={
            "version": subject.version,
            "run_digest": subject.run_digest,
            "verdict": record.verdict,
            "level": record.level,
            "findings": len(record.findings),
            "report": report,
            "tool": record.tool,
        },
    )
