"""Show one run on one screen: what it was, how it ended, what it reached, what it rests on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from pytest_mlrun.records.annotation import Annotation
from pytest_mlrun.records.retention import Tombstone
from pytest_mlrun.records.run import Artifact, RunRecord
from pytest_mlrun.report.confusion import Confusion, render_confusion
from pytest_mlrun.report.facts import (
    count_of,
    describe_gates,
    fact,
    is_bad,
    last_error_line,
    name_of,
    outcome_of,
    short_digest,
    show_duration,
    show_number,
    show_size,
    show_time,
    sparkline,
)
from pytest_mlrun.report.held_out import describe_looks
from pytest_mlrun.report.lineage import describe_lineage
from pytest_mlrun.report.pillar_lines import describe_pillars
from pytest_mlrun.report.table import Column, clean_text, lay_out, wrap_text
from pytest_mlrun.rules.params import show_param

Line: TypeAlias = tuple[str, dict[str, bool]]

_LABEL = 13
_CURVE = 24
_INDENT = "  "
_FEW_CHARS = 800
_MOST_CHARS = 20_000


def render_run(
    run: RunRecord,
    points: Mapping[str, Sequence[float]],
    confusions: Mapping[str, Confusion] | None = None,
    *,
    width: int | None,
    now_us: int,
    verbose: bool = False,
    events: Sequence[Annotation] = (),
    collected: Mapping[str, Tombstone] | None = None,
) -> list[Line]:
    """Return the lines of the screen.

    Args:
        run: The run.
        points: Series to values in logged order.
        confusions: Confusion matrices by the name of what was evaluated.
        width: Terminal columns that a line may take; None for as many as it needs.
        now_us: Microseconds since the epoch.
        verbose: Whether to add the traceback and the whole context.
        events: What was said about it after it ended, oldest first; the run's tags are those that follow from it.
        collected: Artifacts whose bytes are gone, by name.
    """
    lines: list[Line] = [
        (name_of(run), {"bold": True}),
        (_ending(run, now_us), _standing(run)),
    ]
    lines += [(f"{'error':<{_LABEL}}{last_error_line(run)}", {"red": True})] if run.error else []
    lines += _labelled(_identity(run))
    sections = (
        ("params", _params(run, most_chars=_MOST_CHARS if verbose else _FEW_CHARS)),
        ("metrics", _metrics(run, points, width)),
        *((f"confusion of {name}", render_confusion(found, width)) for name, found in (confusions or {}).items()),
        ("gates", _gates(run)),
    )
    for title, body in sections:
        lines += _section(title, body)
    lines.append(("", {}))
    lines += _labelled(_models(run))
    lines += _labelled(describe_pillars(run))
    lines += _section("artifacts", _artifacts(run, collected or {}, now_us, width))
    lines += _section("tags", [f"{name} = {value}" for name, value in run.tags.items()])
    lines += _section("added later", [_event(event, now_us) for event in events])
    if verbose:
        lines += _section("context", [f"{name} = {text}" for name, text in run.context.items()])
        lines += _section("traceback", run.error.splitlines())
    hanging = {True: len(_INDENT) * 2, False: _LABEL}
    return [
        (part, markup)
        for text, markup in lines
        for part in wrap_text(clean_text(text), width, hanging=hanging[text.startswith(_INDENT)])
    ]


def _standing(run: RunRecord) -> dict[str, bool]:
    if is_bad(run):
        return {"red": True}
    return {"yellow" if run.status.startswith("running") else "green": True}


def _ending(run: RunRecord, now_us: int) -> str:
    parts = [
        outcome_of(run),
        run.cause_detail,
        # "passed" says that the run finished; anything else leaves open whether training came to its end.
        "" if run.outcome in {"passed", "skipped"} or run.status == outcome_of(run).partition(":")[0] else run.status,
        f"experiment {run.experiment}",
        f"started {show_time(run.started_us, now_us=now_us)}",
        f"took {show_duration(max(0, run.ended_us - run.started_us))}",
    ]
    return "  ·  ".join(part for part in parts if part)


def _identity(run: RunRecord) -> Iterator[tuple[str, str]]:
    yield "run", run.run_id
    yield "digest", run.digest or "none: not finished"
    yield "test", f"{run.test}[{run.case}]" if run.case else run.test
    if run.parent_id is not None:
        yield "parent", run.parent_id
    yield from describe_lineage(run)
    yield from describe_looks(run)


def _params(run: RunRecord, *, most_chars: int) -> list[str]:
    # Never cut to the width: this is where every param of an estimator is read. Long lines are wrapped.
    rows = [(name, show_param(text, width=most_chars, whole=True)) for name, text in run.params.items()]
    return _table([Column(""), Column("")], rows, None)


def _metrics(run: RunRecord, points: Mapping[str, Sequence[float]], width: int | None) -> list[str]:
    rows = [_metric(name, value, run, points.get(name, ())) for name, value in run.metrics.items()]
    columns = [
        Column("", cut="middle", least=20),
        Column("", align="right"),
        Column("", align="right", rank=2),
        Column("", rank=1),
        Column("", rank=3),
    ]
    return _table(columns, rows, width)


def _metric(name: str, value: float, run: RunRecord, points: Sequence[float]) -> tuple[str, str, str, str, str]:
    meaning = _meaning(run, name)
    if name not in run.series:
        return name, show_number(value), "", meaning, ""
    count = count_of(run.series[name])
    finite = [point for point in points if point - point == 0]
    extremes = f"min {show_number(min(finite))}  max {show_number(max(finite))}" if finite else ""
    odd = len(points) - len(finite)
    return (
        name,
        show_number(value),
        "1 point" if count == 1 else f"{count} points",
        sparkline(points, width=_CURVE),
        "  ".join(part for part in (extremes, f"{odd} not finite" if odd else "", meaning) if part),
    )


def _meaning(run: RunRecord, metric: str) -> str:
    known = fact(run, f"metric.{metric}")
    if not isinstance(known, dict):
        return ""
    return "  ·  ".join(str(known[part]) for part in ("unit", "owner") if known.get(part))


def _models(run: RunRecord) -> Iterator[tuple[str, str]]:
    for key in run.context:
        known = fact(run, key)
        if key.startswith("fit.") and isinstance(known, dict):
            name = key.removeprefix("fit.")
            yield "model", "  ·  ".join([*([name] if name != "model" else []), *_fit_parts(known)])


def _fit_parts(known: dict[str, object]) -> Iterator[str]:
    count, best_step = known.get("features"), known.get("best_step")
    parts = str(known.get("class", "unknown")).split(".")
    # The modules in between are where a library keeps its classes, which is its own affair.
    yield ".".join(dict.fromkeys((parts[0], parts[-1])))
    yield "1 feature" if count == 1 else f"{count} features"
    if best_step is not None:
        yield f"best step {best_step}"
    yield from (f"{name} {value}" for name, value in known.items() if name not in {"class", "features", "best_step"})


def _event(event: Annotation, now_us: int) -> str:
    tags = ", ".join(f"{name} = {value}" for name, value in event.tags.items())
    parts = (show_time(event.time_us, now_us=now_us), event.who, tags, f"note: {event.note}" if event.note else "")
    return "  ".join(part for part in parts if part)


def _gates(run: RunRecord) -> list[str]:
    told, remark = describe_gates(run.gates)
    lines = [line for lines in told for line in lines]
    return [*lines, remark] if remark else lines


def _artifacts(run: RunRecord, collected: Mapping[str, Tombstone], now_us: int, width: int | None) -> list[str]:
    def remark(artifact: Artifact) -> str:
        tombstone = collected.get(artifact.name)
        if tombstone is not None:
            when = show_time(tombstone.time_us, now_us=now_us)
            return f"  COLLECTED {when} by {tombstone.who}: {tombstone.objects[artifact.digest]}"
        return "  UNSAFE to load" if artifact.unsafe else ""

    rows = [
        (
            artifact.name,
            show_size(artifact.size_bytes),
            short_digest(artifact.digest),
            artifact.role + remark(artifact),
        )
        for artifact in run.artifacts
    ]
    return _table([Column("", cut="middle", least=20), Column("", align="right"), Column(""), Column("")], rows, width)


def _table(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None) -> list[str]:
    room = None if width is None else width - len(_INDENT)
    return list(lay_out(columns, rows, width=room).rows)


def _section(title: str, body: Sequence[str]) -> list[Line]:
    if not body:
        return []
    return [("", {}), (title, {"bold": True}), *((_INDENT + text, {}) for text in body)]


def _labelled(pairs: Iterator[tuple[str, str]]) -> list[Line]:
    return [(f"{label:<{_LABEL}}{text}", {}) for label, text in pairs]
