"""Lay what runs hold out flat: one row an artifact, a gate, a point."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, cast, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pytest_mlrun.errors import QueryError, StoreDamagedError
from pytest_mlrun.records.query import Comparison
from pytest_mlrun.store.columns import arrow_type, build_array, check_bounds, number_values, text_bounds
from pytest_mlrun.store.guard import Part
from pytest_mlrun.store.points import Series
from pytest_mlrun.store.selection import matching
from pytest_mlrun.store.series import has_checksum, read_series_batches
from pytest_mlrun.store.tables import choose_columns, filter_rows, join_tables, runs_schema
from pytest_mlrun.store.view import View

Nested = Literal["artifacts", "gates"]
TableName = Literal["runs", "metrics", "artifacts", "gates"]
TABLES: Final[tuple[TableName, ...]] = get_args(TableName)
"""The tables of a store."""

_ID: Final = pa.dictionary(pa.int32(), pa.string())
"""The id of a run stands in the dictionary once, not at each of its rows."""

POINTS: Final = pa.schema(
    [
        pa.field("run_id", _ID, nullable=False),
        pa.field("name", _ID, nullable=False),
        pa.field("step", pa.int64()),
        pa.field("time", pa.timestamp("us", "UTC")),
        pa.field("value", pa.float64(), nullable=False),
    ]
)
"""Columns of the table of metrics; no step and no time where a metric was only logged without a step."""

_Indices = npt.NDArray[np.int32]


def table_schema(view: View, name: TableName) -> pa.Schema:
    """Name the columns of a table.

    Args:
        view: The store.
        name: The table.

    Raises:
        QueryError: There is no such table.
    """
    if name == "runs":
        return runs_schema(view.segments)
    if name == "metrics":
        return POINTS
    if name in {"artifacts", "gates"}:
        return nested_schema(name)
    raise QueryError(f"there is no table {name!r}", next_step=f"one of: {', '.join(TABLES)}")


def read_table(
    root: Path, view: View, name: TableName, *, columns: Sequence[str] | None, where: tuple[Comparison, ...]
) -> pa.Table:
    """Read a table.

    Args:
        root: The store's folder.
        view: The store.
        name: The table.
        columns: Only these columns; None for all.
        where: Comparisons of runs that must all hold.

    Raises:
        QueryError: There is no such table or column.
        StoreDamagedError: Points cannot be read.
        SpoiltError: A segment is not what was written.
    """
    schema = choose_columns(table_schema(view, name), columns)
    if name == "runs":
        return join_tables(view.segments, schema, where=where, overlay=view.overlay)
    if name == "metrics":
        return flatten_points(root, view, schema, where=where)
    return flatten_nested(view, name, schema, where=where)


def nested_schema(kind: Nested) -> pa.Schema:
    """Name the columns of the table of artifacts, or of that of gates."""
    return pa.schema([pa.field("run_id", _ID, nullable=False), *arrow_type(kind).value_type])


def flatten_nested(view: View, kind: Nested, schema: pa.Schema, *, where: tuple[Comparison, ...]) -> pa.Table:
    """Lay artifacts or gates out flat.

    Args:
        view: The store.
        kind: Which of them.
        schema: The columns to read.
        where: Comparisons of runs that must all hold.

    Returns:
        One row each, with the id of its run.

    Raises:
        SpoiltError: A segment is not what was written.
    """
    batches = []
    for _, part, mask in matching(view.segments, where, view.overlay):
        column = part.column(kind)
        check_bounds(column)
        bounds = text_bounds(column)
        items = column.values.slice(int(bounds[0]), int(bounds[-1] - bounds[0]))
        owners = np.repeat(np.arange(part.num_rows, dtype=np.int32), np.diff(bounds))
        if mask[owners].any():
            batches.append(filter_rows(_nested_batch(items, _ids(part, owners), schema), mask[owners]))
    return pa.Table.from_batches(batches, schema=schema)


def _nested_batch(items: pa.StructArray, ids: pa.Array, schema: pa.Schema) -> pa.RecordBatch:
    found = {"run_id": ids} | dict(zip((field.name for field in items.type), items.flatten(), strict=True))
    columns = [
        found[field.name] if field.name in found else build_array(field.type, [None] * len(items)) for field in schema
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def flatten_points(root: Path, view: View, schema: pa.Schema, *, where: tuple[Comparison, ...]) -> pa.Table:
    """Lay the values of metrics out flat.

    Args:
        root: The store's folder.
        view: The store.
        schema: The columns to read.
        where: Comparisons of runs that must all hold.

    Returns:
        One row a point that has a step, in logged order; and one row a metric that was only logged without.

    Raises:
        StoreDamagedError: Points cannot be read.
        SpoiltError: A segment is not what was written.
    """
    batches: list[pa.RecordBatch] = []
    for segment in view.segments:
        chosen = [(part, mask) for _, part, mask in matching([segment], where, view.overlay) if mask.any()]
        batches += [batch for part, mask in chosen for batch in _lone_values(part, np.flatnonzero(mask))]
        if not chosen:
            continue
        ids = None if where == () else {text for part, mask in chosen for text in _chosen_ids(part, mask)}
        for series in segment.facts.series:
            batches += _sealed_points(root / "pts" / f"{series}.arrow", ids)
        for run_id in sorted(view.live_series.keys() if ids is None else view.live_series.keys() & ids):
            if segment.id.startswith("log:") and _holds(chosen, run_id):
                batches += _live_points(run_id, view.live_series[run_id])
    return pa.Table.from_batches([batch.select(schema.names) for batch in batches], schema=schema)


def _chosen_ids(part: Part, mask: npt.NDArray[np.bool_]) -> list[str]:
    column = part.column("run_id")
    check_bounds(column)
    return [column[int(row)].as_py() for row in np.flatnonzero(mask)]


def _holds(chosen: Iterable[tuple[Part, npt.NDArray[np.bool_]]], run_id: str) -> bool:
    return any(run_id in _chosen_ids(part, mask) for part, mask in chosen)


def _sealed_points(path: Path, ids: set[str] | None) -> Iterator[pa.RecordBatch]:
    try:
        if not has_checksum(path):
            raise ValueError("its checksum does not hold")
        for batch in read_series_batches(path):
            run_ids, names, _, *lists = batch.columns
            rows = np.arange(batch.num_rows, dtype=np.int32)
            if ids is not None:
                rows = np.array([row for row in rows if run_ids[int(row)].as_py() in ids], dtype=np.int32)
            if len(rows):
                yield _points_batch(rows, run_ids, names, lists)
    except (ValueError, FileNotFoundError) as error:
        raise StoreDamagedError(
            "the points of some runs cannot be read", where=str(path), next_step="see: pytest-mlrun verify"
        ) from error


def _points_batch(rows: _Indices, run_ids: pa.Array, names: pa.Array, lists: Sequence[pa.Array]) -> pa.RecordBatch:
    bounds = text_bounds(lists[0])
    owners = np.repeat(rows, np.diff(bounds)[rows])
    values = [column.values for column in lists]
    if len(rows) == len(run_ids):
        first, last = int(bounds[0]), int(bounds[-1])
        flat = [column.slice(first, last - first) for column in values]
    else:
        spans = [slice(int(bounds[row]), int(bounds[row + 1])) for row in rows]
        flat = [
            _numbers(column.type, np.concatenate([number_values(column)[span] for span in spans])) for column in values
        ]
    return pa.RecordBatch.from_arrays([_encode(owners, run_ids), _encode(owners, names), *flat], schema=POINTS)


def _live_points(run_id: str, series: Mapping[str, Series]) -> Iterator[pa.RecordBatch]:
    for name, points in series.items():
        none = np.zeros(len(points.steps), dtype=np.int32)
        times = _numbers(pa.timestamp("us", "UTC"), points.times_us)
        columns = [_numbers(pa.int64(), points.steps), times, _numbers(pa.float64(), points.values)]
        texts = [_encode(none, build_array(pa.string(), [text])) for text in (run_id, name)]
        yield pa.RecordBatch.from_arrays([*texts, *columns], schema=POINTS)


def _lone_values(part: Part, rows: npt.NDArray[np.intp]) -> Iterator[pa.RecordBatch]:
    """Yield the metrics of some rows that have no series."""
    metrics, series = part.column("metrics"), part.column("series")
    check_bounds(metrics)
    check_bounds(series)
    codes: dict[str, int] = {}
    owners, names, first = _coded(metrics, codes)
    series_owners, series_names, _ = _coded(series, codes)
    width = max(len(codes), 1)
    lone = ~np.isin(owners * width + names, series_owners * width + series_names) & np.isin(owners, rows)
    if not lone.any():
        return
    at = np.flatnonzero(lone)
    values = number_values(metrics.items)[at + first]
    dictionary = build_array(pa.string(), list(codes))
    texts = [_ids(part, owners[at].astype(np.int32)), _encode(names[at].astype(np.int32), dictionary)]
    nothing = [build_array(POINTS.field(name).type, [None] * len(at)) for name in ("step", "time")]
    yield pa.RecordBatch.from_arrays([*texts, *nothing, _numbers(pa.float64(), values)], schema=POINTS)


def _coded(column: pa.MapArray, codes: dict[str, int]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], int]:
    bounds = text_bounds(column)
    first = int(bounds[0])
    keys = column.keys.slice(first, int(bounds[-1]) - first).to_pylist()
    names = np.fromiter((codes.setdefault(key, len(codes)) for key in keys), dtype=np.int64, count=len(keys))
    return np.repeat(np.arange(len(column), dtype=np.int64), np.diff(bounds)), names, first


def _ids(part: Part, owners: _Indices) -> pa.Array:
    return _encode(owners, part.column("run_id"))


def _encode(indices: _Indices, dictionary: pa.Array) -> pa.Array:
    check_bounds(dictionary)
    return pa.DictionaryArray.from_arrays(_numbers(pa.int32(), indices), dictionary)


def _numbers(kind: pa.DataType, values: npt.NDArray[np.generic]) -> pa.Array:
    content = pa.py_buffer(cast("npt.NDArray[np.generic]", np.ascontiguousarray(values)))
    return pa.Array.from_buffers(kind, len(values), [None, content], null_count=0)
