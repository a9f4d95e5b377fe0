"""Make the typed columns of joined segments from those that they have, and from their maps where they have none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

import numpy as np
import pyarrow as pa

from pytest_mlrun.store.columns import build_array, check_bounds, equal_text, number_values, valid_mask
from pytest_mlrun.store.shred import EXACT, LAYERS, MOST_COLUMNS, Layer, param_field, parse_value

_JSON: Final = {b"json": b"1"}

_Part = tuple[pa.Field, pa.Array]


@dataclass(frozen=True, slots=True)
class Group:
    """Rows of segments that have the same columns.

    Attributes:
        rows: One chunk a column.
        complete: Layers all of whose names have a typed column.
    """

    rows: pa.Table
    complete: frozenset[str]

    def typed(self, layer: Layer, name: str) -> pa.Field | None:
        """Return the field of a name's typed column, if there is one."""
        at = self.rows.schema.get_field_index(f"{layer}.{name}")
        return self.rows.schema.field(at) if at >= 0 else None

    def column(self, name: str) -> pa.Array:
        """Return a column."""
        return self.rows.column(name).combine_chunks()


@dataclass(frozen=True, slots=True)
class Layers:
    """The typed columns of all groups.

    Attributes:
        fields: One field a column.
        columns: For each group, its columns.
        complete: Layers all of whose names have one.
    """

    fields: list[pa.Field]
    columns: list[list[pa.Array]]
    complete: tuple[str, ...]


def join_layers(groups: Sequence[Group]) -> Layers:
    """Choose and build the typed columns: exactly those that the same runs would have been given at once.

    Args:
        groups: All rows.

    Returns:
        The columns.
    """
    fields: list[pa.Field] = []
    columns: list[list[pa.Array]] = [[] for _ in groups]
    complete: list[str] = []
    for layer in LAYERS:
        counts: Counter[str] = Counter()
        for group in groups:
            counts.update(_count_names(group, layer))
        if len(counts) <= MOST_COLUMNS:
            complete.append(layer)
        for name in sorted(sorted(counts, key=lambda name: (-counts[name], name))[:MOST_COLUMNS]):
            field, built = _join_column(groups, layer, name)
            fields.append(field)
            for at, column in enumerate(built):
                columns[at].append(column)
    return Layers(fields, columns, tuple(complete))


def _count_names(group: Group, layer: Layer) -> Counter[str]:
    prefix = f"{layer}."
    names = [name for name in group.rows.schema.names if name.startswith(prefix)]
    if layer in group.complete:
        counts = {name: len(column) - column.null_count for name in names if (column := group.column(name))}
        return Counter({name.removeprefix(prefix): count for name, count in counts.items() if count})
    keys = _map_of(group, layer).keys.dictionary_encode()
    counted = np.bincount(_codes(keys), minlength=len(keys.dictionary)).tolist()
    return Counter({name: count for name, count in zip(keys.dictionary.to_pylist(), counted, strict=True) if count})


def _codes(encoded: pa.DictionaryArray) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    return np.frombuffer(encoded.indices.buffers()[1] or b"", dtype=np.int32, count=len(encoded))


def _map_of(group: Group, layer: Layer) -> pa.Array:
    column = group.column(LAYERS[layer])
    check_bounds(column)
    return column


def _join_column(groups: Sequence[Group], layer: Layer, name: str) -> tuple[pa.Field, list[pa.Array]]:
    full = f"{layer}.{name}"
    if layer == "p":
        return _join_param(groups, name)
    field = pa.field(full, pa.float64() if layer == "m" else pa.string())
    columns: list[pa.Array] = []
    for group in groups:
        if group.typed(layer, name) is not None:
            columns.append(group.column(full))
        elif layer in group.complete:
            columns.append(pa.nulls(group.rows.num_rows, field.type))
        else:
            columns.append(_read_map(group, layer, name))
    return field, columns


def _join_param(groups: Sequence[Group], name: str) -> tuple[pa.Field, list[pa.Array]]:
    parts = [_find_param(group, name) for group in groups]
    kind = _join_types([part for part in parts if part is not None])
    if kind is None:
        # Of a name that has no typed column in a complete group, the map knows nothing either.
        texts = [_read_map(group, "p", name) for group in groups]
        return pa.field(f"p.{name}", pa.string(), metadata=_JSON), texts
    columns = [
        pa.nulls(group.rows.num_rows, kind) if part is None else _widen(part[1], kind)
        for group, part in zip(groups, parts, strict=True)
    ]
    return pa.field(f"p.{name}", kind), columns


def _find_param(group: Group, name: str) -> _Part | None:
    """Return a param's column as its group has it, or would have it had the param been frequent enough there."""
    field = group.typed("p", name)
    if field is not None:
        return field, group.column(field.name)
    if "p" in group.complete:
        return None
    values = [None if text is None else (parse_value(text),) for text in _read_map(group, "p", name).to_pylist()]
    found = [value[0] for value in values if value is not None]
    if not found:
        return None
    field = param_field(name, found)
    if field.metadata:
        return field, pa.nulls(0)
    return field, build_array(field.type, [None if value is None else value[0] for value in values])


def _join_types(parts: Sequence[_Part]) -> pa.DataType | None:
    """Find the type that keeps every value; None where only JSON texts do."""
    kinds = {field.type for field, _ in parts}
    if any(field.metadata for field, _ in parts):
        return None
    if len(kinds) == 1:
        return kinds.pop()
    if kinds != {pa.int64(), pa.float64()} or not all(_is_exact(column) for _, column in parts):
        return None
    return pa.float64()


def _is_exact(column: pa.Array) -> bool:
    if not pa.types.is_integer(column.type):
        return True
    values = number_values(column)[valid_mask(column)]
    return bool(((values >= -EXACT) & (values <= EXACT)).all())


def _widen(column: pa.Array, kind: pa.DataType) -> pa.Array:
    if column.type == kind:
        return column
    content = pa.py_buffer(number_values(column).astype(np.float64))
    bitmap = pa.py_buffer(np.packbits(valid_mask(column), bitorder="little")) if column.null_count else None
    return pa.Array.from_buffers(kind, len(column), [bitmap, content], null_count=column.null_count)


def _read_map(group: Group, layer: Layer, name: str) -> pa.Array:
    """Look a name up in the map of every row."""
    column = _map_of(group, layer)
    places = np.flatnonzero(equal_text(column.keys, name))
    bounds = np.frombuffer(column.buffers()[1], dtype=np.int32, count=column.offset + len(column) + 1)[column.offset :]
    rows = np.searchsorted(bounds, places, side="right") - 1
    valid = np.zeros(len(column), dtype=np.bool_)
    valid[rows] = True
    chosen = np.zeros(len(column), dtype=np.int64)
    chosen[rows] = places
    bitmap = pa.py_buffer(np.packbits(valid, bitorder="little"))
    indices = pa.Array.from_buffers(
        pa.int64(), len(column), [bitmap, pa.py_buffer(chosen)], null_count=len(column) - int(valid.sum())
    )
    return cast("pa.Array", column.items.take(indices))
