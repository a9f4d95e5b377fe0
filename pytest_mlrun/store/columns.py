"""Build Arrow columns from Python values, and read them as numpy, without the calls that import pandas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pytest_mlrun.records.run import Artifact
from pytest_mlrun.records.verdict import Verdict
from pytest_mlrun.store.schema import ARTIFACT_FIELDS, GATE_FIELDS, Fields, Kind

MOST_BYTES: Final = 2**31 - 1
"""What the 32-bit offsets of an Arrow string column can address."""

Bools = npt.NDArray[np.bool_]


class ColumnTooLargeError(Exception):
    """The texts of one column exceed what its offsets can address: build fewer rows at once."""


def arrow_type(kind: Kind) -> pa.DataType:
    """Say how a field is stored.

    Args:
        kind: Kind of the field.

    Returns:
        The Arrow type.
    """
    return _TYPES[kind]


def _struct_type(fields: Fields) -> pa.DataType:
    simple: dict[Kind, pa.DataType] = {
        "text": pa.string(),
        "text?": pa.string(),
        "int": pa.int64(),
        "int?": pa.int64(),
        "time": pa.int64(),
        "float?": pa.float64(),
        "bool": pa.bool_(),
    }
    return pa.struct([pa.field(name, simple[kind], nullable=kind.endswith("?")) for name, kind in fields.items()])


_TYPES: Final[Mapping[Kind, pa.DataType]] = {
    "text": pa.string(),
    "text?": pa.string(),
    "int": pa.int64(),
    "int?": pa.int64(),
    "float?": pa.float64(),
    "bool": pa.bool_(),
    "time": pa.timestamp("us", "UTC"),
    "texts": pa.map_(pa.string(), pa.string()),
    "numbers": pa.map_(pa.string(), pa.float64()),
    "artifacts": pa.list_(pa.field("item", _struct_type(ARTIFACT_FIELDS), nullable=False)),
    "gates": pa.list_(pa.field("item", _struct_type(GATE_FIELDS), nullable=False)),
}


def build_column(kind: Kind, values: Sequence[object]) -> pa.Array:
    """Build the column of a field.

    Args:
        kind: Kind of the field.
        values: One value a row.

    Returns:
        The column.

    Raises:
        ColumnTooLargeError: The texts are too long for one column.
    """
    if kind in {"texts", "numbers"}:
        return _map_column(kind, cast("Sequence[Mapping[str, object]]", values))
    if kind == "artifacts":
        return _list_column(kind, ARTIFACT_FIELDS, cast("Sequence[Sequence[Artifact]]", values))
    if kind == "gates":
        return _list_column(kind, GATE_FIELDS, cast("Sequence[Sequence[Verdict]]", values))
    return build_array(_TYPES[kind], values)


def build_array(kind: pa.DataType, values: Sequence[object]) -> pa.Array:
    """Build a column of texts, numbers or truth values.

    Args:
        kind: string, int64, float64, bool or timestamp.
        values: One value a row, or None.

    Returns:
        The column.

    Raises:
        ColumnTooLargeError: The texts are too long for one column.
    """
    valid = np.fromiter((value is not None for value in values), dtype=np.bool_, count=len(values))
    if pa.types.is_string(kind):
        buffers = _text_buffers([b"" if value is None else str(value).encode("utf-8") for value in values])
    elif pa.types.is_boolean(kind):
        bits = np.fromiter((bool(value) for value in values), dtype=np.bool_, count=len(values))
        buffers = [pa.py_buffer(np.packbits(bits, bitorder="little"))]
    else:
        dtype = np.float64 if pa.types.is_floating(kind) else np.int64
        buffers = [pa.py_buffer(np.array([0 if value is None else value for value in values], dtype=dtype))]
    missing = len(values) - int(valid.sum())
    bitmap = pa.py_buffer(np.packbits(valid, bitorder="little")) if missing else None
    return pa.Array.from_buffers(kind, len(values), [bitmap, *buffers], null_count=missing)


def list_array(
    kind: pa.DataType, parts: Sequence[npt.NDArray[np.int64]] | Sequence[npt.NDArray[np.float64]]
) -> pa.Array:
    """Build a column of lists of numbers.

    Args:
        kind: The list type.
        parts: One array a row.

    Returns:
        The column.
    """
    values = np.ascontiguousarray(parts[0]) if len(parts) == 1 else np.concatenate(parts) if parts else np.empty(0)
    child = pa.Array.from_buffers(kind.value_type, len(values), [None, pa.py_buffer(values)], null_count=0)
    offsets = _offsets(len(part) for part in parts)
    return pa.Array.from_buffers(kind, len(parts), [None, offsets], null_count=0, children=[child])


def _text_buffers(texts: Sequence[bytes]) -> list[pa.Buffer]:
    return [_offsets(map(len, texts)), pa.py_buffer(b"".join(texts))]


def _offsets(lengths: object) -> pa.Buffer:
    ends = np.cumsum(np.fromiter(lengths, dtype=np.int64))  # type: ignore[call-overload]
    if len(ends) and int(ends[-1]) > MOST_BYTES:
        raise ColumnTooLargeError
    return pa.py_buffer(np.concatenate(([0], ends)).astype(np.int32))


def _map_column(kind: Kind, maps: Sequence[Mapping[str, object]]) -> pa.Array:
    whole = _TYPES[kind]
    keys = build_array(pa.string(), [name for one in maps for name in one])
    items = build_array(whole.item_type, [value for one in maps for value in one.values()])
    entry = pa.struct([whole.key_field, whole.item_field])
    entries = pa.Array.from_buffers(entry, len(keys), [None], null_count=0, children=[keys, items])
    return pa.Array.from_buffers(whole, len(maps), [None, _offsets(map(len, maps))], null_count=0, children=[entries])


def _list_column(
    kind: Kind, fields: Fields, rows: Sequence[Sequence[Artifact]] | Sequence[Sequence[Verdict]]
) -> pa.Array:
    whole = _TYPES[kind]
    items: list[Artifact | Verdict] = [item for row in rows for item in row]
    parts = [build_array(whole.value_type.field(name).type, [getattr(item, name) for item in items]) for name in fields]
    child = pa.Array.from_buffers(whole.value_type, len(items), [None], null_count=0, children=parts)
    return pa.Array.from_buffers(whole, len(rows), [None, _offsets(map(len, rows))], null_count=0, children=[child])


def valid_mask(column: pa.Array) -> Bools:
    """Say which rows have a value.

    Args:
        column: Any column.

    Returns:
        One truth value a row.
    """
    bitmap = column.buffers()[0]
    if bitmap is None or not column.null_count:
        return np.ones(len(column), dtype=np.bool_)
    bits = np.unpackbits(np.frombuffer(bitmap, dtype=np.uint8), bitorder="little")
    return cast("Bools", bits[column.offset : column.offset + len(column)].view(np.bool_))


def number_values(column: pa.Array) -> npt.NDArray[np.int64] | npt.NDArray[np.float64]:
    """View a column of int64, float64 or timestamps.

    Args:
        column: The column; what stands in rows without a value is arbitrary.

    Returns:
        Its values.
    """
    content = column.buffers()[1] or bytes(8 * len(column))
    count = column.offset + len(column)
    if pa.types.is_floating(column.type):
        return np.frombuffer(content, dtype=np.float64, count=count)[column.offset :]
    return np.frombuffer(content, dtype=np.int64, count=count)[column.offset :]


def bool_values(column: pa.Array) -> Bools:
    """Unpack a column of truth values.

    Args:
        column: The column; what stands in rows without a value is arbitrary.

    Returns:
        Its values.
    """
    bits = np.unpackbits(np.frombuffer(column.buffers()[1] or b"", dtype=np.uint8), bitorder="little")
    return cast("Bools", bits[column.offset : column.offset + len(column)].view(np.bool_))


def check_bounds(column: pa.Array) -> None:
    """Check that no offset of a column points outside it: reading such a value would end the process.

    Args:
        column: The column; only the rows it shows are looked at.

    Raises:
        ValueError: An offset points outside.
    """
    kind = column.type
    if pa.types.is_struct(kind):
        for at in range(kind.num_fields):
            check_bounds(column.field(at))
    elif pa.types.is_map(kind):
        first, last = _check_offsets(column, len(column.keys))
        check_bounds(column.keys.slice(first, last - first))
        check_bounds(column.items.slice(first, last - first))
    elif pa.types.is_list(kind):
        first, last = _check_offsets(column, len(column.values))
        check_bounds(column.values.slice(first, last - first))
    elif pa.types.is_string(kind):
        content = column.buffers()[2]
        _check_offsets(column, 0 if content is None else content.size)


def _check_offsets(column: pa.Array, size: int) -> tuple[int, int]:
    offsets = column.buffers()[1]
    if offsets is None or not len(column):
        return 0, 0
    bounds = np.frombuffer(offsets, dtype=np.int32, count=column.offset + len(column) + 1)[column.offset :]
    if bounds[0] < 0 or bounds[-1] > size or (bounds[1:] < bounds[:-1]).any():
        raise ValueError("an offset points outside its column")
    return int(bounds[0]), int(bounds[-1])


def equal_text(column: pa.Array, text: str, *, suffix: bool = False) -> Bools:
    """Find the rows that hold a text.

    Args:
        column: A column of texts.
        text: What to find.
        suffix: Whether ending with the text is enough.

    Returns:
        One truth value a row; False where there is no value.

    Raises:
        ValueError: The column is damaged.
    """
    needle = np.frombuffer(text.encode("utf-8"), dtype=np.uint8)
    check_bounds(column)
    _, offsets, content = column.buffers()
    if offsets is None or not len(column):
        return np.zeros(len(column), dtype=np.bool_)
    bounds = np.frombuffer(offsets, dtype=np.int32, count=column.offset + len(column) + 1)[column.offset :]
    letters = np.frombuffer(content or b"", dtype=np.uint8)
    lengths = bounds[1:] - bounds[:-1]
    found = (lengths >= len(needle) if suffix else lengths == len(needle)) & valid_mask(column)
    rows = np.flatnonzero(found)
    if len(needle) and len(rows):
        places = (bounds[1:][rows] - len(needle))[:, None] + np.arange(len(needle))
        found[rows] = (letters[places] == needle).all(axis=1)
    return cast("Bools", found)
