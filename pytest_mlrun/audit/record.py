"""Check that a record is the one that was registered, and that those who approved it did."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from pytest_mlrun.audit.case import Case
from pytest_mlrun.errors import MlrunError, RegistryError
from pytest_mlrun.records.audit import AuditedApproval, AuditedPillar
from pytest_mlrun.records.event import Approval, ModelState, ModelVersion
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.registry.approving import check_approval, instant_of_counting, with_authors
from pytest_mlrun.registry.checking import check_model
from pytest_mlrun.registry.promoting import asks_for_nobody
from pytest_mlrun.registry.signers import Signers, find_past_signers, read_signers

_METHOD = "digest of the record recomputed; event chain and ssh-keygen signatures verified"


def check_record(case: Case, approvals: tuple[AuditedApproval, ...]) -> AuditedPillar:
    """Check the record pillar.

    Args:
        case: What is audited.
        approvals: What ``check_approvals`` found.
    """
    if case.broken is not None or case.run is None:
        return _broken(case)
    evidence = {"run": case.run.digest}
    if case.version is None or case.state is None:
        return AuditedPillar(
            "record",
            "finding",
            "the run is as it was recorded; nobody registered it",
            method="digest of the record recomputed",
            evidence=evidence,
            findings=("the run is not registered: nothing says that this is the record it had when it ended",),
            not_checked=("approvals: there are none of a run that is no model version",),
        )
    evidence |= {"event": case.version.event, "head": case.state.events[-1].digest}
    reasons = [*_contradictions(case, case.run, case.version), *_refused(case, approvals)]
    if reasons:
        return AuditedPillar(
            "record",
            "fail",
            reasons[0],
            method=_METHOD,
            evidence=evidence,
            findings=tuple(reasons),
            cure="see what was changed: pytest-mlrun verify; git log -- mlrun-registry",
        )
    signers = sorted({one.signers for one in approvals})
    evidence |= {f"signers {at}": digest for at, digest in enumerate(signers, start=1)}
    findings = tuple(_findings(case, case.version, approvals))
    held = sum(not one.reason for one in approvals)
    return AuditedPillar(
        "record",
        "finding" if findings else "pass",
        f"the record is the one registered as {case.version.ref}; {_count(len(case.state.events), 'event')}, "
        f"{_count(held, 'approval')} verified",
        method=_METHOD,
        evidence=evidence,
        findings=findings,
        not_checked=("whether the whole registry was rewritten: only who has an earlier commit can tell",),
    )


def check_approvals(case: Case) -> tuple[AuditedApproval, ...]:
    """Return every approval of the version, and why it does not hold if it does not."""
    if case.version is None or case.state is None:
        return ()
    version = case.version
    with suppress(RegistryError):  # its commit is missing here: the code pillar says so
        version = with_authors(case.project, version)
    mine = [one for one in case.state.approvals if one.version == version.version]
    counted = _counted(case.state, version)
    return tuple(
        AuditedApproval(
            one.principal,
            one.role,
            one.alias,
            one.time_us,
            one.expires_us,
            one.note,
            one.signers,
            _why_not(case, one, version, before_us=counted.get(one.number, one.time_us)),
        )
        for one in mine
    )


def _counted(state: ModelState, version: ModelVersion) -> dict[int, int]:
    """Return the approvals that promotions of a version rest on, and when each must not have expired."""
    promotions = [one for one in state.events if one.kind == "promoted" and one.body["version"] == version.version]
    return {
        number: instant_of_counting(state.events, event)
        for event in reversed(promotions)
        for number in _numbers(event.body["approvals"])
    }


def _why_not(case: Case, approval: Approval, version: ModelVersion, *, before_us: int) -> str:
    try:
        past = find_past_signers(case.project, approval.signers)
        # A key that was revoked may have been in other hands when it signed: no clock but its own says since when.
        revoked = read_signers(case.project).revoked
    except MlrunError as error:
        return error.headline
    if past is None:
        return "its signers were never on the protected branch"
    then, now = Signers(past.content, past.digest), Signers(past.content, past.digest, revoked)
    reasons = [
        check_approval(approval, version, (approval.role,), signers, time_us=approval.time_us, before_us=before_us)[0]
        for signers in ((now, then) if revoked is not None else (now,))
    ]
    # ssh-keygen does not say which of its questions was answered with no.
    return "the key that signed it is revoked" if reasons[0] and not reasons[-1] else reasons[0]


def _broken(case: Case) -> AuditedPillar:
    error = case.broken
    said = error.headline if error is not None else "the run cannot be read"
    details = error.details if error is not None else ()
    return AuditedPillar(
        "record",
        "fail",
        said,
        method=_METHOD,
        findings=(said, *details),
        cure=error.next_step if error is not None else "",
    )


def _contradictions(case: Case, run: RunRecord, version: ModelVersion) -> list[str]:
    records = {run.run_id: run}
    checked = check_model(case.project, version.model, find=records.get)
    return [finding.message for finding in checked.findings]


def _refused(case: Case, approvals: tuple[AuditedApproval, ...]) -> Iterator[str]:
    """Yield which approvals, that an alias of the version rests on, do not hold."""
    if case.version is None or case.state is None:
        return
    numbers = _counted(case.state, case.version)
    mine = [one for one in case.state.approvals if one.version == case.version.version]
    for approval, told in zip(mine, approvals, strict=True):
        if told.reason and approval.number in numbers:
            yield f"the approval of {told.principal} for {told.alias} does not hold: {told.reason}"


def _numbers(value: object) -> list[int]:
    return [number for number in value if isinstance(number, int)] if isinstance(value, list) else []


def _findings(case: Case, version: ModelVersion, approvals: tuple[AuditedApproval, ...]) -> Iterator[str]:
    if not version.principal:
        yield "the registration is not signed: nobody knows who registered it"
    for approval in approvals:
        if approval.reason:
            yield f"an approval of {approval.principal} does not count: {approval.reason}"
    for alias in case.subject.aliases:
        if asks_for_nobody(case.project, alias):
            yield f"[aliases.{alias}] asks for no approval"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
