"""Join segments into one Arrow table for SQL engines and data frames."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pyarrow as pa

from pytest_mlrun.errors import QueryError
from pytest_mlrun.store.columns import arrow_type, build_array
from pytest_mlrun.store.guard import Part
from pytest_mlrun.store.schema import RUN_FIELDS
from pytest_mlrun.store.segment import Segment


def join_tables(segments: Sequence[Segment], *, columns: Sequence[str] | None) -> pa.Table:
    """Join segments.

    Args:
        segments: The segments.
        columns: Only these columns; None for all.

    Returns:
        One row a run.

    Raises:
        QueryError: No segment has such a column.
    """
    types = _join_types(segments)
    names = list(types) if columns is None else list(columns)
    unknown = [name for name in names if name not in types]
    if unknown:
        raise QueryError(
            f"no run has a column {unknown[0]!r}",
            details=("columns: " + ", ".join(types),),
            next_step="a param is p.<name>, a metric m.<name>, a tag t.<name>",
        )
    schema = pa.schema([types[name] for name in names])
    batches = [
        pa.RecordBatch.from_arrays([_convert(part, field) for field in schema], schema=schema)
        for segment in segments
        for part in segment.parts
    ]
    return pa.Table.from_batches(batches, schema=schema)


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


def _convert(part: Part, field: pa.Field) -> pa.Array:
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
