"""Join the rows of segments into those of one: columns are copied, no row is decoded and none digested again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pytest_mlrun.records.run import RECORD_VERSION
from pytest_mlrun.store.columns import arrow_type, check_bounds, number_values
from pytest_mlrun.store.join_columns import Group, join_layers
from pytest_mlrun.store.schema import RUN_FIELDS
from pytest_mlrun.store.segment import BATCH_ROWS, MOST_EXPERIMENTS, Segment, SegmentFacts
from pytest_mlrun.store.shred import LAYERS

_ID_BYTES: Final = 36
_FIXED: Final = {
    name: pa.field(name, arrow_type(kind), nullable=kind.endswith("?")) for name, kind in RUN_FIELDS.items()
}


def is_joinable(segment: Segment) -> bool:
    """Say whether this version knows everything that a segment holds, and so may copy it.

    Args:
        segment: An intact segment.

    Returns:
        False for one that a later version wrote, or an earlier one that lacks a column.
    """
    if segment.facts.v > RECORD_VERSION or not set(_FIXED) <= set(segment.schema.names):
        return False
    for field in segment.schema:
        known = _FIXED.get(field.name)
        if known is None and field.name.partition(".")[0] not in LAYERS:
            return False
        if known is not None and field.type != known.type:
            return False
    return all((number_values(batch.column("v")) <= RECORD_VERSION).all() for batch in segment.batches)


def join_segments(
    segments: Sequence[Segment], *, replaces: tuple[str, ...], series: tuple[str, ...]
) -> tuple[pa.RecordBatch, ...]:
    """Join segments.

    Args:
        segments: Intact and joinable ones.
        replaces: See ``SegmentFacts``.
        series: Ids of the series files.

    Returns:
        Record batches of one schema, sorted by run; at least one.
    """
    groups = _group(segments)
    layers = join_layers(groups)
    table = pa.concat_tables(
        pa.Table.from_arrays([*fixed, *typed], schema=pa.schema([*_FIXED.values(), *layers.fields]))
        for fixed, typed in zip((_fixed_columns(group) for group in groups), layers.columns, strict=True)
    )
    facts = _join_facts(segments, replaces=replaces, series=series, complete=layers.complete)
    whole = _sort(table).replace_schema_metadata(facts.to_metadata())
    return tuple(whole.to_batches(max_chunksize=BATCH_ROWS)) or tuple(whole.schema.empty_table().to_batches())


def _group(segments: Sequence[Segment]) -> list[Group]:
    """Lay the rows of segments with the same columns together: thousands of them often are one group."""
    found: dict[tuple[object, ...], list[Segment]] = {}
    for segment in segments:
        columns = tuple((field.name, field.type, bool(field.metadata)) for field in segment.schema)
        found.setdefault((columns, segment.facts.complete), []).append(segment)
    return [
        Group(
            pa.Table.from_batches(_batches(alike), schema=alike[0].schema.remove_metadata()).combine_chunks(),
            frozenset(alike[0].facts.complete),
        )
        for alike in found.values()
    ]


def _batches(segments: Iterable[Segment]) -> list[pa.RecordBatch]:
    return [batch.replace_schema_metadata(None) for segment in segments for batch in segment.batches]


def _fixed_columns(group: Group) -> list[pa.ChunkedArray]:
    return [group.rows.column(name) for name in _FIXED]


def _join_facts(
    segments: Sequence[Segment], *, replaces: tuple[str, ...], series: tuple[str, ...], complete: tuple[str, ...]
) -> SegmentFacts:
    statuses: Counter[str] = Counter()
    for segment in segments:
        statuses.update(segment.facts.statuses or {})
    experiments = _count_experiments(segments)
    filled = [segment.facts for segment in segments if segment.rows]
    return SegmentFacts(
        replaces=replaces,
        series=series,
        complete=complete,
        statuses=statuses,
        first_us=min((facts.first_us for facts in filled), default=0),
        last_us=max((facts.last_us for facts in filled), default=0),
        experiments=experiments,
    )


def _count_experiments(segments: Sequence[Segment]) -> Counter[str] | None:
    counts: Counter[str] = Counter()
    for segment in segments:
        if segment.facts.experiments is None:
            return None
        counts.update(segment.facts.experiments)
    return counts if len(counts) <= MOST_EXPERIMENTS else None


def _sort(table: pa.Table) -> pa.Table:
    whole = table.combine_chunks()
    if not whole.num_rows:
        return whole
    ids = _ids_of(whole.column("run_id").chunk(0))
    if (ids[:-1] <= ids[1:]).all():
        return whole
    order = np.argsort(ids, kind="stable")
    places = pa.Array.from_buffers(pa.int64(), len(order), [None, pa.py_buffer(order.astype(np.int64))], null_count=0)
    return whole.take(places)


def _ids_of(column: pa.Array) -> npt.NDArray[np.bytes_]:
    """View ids as texts of one length, which numpy compares."""
    check_bounds(column)
    _, offsets, content = column.buffers()
    bounds = np.frombuffer(offsets, dtype=np.int32, count=column.offset + len(column) + 1)[column.offset :]
    if (np.diff(bounds) == _ID_BYTES).all():
        letters = np.frombuffer(content, dtype=np.uint8)[bounds[0] : bounds[-1]]
        return np.frombuffer(letters, dtype=f"S{_ID_BYTES}")
    return np.array([text.encode("utf-8") for text in column.to_pylist()], dtype=np.bytes_)
