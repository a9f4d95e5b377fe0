"""Join the rows of segments into one Arrow table for SQL engines and data frames."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa

from pytest_mlrun.errors import QueryError
from pytest_mlrun.records.query import Comparison
from pytest_mlrun.store.annotations import Overlay
from pytest_mlrun.store.columns import Bools, arrow_type, build_array
from pytest_mlrun.store.guard import Part
from pytest_mlrun.store.schema import RUN_FIELDS
from pytest_mlrun.store.segment import Segment
from pytest_mlrun.store.selection import matching


def join_tables(
    segments: Sequence[Segment],
    schema: pa.Schema,
    *,
    where: tuple[Comparison, ...] = (),
    overlay: Overlay | None = None,
) -> pa.Table:
    """Join segments.

    Args:
        segments: The segments.
        schema: The columns to read.
        where: Comparisons that must all hold.
        overlay: Tags that were added to runs later, for the comparisons.

    Returns:
        One row a run.

    Raises:
        SpoiltError: A segment is not what was written.
    """
    batches = [
        filter_rows(_convert(part, schema), mask) for _, part, mask in matching(segments, where, overlay) if mask.any()
    ]
    return pa.Table.from_batches(batches, schema=schema)


def runs_schema(segments: Sequence[Segment]) -> pa.Schema:
    """Name the columns of the table of runs: those that every run has, then the typed ones of all segments."""
    return pa.schema(list(_join_types(segments).values()))


def without_zone(table: pa.Table) -> pa.Table:
    """Drop from the types of times that they are UTC: not every engine can read zones.

    Args:
        table: Any table.
    """
    for at, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            kind = pa.timestamp(field.type.unit)
            chunks = [_retype(chunk, kind) for chunk in table.column(at).chunks]
            table = table.set_column(at, field.with_type(kind), pa.chunked_array(chunks, type=kind))
    return table


def _retype(column: pa.Array, kind: pa.DataType) -> pa.Array:
    return pa.Array.from_buffers(kind, len(column), column.buffers(), column.null_count, column.offset)


def choose_columns(schema: pa.Schema, columns: Iterable[str] | None) -> pa.Schema:
    """Leave the columns that are asked for.

    Args:
        schema: All columns.
        columns: Names, or None for all.

    Raises:
        QueryError: There is no such column.
    """
    names = schema.names if columns is None else list(columns)
    unknown = [name for name in names if name not in schema.names]
    if unknown:
        raise QueryError(
            f"no run has a column {unknown[0]!r}",
            details=("columns: " + ", ".join(schema.names),),
            next_step="a param is p.<name>, a metric m.<name>, a tag t.<name>",
        )
    return pa.schema([schema.field(name) for name in names])


def filter_rows(batch: pa.RecordBatch, mask: Bools) -> pa.RecordBatch:
    """Leave the rows that are chosen.

    Args:
        batch: The rows.
        mask: One truth value a row.
    """
    if mask.all():
        return batch
    bits = pa.py_buffer(np.packbits(mask, bitorder="little"))
    # Arrow's filter imports pandas where it is installed: whoever asks for rows of a table can wait for it once.
    return batch.filter(pa.Array.from_buffers(pa.bool_(), len(mask), [None, bits], null_count=0))


def _join_types(segments: Sequence[Segment]) -> dict[str, pa.Field]:
    types = {name: pa.field(name, arrow_type(kind), nullable=kind.endswith("?")) for name, kind in RUN_FIELDS.items()}
    typed: dict[str, pa.Field] = {}
    for segment in segments:
        for field in segment.schema:
            if field.name not in types:
                known = typed.get(field.name)
                typed[field.name] = field if known is None else _join_fields(known, field)
    return types | {name: typed[name] for name in sorted(typed)}


def _join_fields(one: pa.Field, other: pa.Field) -> pa.Field:
    if one.equals(other, check_metadata=True):
        return one
    if {one.type, other.type} == {pa.int64(), pa.float64()}:
        return pa.field(one.name, pa.float64())
    return pa.field(one.name, pa.string(), metadata={b"json": b"1"})


def _convert(part: Part, schema: pa.Schema) -> pa.RecordBatch:
    if not len(schema):
        return part.batch.select([])
    return pa.RecordBatch.from_arrays([_convert_column(part, field) for field in schema], schema=schema)


def _convert_column(part: Part, field: pa.Field) -> pa.Array:
    at = part.find(field.name)
    if at < 0:
        return build_array(field.type, [None] * part.num_rows)
    column, found = part.column(field.name), part.schema.field(at)
    if found.type == field.type and found.metadata == field.metadata:
        return column
    values = column.to_pylist()
    if pa.types.is_string(field.type) and not (found.metadata or {}).get(b"json"):
        values = [None if value is None else json.dumps(value, allow_nan=False) for value in values]
    return build_array(field.type, values)
