"""Lay out the vocabulary of a project: names of runs, params, tags, artifacts and metrics."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pytest_mlrun.records.project import MetricDefinition, Project
from pytest_mlrun.report.table import Column, lay_out, wrap_text
from pytest_mlrun.rules.metric_vocabulary import show_range
from pytest_mlrun.rules.run_names import example_name

_REQUIRED = "every run"
_INDENT = "  "
_CUT = ("values", "owner", "say")


@dataclass(frozen=True, slots=True)
class Section:
    """One kind of name.

    Attributes:
        title: What is named.
        rule: What holds for all of the kind, as a sentence.
        columns: Titles; empty where the rule says everything.
        rows: One name each.
    """

    title: str
    rule: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


def describe_vocabulary(project: Project) -> list[Section]:
    """Return the vocabulary of a project, section by section; what nothing is said about is left out."""
    naming = project.naming
    sections = [_run_names(project), _params(project), _tags(project), _metrics(project)]
    if naming.required_artifacts:
        rows = tuple((name, _REQUIRED) for name in naming.required_artifacts)
        sections.insert(3, Section("Artifacts", "Any other may be logged too.", ("artifact", "required of"), rows))
    if naming.refused:
        rows = tuple((name, _say(text)) for name, text in naming.refused.items())
        sections.append(Section("Refused names", "No param, tag or metric is called so.", ("refused", "say"), rows))
    return sections


def render_text(sections: Sequence[Section], *, width: int | None) -> list[str]:
    """Return the sections as lines for a terminal."""
    lines: list[str] = []
    for section in sections:
        lines += ["", *wrap_text(f"{section.title}. {section.rule}", width)]
        if section.rows:
            columns = [Column(title, cut="end" if title in _CUT else "never", least=8) for title in section.columns]
            room = None if width is None else width - len(_INDENT)
            table = lay_out(columns, section.rows, width=room)
            lines += [f"{_INDENT}{line}" for line in (*table.header, *table.rows)]
    return lines[1:]


def render_markdown(sections: Sequence[Section]) -> list[str]:
    """Return the sections as Markdown for a team's README."""
    lines: list[str] = []
    for section in sections:
        lines += ["", f"### {section.title}", "", section.rule]
        if section.rows:
            lines += ["", _markdown_row(section.columns), _markdown_row(["---"] * len(section.columns))]
            lines += [_markdown_row([_code(cell) for cell in row]) for row in section.rows]
    return lines[1:]


def json_lines(project: Project) -> list[str]:
    """Return the vocabulary as JSON objects, one a line; an open end of a range is null."""
    naming = project.naming
    closed = {"params": bool(naming.allowed), "tags": bool(naming.tags), "metrics": naming.closed_metrics}
    found: list[dict[str, object]] = [{"kind": "closed", **closed}]
    found += [
        {"kind": "run_name", "experiment": experiment or None, "template": template, "example": example}
        for experiment, template, example in _templates(project)
    ]
    found += [
        {"kind": "param", "name": name, "required": name in naming.required_params} for name in _param_names(project)
    ]
    found += [
        {"kind": "tag", "name": key, "values": list(naming.tags.get(key, ())), "required": key in naming.required_tags}
        for key in _tag_keys(project)
    ]
    found += [{"kind": "artifact", "name": name, "required": True} for name in naming.required_artifacts]
    found += [_metric_object(metric) for metric in project.metrics.values()]
    found += [{"kind": "refused", "name": name, "say": _say(text)} for name, text in naming.refused.items()]
    return [json.dumps(entry, allow_nan=False) for entry in found]


def _run_names(project: Project) -> Section:
    others = "every other" if project.naming.run_names else "every"
    rows: list[tuple[str, ...]] = []
    for experiment, template, example in _templates(project):
        # Two short lines: side by side, template and example are too wide for a terminal.
        rows += [(experiment or others, "template", template), ("", "such as", example)]
    if not rows:
        return Section("Run names", "A run is named by its test and case, such as test_sweep[0.05-32].")
    rule = "A test that lacks a field of its template is named by test and case, such as test_sweep[0.05-32]."
    return Section("Run names", rule, ("experiment", "", "name"), tuple(rows))


def _params(project: Project) -> Section:
    naming = project.naming
    names = _param_names(project)
    rule = "Only these may be recorded." if naming.allowed else "Any name may be recorded."
    rows = tuple((name, _REQUIRED if name in naming.required_params else "") for name in names)
    return Section("Params", rule, ("param", "required of"), rows)


def _tags(project: Project) -> Section:
    naming = project.naming
    rule = "Only these may be set." if naming.tags else "Any tag may be set."
    rows = tuple(
        (key, ", ".join(naming.tags.get(key, ())) or "any text", _REQUIRED if key in naming.required_tags else "")
        for key in _tag_keys(project)
    )
    return Section("Tags", rule, ("tag", "values", "required of"), rows)


def _metrics(project: Project) -> Section:
    rule = "Only these may be logged." if project.naming.closed_metrics else "Any other may be logged too."
    rows = tuple(
        (metric.name, metric.goal or "", show_range(metric), metric.unit, metric.owner)
        for metric in project.metrics.values()
    )
    return Section(
        "Metrics", rule if rows else "Any may be logged.", ("metric", "goal", "range", "unit", "owner"), rows
    )


def _templates(project: Project) -> Iterable[tuple[str, str, str]]:
    """Yield experiment, template and an example; the template of all others has an empty experiment."""
    naming = project.naming
    for experiment, template in naming.run_names.items():
        yield experiment, template, example_name(template, experiment=experiment)
    if naming.run_name:
        yield "", naming.run_name, example_name(naming.run_name, experiment="churn")


def _param_names(project: Project) -> list[str]:
    return list(dict.fromkeys((*project.naming.allowed, *project.naming.required_params)))


def _tag_keys(project: Project) -> list[str]:
    return list(dict.fromkeys((*project.naming.tags, *project.naming.required_tags)))


def _metric_object(metric: MetricDefinition) -> dict[str, object]:
    ends = {"low": metric.low, "high": metric.high}
    finite = {name: None if end is None or math.isinf(end) else end for name, end in ends.items()}
    return {
        "kind": "metric", "name": metric.name, "goal": metric.goal, **finite, "unit": metric.unit, "owner": metric.owner
    }  # fmt: skip


def _say(text: str) -> str:
    return text.removeprefix("say ")


def _markdown_row(cells: Sequence[str]) -> str:
    return f"|{'|'.join(f' {cell} ' if cell else ' ' for cell in cells)}|"


def _code(text: str) -> str:
    """Return names as code, so that no ``*`` or ``<field>`` of them is read as Markdown; words stay words."""
    escaped = text.replace("|", "\\|")
    return f"`{escaped}`" if re.search(r"[*_<>\[\]{}]", escaped) else escaped
