"""Show whether a run could be made again: verdict, level, pillars, numbers, findings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TypeAlias, cast

from pytest_mlrun.records.reproduction import MetricComparison, Reproduction, SeriesComparison
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.records.wire import Plain
from pytest_mlrun.report.facts import MISSING, show_number
from pytest_mlrun.report.plain import plain_json
from pytest_mlrun.report.table import Column, clean_text, lay_out, wrap_text

Line: TypeAlias = tuple[str, dict[str, bool]]

_MOST_ROWS = 12
_INDENT = "  "
_LABEL = 13
_LEVELS = {
    "L0": "the recorded environment",
    "L1": "other threads or cores",
    "L2": "another processor, kernel or C library, the same packages",
    "L3": "other packages, another Python or system",
}
_STATUS = {"same": "as recorded", "differs": "differs", "unpinned": "not pinned", "unknown": "not known"}
_METRIC = {
    "exact": "exact",
    "close": "within",
    "consistent": "consistent",
    "differs": "DIFFERS",
    "missing": "MISSING",
    "extra": "NOT RECORDED",
}
_WRONG = frozenset({"differs", "missing", "extra"})


def render_reproduction(
    found: Reproduction, recorded: RunRecord, *, width: int | None, verbosity: int = 0
) -> list[Line]:
    """Return the lines of a replay's result.

    Args:
        found: What the comparison found.
        recorded: The recorded run.
        width: Terminal columns that a line may take; None for as many as it needs.
        verbosity: Below 0 the verdict alone; above 0 every number.
    """
    colour = {"green": True} if found.reproduced else {"yellow" if found.verdict == "INCONCLUSIVE" else "red": True}
    again = f", replayed as {found.replayed_id[-8:]}" if found.replayed_id else ""
    head = clean_text(f"{found.verdict}  {recorded.name} ({recorded.short_id}){again}")
    lines: list[Line] = [(text, {"bold": True, **colour}) for text in wrap_text(head, width)]
    if verbosity < 0:
        return lines
    lines += _paragraph(found.reason, width)
    lines += [(text, {}) for text in _facts(found, width)]
    lines += [(text, {}) for text in _metrics(found.metrics, width, verbose=verbosity > 0)]
    lines += [(text, {}) for text in _points("series", "step", found.series, width, verbose=verbosity > 0)]
    lines += [(text, {}) for text in _points("predictions", "row", found.predictions, width, verbose=verbosity > 0)]
    if found.findings:
        lines.append(("findings", {"bold": True}))
        for finding in found.findings:
            lines += [(text, {"yellow": True}) for text in _hang(f"{_INDENT}- ", finding, width)]
    return lines


def reproduction_line(found: Reproduction) -> str:
    """Return a replay's result as one JSON object, at full precision."""
    plain = {
        **asdict(found),
        "reproduced": found.reproduced,
        "exit_code": found.exit_code,
    }
    return plain_json(cast("Plain", _listed(plain)))


def _listed(value: object) -> object:
    if isinstance(value, dict):
        return {key: _listed(item) for key, item in value.items()}
    return [_listed(item) for item in value] if isinstance(value, list | tuple) else value


def _facts(found: Reproduction, width: int | None) -> Iterator[str]:
    if found.level is not None:
        why = f": {'; '.join(found.why)}" if found.why else ""
        yield from _hang("level".ljust(_LABEL), f"{found.level}, {_LEVELS[found.level]}{why}", width)
    for pillar in found.pillars:
        # What sets the environments apart is said with the level.
        said = [sentence for sentence in pillar.findings if sentence not in found.why]
        status = "differs, see level" if pillar.pillar == "environment" and found.why else _STATUS[pillar.status]
        text = "; ".join([status, *said])
        yield from _hang(pillar.pillar.ljust(_LABEL), text, width)
    if found.divergence:
        yield from _hang("divergence".ljust(_LABEL), found.divergence, width)


def _metrics(metrics: Sequence[MetricComparison], width: int | None, *, verbose: bool) -> Iterator[str]:
    if not metrics:
        return
    ordered = sorted(metrics, key=lambda metric: (metric.status not in _WRONG, metric.status == "exact"))
    shown = metrics if verbose or len(metrics) <= _MOST_ROWS else ordered[:_MOST_ROWS]
    columns = [
        Column("metric", cut="middle", least=16),
        Column("recorded", align="right"),
        Column("replayed", align="right"),
        Column("difference", align="right", rank=1),
        Column("allowed", align="right", rank=2),
        Column(""),
    ]
    rows = [
        (
            metric.name,
            _number(metric.recorded, verbose=verbose),
            _number(metric.replayed, verbose=verbose),
            _difference(metric),
            _allowed(metric),
            _METRIC[metric.status],
        )
        for metric in shown
    ]
    layout = lay_out(columns, rows, width=None if width is None else width - len(_INDENT))
    yield from (f"{_INDENT}{line}".rstrip() for line in (*layout.header, *layout.rows))
    if len(shown) < len(metrics):
        yield f"{_INDENT}and {len(metrics) - len(shown)} more, exact or within (-v shows all)"


def _points(
    title: str, unit: str, points: Sequence[SeriesComparison], width: int | None, *, verbose: bool
) -> Iterator[str]:
    if not points:
        return
    same = sum(each.status == "exact" for each in points)
    first = f"{same} of {len(points)} exact" if len(points) > 1 or same else ""
    told = [_point_words(each, unit) for each in points if verbose or each.status != "exact"]
    text = "; ".join(part for part in (first, *told) if part)
    yield from _hang(title.ljust(_LABEL), text, width)


def _point_words(points: SeriesComparison, unit: str) -> str:
    if points.status in {"missing", "extra"}:
        return f"{points.name} {_METRIC[points.status]}"
    counted = "" if points.recorded == points.replayed else f", {points.recorded} and {points.replayed} {unit}s"
    parts = [f"{points.name} {_METRIC[points.status]}{counted}"]
    if points.first is not None:
        parts.append(f"from {unit} {points.first}")
    if points.difference is not None:
        allowed = "" if points.allowed is None else f", allowed {show_number(points.allowed)}"
        parts.append(f"by {show_number(points.difference)}{allowed}")
    if not points.decides and points.status == "differs":
        parts.append("(decides nothing)")
    return " ".join(parts)


def _number(value: float | None, *, verbose: bool) -> str:
    return repr(value) if verbose and value is not None else show_number(value)


def _difference(metric: MetricComparison) -> str:
    if metric.status == "exact":
        return "0"
    return MISSING if metric.difference is None else show_number(metric.difference)


def _allowed(metric: MetricComparison) -> str:
    if metric.status in {"missing", "extra"}:
        return MISSING
    number = metric.source if metric.allowed is None else f"{show_number(metric.allowed)} ({metric.source})"
    return number if metric.flips is None or metric.status == "exact" else f"{number}, {metric.flips} changed"


def _paragraph(text: str, width: int | None) -> list[Line]:
    return [(line, {}) for line in wrap_text(clean_text(text), width)]


def _hang(head: str, text: str, width: int | None) -> list[str]:
    """Return a text behind its label, further lines standing below it."""
    room = None if width is None else max(20, width - len(head))
    first, *others = wrap_text(clean_text(text), room) or [""]
    return [f"{head}{first}", *(f"{' ' * len(head)}{line}" for line in others)]
