"""Show runs as the rows of a table: who they are, what varies, what they reached."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.report.facts import MISSING, name_of, outcome_of, show_duration, show_numbers, show_time
from pytest_mlrun.report.table import Column, Layout, lay_out
from pytest_mlrun.rules.leaderboard import varying_params
from pytest_mlrun.rules.params import show_param

Identity = Literal["mark", "id", "name", "experiment", "outcome", "started", "duration"]
MOST_METRICS = 4
_PARAM_CHARS = 60
_METRIC_RANKS = (1, 3, 6, 6)
_COLUMNS: Mapping[Identity, Column] = {
    "mark": Column("", align="right"),
    "id": Column("id"),
    "name": Column("name", cut="middle", least=20),
    "experiment": Column("experiment", cut="middle", rank=4),
    "outcome": Column("outcome"),
    "started": Column("started", rank=5),
    "duration": Column("duration", align="right", rank=7),
}


@dataclass(frozen=True, slots=True)
class Selection:
    """Which columns a table of runs has.

    Attributes:
        identity: Columns that every run has.
        metrics: Names of the metrics, the deciding one first.
        params: Names of the params; those that vary, if None.
        marks: Run id to what stands in front of it, such as its rank.
        distinct: Metric whose different values should look different.
    """

    identity: tuple[Identity, ...]
    metrics: tuple[str, ...] = ()
    params: tuple[str, ...] | None = None
    marks: Mapping[str, str] = field(default_factory=dict)
    distinct: str = ""


def lay_out_runs(runs: Sequence[RunRecord], selection: Selection, *, width: int | None, now_us: int) -> Layout:
    """Lay out one row a run.

    Args:
        runs: In the order of the rows.
        selection: The columns.
        width: Terminal columns that a line may take; None for as many as it needs.
        now_us: Microseconds since the epoch: today's times are shown without their date.
    """
    read = _readers(selection, now_us)
    columns = [_COLUMNS[name] for name in selection.identity]
    cells = [[read[name](run) for run in runs] for name in selection.identity]
    for name in _telling_params(runs) if selection.params is None else selection.params:
        texts = [run.params.get(name) for run in runs]
        numeric = all(text is None or _is_number(text) for text in texts)
        columns.append(Column(name, align="right" if numeric else "left", cut="end", wrap=True, rank=2))
        cells.append([MISSING if text is None else show_param(text, width=_PARAM_CHARS) for text in texts])
    for at, name in enumerate(selection.metrics):
        columns.append(Column(name, align="right", wrap=True, rank=_METRIC_RANKS[min(at, 3)]))
        cells.append(show_numbers([run.metrics.get(name) for run in runs], distinct=name == selection.distinct))
    return lay_out(columns, list(zip(*cells, strict=True)), width=width)


def choose_metrics(
    runs: Sequence[RunRecord], *, first: Sequence[str] = (), most: int | None = MOST_METRICS
) -> tuple[str, ...]:
    """Return the metrics worth a column, in order: those given, those with gates, summaries, series.

    Args:
        runs: The rows.
        first: Metrics that decide, such as the leaderboard's.
        most: How many; all if None.
    """
    counts: dict[str, int] = {}
    for run in runs:
        for name in run.metrics:
            counts[name] = counts.get(name, 0) + 1
    gated = {verdict.metric for run in runs for verdict in run.gates}
    series = {name for run in runs for name in run.series}
    rest = sorted(counts, key=lambda name: (name not in gated, name in series, -counts[name], name))
    chosen = [name for name in dict.fromkeys((*first, *rest)) if name in counts]
    return tuple(chosen[:most])


def _telling_params(runs: Sequence[RunRecord]) -> tuple[str, ...]:
    names: dict[str, None] = {}
    for experiment in dict.fromkeys(run.experiment for run in runs):
        # A run that was skipped before it had params must not make every param of the others look like one that varies.
        names |= dict.fromkeys(varying_params([run for run in runs if run.experiment == experiment and run.params]))
    return tuple(names)


def _readers(selection: Selection, now_us: int) -> Mapping[Identity, Callable[[RunRecord], str]]:
    return {
        "mark": lambda run: selection.marks.get(run.run_id, ""),
        "id": lambda run: run.short_id,
        "name": name_of,
        "experiment": lambda run: run.experiment,
        "outcome": outcome_of,
        "started": lambda run: show_time(run.started_us, now_us=now_us),
        "duration": lambda run: show_duration(max(0, run.ended_us - run.started_us)),
    }


def _is_number(text: str) -> bool:
    value = json.loads(text)
    return isinstance(value, int | float) and not isinstance(value, bool)
