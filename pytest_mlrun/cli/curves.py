"""Draw the series of runs over each other."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from pytest_mlrun.cli.console import Console
from pytest_mlrun.cli.refs import find_run
from pytest_mlrun.cli.source import RunSource, open_source, warn_of_damage
from pytest_mlrun.errors import MetricError, QueryError
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.records.wire import Plain
from pytest_mlrun.report.curves import LETTERS, Curve, draw_curves, legend_lines
from pytest_mlrun.report.facts import name_of
from pytest_mlrun.report.plain import plain_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_WIDTH = 100
"""Columns where nobody says how wide the screen is."""


def run(args: argparse.Namespace, console: Console) -> int:
    """Run ``pytest-mlrun curves``."""
    source = open_source(args, console)
    metrics = list(dict.fromkeys(name.strip() for name in args.metrics.split(",")))
    runs = {record.run_id: record for record in (find_run(ref, source, console) for ref in args.refs)}
    found = _read(metrics, list(runs.values()), source, console)
    if args.json:
        console.write_all(_json_line(record, name, curve) for record, name, curve in found)
        return warn_of_damage(source, console)
    if len(found) > len(LETTERS):
        raise QueryError(f"{len(found)} curves are more than {len(LETTERS)}", next_step="name fewer runs or metrics")
    curves = [curve for *_, curve in found]
    console.write(", ".join(metrics), {"bold": True})
    console.write_all(draw_curves(curves, width=console.width or _WIDTH, colour=console.colour))
    console.write_all(legend_lines(curves, width=console.width))
    return warn_of_damage(source, console)


def _read(
    metrics: Sequence[str], runs: Sequence[RunRecord], source: RunSource, console: Console
) -> list[tuple[RunRecord, str, Curve]]:
    found: list[tuple[RunRecord, str, Curve]] = []
    missing: list[MetricError] = []
    for record in runs:
        for name in metrics:
            try:
                found.append((record, name, _curve(record, name, source, several=len(metrics) > 1)))
            except MetricError as error:
                missing.append(error)
    if not found:
        raise missing[0]
    for gap in missing:
        console.note(f"warning: {gap.where}: {gap.headline}")
    return found


def _curve(record: RunRecord, name: str, source: RunSource, *, several: bool) -> Curve:
    points = source.series(record.run_id, name)
    steps, values = cast("NDArray[np.int64]", points.steps), cast("NDArray[np.float64]", points.values)
    if not len(steps):
        raise MetricError(
            f"metric {name!r} has no curve: it was logged without a step",
            where=f"run {record.short_id}",
            next_step="log it with one: mlrun.log_metric(name, value, step=epoch)",
        )
    return Curve((*((name,) if several else ()), record.short_id, name_of(record)), steps, values)


def _json_line(record: RunRecord, name: str, curve: Curve) -> str:
    line: dict[str, Plain] = {"run_id": record.run_id, "name": record.name, "metric": name}
    return plain_json(line | {"steps": curve.steps.tolist(), "values": curve.values.tolist()})
