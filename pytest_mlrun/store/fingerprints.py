"""Encode the marks of a run as an Arrow file, and read them back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa

from pytest_mlrun.records.fingerprint import Fingerprint, Mark
from pytest_mlrun.store.columns import build_array, list_array

MEDIA_TYPE: Final = "application/vnd.apache.arrow.file"
_BUCKETS: Final = 64
_SCHEMA: Final = pa.schema(
    [
        pa.field("step", pa.int64(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("channel", pa.string(), nullable=False),
        pa.field("digest", pa.string(), nullable=False),
        pa.field("count", pa.int64(), nullable=False),
        pa.field("not_finite", pa.int64(), nullable=False),
        pa.field("sketch", pa.list_(pa.float64()), nullable=False),
    ]
)


def encode_marks(marks: Sequence[Mark]) -> bytes:
    """Return marks as an Arrow file, compressed.

    Args:
        marks: In the order in which they were made.
    """
    columns = [
        build_array(pa.int64(), [mark.step for mark in marks]),
        build_array(pa.string(), [mark.kind for mark in marks]),
        build_array(pa.string(), [mark.channel for mark in marks]),
        build_array(pa.string(), [mark.found.digest for mark in marks]),
        build_array(pa.int64(), [mark.found.count for mark in marks]),
        build_array(pa.int64(), [mark.found.not_finite for mark in marks]),
        list_array(_SCHEMA.field("sketch").type, [np.array(mark.found.sketch, dtype=np.float64) for mark in marks]),
    ]
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, _SCHEMA, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=_SCHEMA))
    return bytes(sink.getvalue())


def decode_marks(content: bytes) -> list[Mark]:
    """Return the marks that a file holds, in their order.

    Args:
        content: The file.

    Raises:
        ValueError: It is no such file.
    """
    try:
        reader = pa.ipc.open_file(pa.BufferReader(content))
        rows = [row for at in range(reader.num_record_batches) for row in _rows(reader.get_batch(at))]
    except (pa.ArrowException, OSError, KeyError, TypeError) as error:
        raise ValueError(str(error)) from error
    return rows


def _rows(batch: pa.RecordBatch) -> list[Mark]:
    batch.validate(full=True)
    marks = [
        Mark(
            row["step"],
            row["kind"],
            row["channel"],
            Fingerprint(row["digest"], row["count"], row["not_finite"], tuple(row["sketch"])),
        )
        for row in batch.to_pylist()
    ]
    if any(len(mark.found.sketch) != (_BUCKETS if mark.kind == "array" else 0) for mark in marks):
        raise ValueError("a sketch of another length")
    return marks
