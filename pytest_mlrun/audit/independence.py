"""Say who trained, registered, approved and audited, and whether these are different people."""

from __future__ import annotations

from pytest_mlrun.audit.case import Case
from pytest_mlrun.records.audit import AuditedApproval


def describe_independence(case: Case, approvals: tuple[AuditedApproval, ...], auditor: str) -> tuple[str, ...]:
    """Return one sentence for each thing that a reader must know to trust the people.

    Args:
        case: What is audited.
        approvals: The version's approvals.
        auditor: Who audits, as their machine knows them.
    """
    trained_by = "@".join(part for part in (case.text("who.user"), case.text("host.name")) if part)
    told = [f"trained by {trained_by or 'nobody known'}"]
    version = case.version
    if version is not None:
        signed = f"signed by {version.principal}" if version.principal else "not signed"
        told.append(f"registered by {version.who}, {signed}")
        told.append(f"commit written by {', '.join(version.authors) or 'nobody known'}")
        held = [one for one in approvals if not one.reason]
        given = ", ".join(f"{one.principal} as {one.role} for {one.alias}" for one in held)
        told.append(f"approved by {given}" if held else "approved by nobody")
    told.append(f"audited by {auditor}, as their machine says: no signature covers that unless the report has one")
    told += _warnings(case, approvals, auditor, trained_by)
    return tuple(told)


def _warnings(case: Case, approvals: tuple[AuditedApproval, ...], auditor: str, trained_by: str) -> list[str]:
    warnings = []
    version = case.version
    if auditor == trained_by:
        warnings.append("NOT INDEPENDENT: who trained it audited it, on the same machine")
    elif version is not None and auditor == version.who:
        warnings.append("NOT INDEPENDENT: who registered it audited it")
    if version is not None:
        own = {version.principal.lower(), *version.authors}
        warnings += [
            f"NOT INDEPENDENT: {one.principal} approved what they wrote or registered"
            for one in approvals
            if one.principal.lower() in own
        ]
    return warnings
