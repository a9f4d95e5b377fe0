"""Turn an audit into lines for a terminal: the verdict, a line a pillar, the numbers, what a reader must know."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from pytest_mlrun.records.audit import AuditedMetric, AuditedPillar, AuditRecord
from pytest_mlrun.records.event import REPRODUCED
from pytest_mlrun.report.table import Column, clean_text, lay_out, wrap_text

_LABEL: Final = 13
_WORDS: Final = {"pass": "ok", "finding": "finding", "fail": "FAIL", "unchecked": "-"}
_SHOWN: Final = 12


def audit_lines(record: AuditRecord, *, width: int | None, verbose: bool) -> Iterator[tuple[str, Mapping[str, bool]]]:
    """Yield the lines of an audit, with how they are shown.

    Args:
        record: The audit.
        width: Terminal columns.
        verbose: Whether everything is told, also what is as it should be.
    """
    good = record.verdict in REPRODUCED
    yield f"{record.headline}  {record.subject.name}", {"bold": True, "green": good, "red": not good}
    for label, text in _head(record):
        yield from ((line, {}) for line in _labelled(label, text, width))
    yield "", {}
    for pillar in record.pillars:
        yield from ((line, {"red": pillar.status == "fail"}) for line in _pillar_lines(pillar, width, verbose=verbose))
    if record.metrics:
        yield "", {}
        yield from ((line, {}) for line in metric_lines(record.metrics, width=width))
    yield from ((line, {}) for line in _lists(record, width, verbose=verbose))


def metric_lines(metrics: Sequence[AuditedMetric], *, width: int | None) -> list[str]:
    """Return the table of recorded and replayed numbers.

    Args:
        metrics: The metrics.
        width: Terminal columns.
    """
    columns = [
        Column("metric", cut="middle", least=12),
        Column("recorded", align="right"),
        Column("replayed", align="right"),
        Column("difference", align="right"),
        Column("allowed", cut="end", least=10, rank=1),
        Column("", cut="end", least=8),
    ]
    rows = [
        (
            metric.name,
            show_number(metric.recorded),
            show_number(metric.replayed),
            show_difference(metric),
            metric.tolerance,
            metric.status,
        )
        for metric in metrics
    ]
    laid = lay_out(columns, rows, width=width)
    return [*laid.header, *laid.rows]


def show_number(value: float | None) -> str:
    """Return a number as a report shows it, or that there is none."""
    return "none" if value is None else f"{value:.6g}"


def show_difference(metric: AuditedMetric) -> str:
    """Return how far the replayed number is from the recorded one."""
    if metric.recorded is None or metric.replayed is None:
        return "-"
    if metric.status == "exact":
        return "0"
    return f"{metric.replayed - metric.recorded:+.2g}"


def show_duration(took_ms: int) -> str:
    """Return a duration as people say it."""
    return f"{took_ms} ms" if took_ms < 1000 else f"{took_ms / 1000:.1f} s"  # noqa: PLR2004 - a second


def summary_lines(records: Sequence[AuditRecord], *, width: int | None) -> list[str]:
    """Return one line for each of several audits.

    Args:
        records: The audits.
        width: Terminal columns.
    """
    columns = [
        Column("version", cut="middle", least=10),
        Column("verdict"),
        Column("level", rank=2),
        Column("findings", align="right", rank=1),
        Column("took", align="right", rank=1),
        Column("why", cut="end", least=20, rank=1),
    ]
    rows = [
        (
            record.subject.name,
            record.verdict,
            record.level or "-",
            str(len(record.findings)),
            show_duration(record.took_ms),
            record.reason,
        )
        for record in records
    ]
    laid = lay_out(columns, rows, width=width)
    return [*laid.header, *laid.rows]


def _head(record: AuditRecord) -> Iterator[tuple[str, str]]:
    yield "why", record.reason
    subject = record.subject
    named = "  ·  ".join(part for part in (subject.run_id[-8:], subject.run_name, subject.experiment) if part)
    yield "run", named or "could not be read"
    if record.level:
        yield "level", "  ·  ".join([record.level, *record.level_reasons])
    if record.divergence:
        yield "differs", record.divergence


def _pillar_lines(pillar: AuditedPillar, width: int | None, *, verbose: bool) -> list[str]:
    took = f"  ({show_duration(pillar.took_ms)})" if pillar.took_ms >= 1000 else ""  # noqa: PLR2004 - a second
    lines = _labelled(pillar.name, f"{_WORDS[pillar.status]:<8}{pillar.said}{took}", width, more=8)
    told = [text for text in pillar.findings if text != pillar.said]
    if pillar.status == "fail":
        lines += [line for text in told[:_SHOWN] for line in _labelled("", f"{'':8}{text}", width, more=8)]
    if pillar.cure and pillar.status == "fail":
        lines += _labelled("", f"{'next:':<8}{pillar.cure}", width, more=8)
    if verbose:
        lines += [
            line for name, text in pillar.evidence.items() for line in _labelled("", f"{'':8}{name} {text}", width)
        ]
    return lines


def _lists(record: AuditRecord, width: int | None, *, verbose: bool) -> Iterator[str]:
    failed = {pillar.name for pillar in record.pillars if pillar.status == "fail"}
    findings = [
        f"{pillar.name}: {text}" for pillar in record.pillars for text in pillar.findings if pillar.name not in failed
    ]
    sections: list[tuple[str, Sequence[str]]] = [("findings", findings)]
    if verbose:
        sections += [("not checked", record.not_checked), ("people", record.independence)]
    else:
        sections.append(("people", [text for text in record.independence if text.startswith("NOT ")]))
    for title, texts in sections:
        if texts:
            yield ""
            yield f"{title}:"
        for text in texts:
            yield from wrap_text(clean_text(f"  {text}"), width, hanging=4)


def _labelled(label: str, text: str, width: int | None, *, more: int = 0) -> list[str]:
    """Return a labelled text, broken at spaces, whose columns keep their places."""
    cleaned = clean_text(text)
    hanging = _LABEL + more
    if width is None:
        return [f"{label:<{_LABEL}}{cleaned}".rstrip()]
    wrapped = textwrap.wrap(
        cleaned,
        max(20, width),
        initial_indent=f"{label:<{_LABEL}}",
        subsequent_indent=" " * hanging,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
    )
    return [line.rstrip() for line in wrapped] or [label]
