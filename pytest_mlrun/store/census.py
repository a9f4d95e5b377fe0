"""Count runs without reading them: how many took part in a ranking, what they logged, which experiments there are."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from pytest_mlrun.records.query import Census, Comparison
from pytest_mlrun.store.annotations import Overlay
from pytest_mlrun.store.columns import check_bounds, equal_text, text_bounds, valid_mask
from pytest_mlrun.store.guard import Part
from pytest_mlrun.store.query import metric_values
from pytest_mlrun.store.segment import Segment
from pytest_mlrun.store.selection import count_runs, match_all, matching, safe_mask

_FINISHED = (Comparison("attribute", "status", "==", "finished"),)


def take_census(
    segments: Iterable[Segment],
    *,
    by: str,
    within: tuple[Comparison, ...],
    where: tuple[Comparison, ...],
    overlay: Overlay,
) -> Census:
    """Count the runs that take part in a ranking, and the others by why they do not.

    Args:
        segments: Where to look.
        by: The metric.
        within: Comparisons that say which runs are meant at all.
        where: The constraint.
        overlay: Tags that were added to runs later.

    Returns:
        The counts.

    Raises:
        QueryError: A comparison names an attribute that runs do not have.
        SpoiltError: A segment is not what was written.
    """
    segments = list(segments)
    total = Census(runs=count_runs(segments, where=within, overlay=overlay))
    for segment, part, finished in matching(segments, within + _FINISHED, overlay):
        if not finished.any():
            continue
        able = finished & safe_mask(lambda s, p: match_all(s, p, where, overlay), segment, part)
        values, valid = metric_values(segment, part, by)
        ranked = able & ~np.isnan(values)
        passed = equal_text(part.column("outcome"), "passed")
        total += Census(
            finished=int(finished.sum()),
            able=int(able.sum()),
            missing=int((able & ~valid).sum()),
            nans=int((able & valid & np.isnan(values)).sum()),
            refused=int((ranked & ~passed).sum()),
        )
    return total


def metric_names(segments: Iterable[Segment], within: tuple[Comparison, ...]) -> tuple[str, ...]:
    """Name the metrics that runs logged.

    Args:
        segments: Where to look.
        within: Comparisons that say which runs are meant.

    Returns:
        Names, sorted.
    """
    names: set[str] = set()
    for segment, part, mask in matching(segments, within):
        if not mask.any():
            continue
        columns = [name for name in part.schema.names if name.startswith("m.") and name[2:] not in names]
        names |= {name[2:] for name in columns if (valid_mask(part.column(name)) & mask).any()}
        if "m" not in segment.facts.complete:
            names |= _map_keys(part, np.flatnonzero(mask))
    return tuple(sorted(names))


def experiment_names(segments: Iterable[Segment]) -> tuple[str, ...]:
    """Name the experiments that have runs.

    Args:
        segments: Where to look.

    Returns:
        Names, sorted.
    """
    names: set[str] = set()
    for segment in segments:
        if segment.facts.experiments is not None:
            names |= segment.facts.experiments.keys()
            continue
        for part in segment.parts:
            column = part.column("experiment")
            check_bounds(column)
            names |= set(column.to_pylist())
    return tuple(sorted(names))


def _map_keys(part: Part, rows: np.ndarray[tuple[int], np.dtype[np.intp]]) -> set[str]:
    column = part.column("metrics")
    check_bounds(column)
    bounds, keys = text_bounds(column), column.keys
    return {key for row in rows for key in keys.slice(int(bounds[row]), int(bounds[row + 1] - bounds[row])).to_pylist()}
