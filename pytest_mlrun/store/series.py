"""Write and read series files: one row a series, compressed, found by run id."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from pytest_mlrun.store.checksum import has_stamp, stamp, with_blank
from pytest_mlrun.store.columns import build_array, equal_text, list_array, number_values
from pytest_mlrun.store.digest import compute_series_digests
from pytest_mlrun.store.files import map_bytes
from pytest_mlrun.store.points import Series

SERIES_SCHEMA: Final = pa.schema(
    [
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("part", pa.int64(), nullable=False),
        pa.field("step", pa.list_(pa.int64()), nullable=False),
        pa.field("time", pa.list_(pa.timestamp("us", "UTC")), nullable=False),
        pa.field("value", pa.list_(pa.float64()), nullable=False),
    ]
)
_PART_POINTS: Final = 65_536
BATCH_POINTS: Final = 25_000
"""From so many points on a record batch is full."""
_BROKEN = (pa.ArrowException, OSError, IndexError, TypeError)
_BROKEN_BATCH = (*_BROKEN, ValueError)

_Row = tuple[str, str, int, Series]


def write_series(path: Path, series: Iterable[tuple[str, Series]]) -> bool:
    """Write series, compressed.

    Args:
        path: The file; not created if there is no series.
        series: Run id and series, by run id, then name.

    Returns:
        Whether there was any series.
    """
    return write_series_batches(path, _build_batches(series))


def write_series_batches(path: Path, batches: Iterable[pa.RecordBatch]) -> bool:
    """Write the rows of a series file as they are, compressed.

    Args:
        path: The file; not created if there is no batch.
        batches: Rows of ``SERIES_SCHEMA``.

    Returns:
        Whether there was any batch.
    """
    batches = iter(batches)
    first = next(batches, None)
    if first is None:
        return False
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    schema = with_blank(SERIES_SCHEMA)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema, options=options) as writer:
        for batch in chain([first], batches):
            writer.write_batch(batch)
    stamp(path, schema)
    return True


def _build_batches(series: Iterable[tuple[str, Series]]) -> Iterator[pa.RecordBatch]:
    rows: list[_Row] = []
    points = 0
    for run_id, whole in series:
        for part, at in enumerate(range(0, len(whole), _PART_POINTS)):
            span = slice(at, at + _PART_POINTS)
            piece = Series(whole.name, whole.steps[span], whole.times_us[span], whole.values[span])
            rows.append((run_id, whole.name, part, piece))
            points += len(piece)
            if points >= BATCH_POINTS:
                yield _build_batch(rows)
                rows, points = [], 0
    if rows:
        yield _build_batch(rows)


def _build_batch(rows: list[_Row]) -> pa.RecordBatch:
    runs, names, parts, pieces = zip(*rows, strict=True)
    columns = [
        build_array(pa.string(), runs),
        build_array(pa.string(), names),
        build_array(pa.int64(), parts),
        list_array(SERIES_SCHEMA.field("step").type, [piece.steps for piece in pieces]),
        list_array(SERIES_SCHEMA.field("time").type, [piece.times_us for piece in pieces]),
        list_array(SERIES_SCHEMA.field("value").type, [piece.values for piece in pieces]),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=SERIES_SCHEMA)


def read_one_series(path: Path, run_id: str, name: str) -> Series | None:
    """Read one series of one run.

    Args:
        path: A series file.
        run_id: The run.
        name: The metric.

    Returns:
        The series, or None if the file does not hold it.

    Raises:
        FileNotFoundError: The file is gone, as after a compaction.
        ValueError: The file is damaged.
    """
    try:
        with pa.memory_map(str(path)) as source:
            # A compressed batch is decompressed whole: look the run up in a reader that sees two small columns only.
            keys = pa.ipc.open_file(source, options=pa.ipc.IpcReadOptions(included_fields=[0, 1]))
            last = keys.num_record_batches
            at = bisect_left(range(last), run_id, key=lambda index: _get_sound(keys, index).column(0)[-1].as_py())
            whole = pa.ipc.open_file(source)
            pieces: list[Series] = []
            while at < last:
                batch = _get_sound(keys, at)
                rows = np.flatnonzero(equal_text(batch.column(0), run_id) & equal_text(batch.column(1), name)).tolist()
                if rows:
                    pieces += [piece for _, piece in _decode(whole.get_batch(at), rows)]
                elif batch.column(0)[0].as_py() > run_id:
                    break
                at += 1
    except FileNotFoundError:
        raise
    except _BROKEN as error:
        raise ValueError(str(error)) from error
    return join_parts(pieces) if pieces else None


def read_all_series(path: Path, *, skip_damaged: bool = False) -> Iterator[tuple[str, Series]]:
    """Read every series of a file.

    Args:
        path: A series file.
        skip_damaged: Whether to go on behind a batch that cannot be read. What is read then may lack parts.

    Yields:
        Run id and series.

    Raises:
        FileNotFoundError: The file is gone.
        ValueError: The file is damaged.
    """
    held: list[Series] = []
    owner = ""
    for batch in read_series_batches(path, skip_damaged=skip_damaged):
        for run_id, piece in _decode_pieces(batch, skip_damaged=skip_damaged):
            if held and (run_id, piece.name) != (owner, held[0].name):
                yield owner, join_parts(held)
                held = []
            owner = run_id
            held.append(piece)
    if held:
        yield owner, join_parts(held)


def read_series_batches(path: Path, *, skip_damaged: bool = False) -> Iterator[pa.RecordBatch]:
    """Read the rows of a series file.

    Args:
        path: A series file.
        skip_damaged: Whether to go on behind a batch that cannot be read.

    Yields:
        Batches of ``SERIES_SCHEMA`` whose lists point inside them.

    Raises:
        FileNotFoundError: The file is gone.
        ValueError: The file is damaged.
    """
    try:
        with pa.memory_map(str(path)) as source:
            reader = pa.ipc.open_file(source)
            for at in range(reader.num_record_batches):
                try:
                    batch = _get_sound(reader, at)
                except _BROKEN_BATCH:
                    if not skip_damaged:
                        raise
                else:
                    yield batch
    except FileNotFoundError:
        raise
    except _BROKEN as error:
        raise ValueError(str(error)) from error


def _decode_pieces(batch: pa.RecordBatch, *, skip_damaged: bool) -> list[tuple[str, Series]]:
    try:
        return list(_decode(batch, list(range(batch.num_rows))))
    except _BROKEN_BATCH as error:
        if skip_damaged:
            return []
        raise ValueError(str(error)) from error


def has_checksum(path: Path) -> bool:
    """Say whether the bytes of a series file are those that were written.

    Args:
        path: A series file.

    Returns:
        Whether its checksum holds.

    Raises:
        FileNotFoundError: The file is gone.
    """
    content = map_bytes(path)
    try:
        return has_stamp(content, pa.ipc.open_file(pa.BufferReader(content)).schema.metadata)
    except _BROKEN:
        return False


def compute_series_digest(series: Series) -> str:
    """Compute the digest of one series.

    Args:
        series: The series.

    Returns:
        What the run's record says of it, if it is intact; nothing if its lists have lost their common length.
    """
    if not len(series.steps) == len(series.times_us) == len(series.values):
        return ""
    return compute_series_digests(series.steps, series.times_us, series.values, [len(series)])[0]


def join_parts(parts: list[Series]) -> Series:
    """Join the parts of one series.

    Args:
        parts: In order.

    Returns:
        The whole series.
    """
    if len(parts) == 1:
        return parts[0]
    return Series(
        parts[0].name,
        np.concatenate([part.steps for part in parts]),
        np.concatenate([part.times_us for part in parts]),
        np.concatenate([part.values for part in parts]),
    )


def _get_sound(reader: pa.RecordBatchFileReader, at: int) -> pa.RecordBatch:
    # Reading text through an offset that points outside the batch would end the process.
    batch = reader.get_batch(at)
    batch.validate(full=True)
    return batch


def _decode(batch: pa.RecordBatch, rows: list[int]) -> Iterator[tuple[str, Series]]:
    batch.validate(full=True)
    run_ids, names, _, *columns = batch.columns
    bounds = [np.frombuffer(column.buffers()[1], dtype=np.int32, count=len(column) + 1) for column in columns]
    steps, times_us, values = (number_values(column.values) for column in columns)
    for row in rows:
        spans = [slice(int(bound[row]), int(bound[row + 1])) for bound in bounds]
        series = Series(names[row].as_py(), steps[spans[0]], times_us[spans[1]], values[spans[2]])  # type: ignore[arg-type]
        yield run_ids[row].as_py(), series
