"""Turn an audit into JUnit XML: each pillar a test case, for the page of a CI service."""

from __future__ import annotations

from collections.abc import Iterator
from xml.sax.saxutils import escape, quoteattr

from pytest_mlrun.records.audit import AuditedPillar, AuditRecord

# XML 1.0 cannot say control characters, not even escaped.
_ALLOWED = frozenset("\t\n")


def render_junit(record: AuditRecord, *, digest: str) -> str:
    """Return the XML of an audit.

    Args:
        record: The audit.
        digest: Digest of its ``audit.json``.
    """
    failed = [pillar for pillar in record.pillars if pillar.status == "fail"]
    skipped = [pillar for pillar in record.pillars if pillar.status == "unchecked"]
    broken = [pillar for pillar in failed if pillar.infrastructure]
    facts = {
        "verdict": record.verdict,
        "level": record.level,
        "run_digest": record.subject.run_digest,
        "audit_json": digest,
        "findings": str(len(record.findings)),
    }
    properties = "".join(f"<property name={_quote(name)} value={_quote(text)}/>" for name, text in facts.items())
    cases = "".join(_case(record, pillar) for pillar in record.pillars) + "".join(_verdict(record))
    count = len(record.pillars) + 1
    failures = len(failed) - len(broken) + (record.exit_code == 1)
    errors = len(broken) + (record.exit_code not in {0, 1})
    totals = (
        f'tests="{count}" failures="{failures}" errors="{errors}" skipped="{len(skipped)}" '
        f'time="{record.took_ms / 1000:.3f}"'
    )
    suite = f"<testsuite name={_quote(f'audit of {record.subject.name}')} {totals}>"
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<testsuites>'
        f"{suite}<properties>{properties}</properties>{cases}</testsuite></testsuites>\n"
    )


def _case(record: AuditRecord, pillar: AuditedPillar) -> str:
    head = (
        f"<testcase classname={_quote(f'audit.{record.subject.name}')} name={_quote(pillar.name)} "
        f'time="{pillar.took_ms / 1000:.3f}">'
    )
    told = "\n".join([pillar.said, *pillar.findings, *([f"next: {pillar.cure}"] if pillar.cure else [])])
    if pillar.status == "fail":
        tag = "error" if pillar.infrastructure else "failure"
        body = f"<{tag} message={_quote(pillar.said)}>{_text(told)}</{tag}>"
    elif pillar.status == "unchecked":
        body = f"<skipped message={_quote(pillar.said)}/>"
    else:
        body = f"<system-out>{_text(told)}</system-out>"
    return f"{head}{body}</testcase>"


def _verdict(record: AuditRecord) -> Iterator[str]:
    yield f'<testcase classname={_quote(f"audit.{record.subject.name}")} name="verdict" time="0">'
    if record.exit_code == 0:
        yield f"<system-out>{_text(f'{record.headline}: {record.reason}')}</system-out>"
    else:
        tag = "failure" if record.exit_code == 1 else "error"
        yield f"<{tag} message={_quote(f'{record.verdict}: {record.reason}')}/>"
    yield "</testcase>"


def _quote(text: str) -> str:
    return quoteattr(_clean(text))


def _text(text: str) -> str:
    return escape(_clean(text))


def _clean(text: str) -> str:
    return "".join(char if char.isprintable() or char in _ALLOWED else "?" for char in text)
