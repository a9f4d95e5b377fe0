"""Join series files into one, batch by batch: no point is decoded, and few are in memory at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import heapify, heappop, heappush
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pytest_mlrun.store.series import BATCH_POINTS, SERIES_SCHEMA, write_series_batches

_Place = tuple[str, int]


def join_series(path: Path, sources: Sequence[tuple[str, Path]]) -> bool:
    """Join series files, each sorted by run, into one that is.

    Args:
        path: The file; not created if there is no series.
        sources: For each file, a run id that none of its runs sorts before; and the file, known to be intact.

    Returns:
        Whether there was any series.

    Raises:
        FileNotFoundError: A file is gone.
    """
    return write_series_batches(path, _fill(_merge(sources)))


def _merge(sources: Sequence[tuple[str, Path]]) -> Iterator[pa.RecordBatch]:
    """Yield pieces of the files, by run: what stands before the next run of any other file comes at once."""
    heap: list[_Place] = [(first, at) for at, (first, _) in enumerate(sources)]
    heapify(heap)
    opened: dict[int, Iterator[pa.RecordBatch]] = {}
    current: dict[int, pa.RecordBatch] = {}
    while heap:
        at = heappop(heap)[1]
        if at not in opened:
            # Not before it is its turn: ten thousand open files, each with a batch in memory, are too many.
            opened[at] = _read(sources[at][1])
            _go_on(at, None, opened, current, heap)
            continue
        batch = current[at]
        end = _find_end(batch.column(0), heap[0] if heap else None, at)
        yield batch.slice(0, end)
        _go_on(at, batch.slice(end), opened, current, heap)


def _go_on(
    at: int,
    rest: pa.RecordBatch | None,
    opened: dict[int, Iterator[pa.RecordBatch]],
    current: dict[int, pa.RecordBatch],
    heap: list[_Place],
) -> None:
    batch = rest if rest is not None and rest.num_rows else next(opened[at], None)
    if batch is None:
        opened[at] = iter(())
        current.pop(at, None)
        return
    current[at] = batch
    heappush(heap, (batch.column(0)[0].as_py(), at))


def _read(path: Path) -> Iterator[pa.RecordBatch]:
    with pa.memory_map(str(path)) as source:
        reader = pa.ipc.open_file(source)
        for number in range(reader.num_record_batches):
            batch = reader.get_batch(number)
            if batch.num_rows:
                yield batch.select(SERIES_SCHEMA.names)


def _find_end(run_ids: pa.Array, following: _Place | None, at: int) -> int:
    """Count the rows that stand before a place in another file: never none, because the heap chose this file."""
    if following is None or (run_ids[-1].as_py(), at) < following:
        return len(run_ids)
    low, high = 1, len(run_ids) - 1
    while low < high:
        middle = (low + high) // 2
        if (run_ids[middle].as_py(), at) < following:
            low = middle + 1
        else:
            high = middle
    return low


def _fill(pieces: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Make batches of about so many points that one of them is cheap to decompress."""
    held: list[pa.RecordBatch] = []
    points = 0
    for piece in pieces:
        for cut, count in _cut(piece, BATCH_POINTS - points):
            held.append(cut)
            points += count
            if points >= BATCH_POINTS:
                yield _combine(held)
                held, points = [], 0
    if held:
        yield _combine(held)


def _cut(piece: pa.RecordBatch, room: int) -> Iterator[tuple[pa.RecordBatch, int]]:
    """Cut rows where a batch is full, a row never."""
    counts = _count_points(piece)
    ends = np.cumsum(counts)
    start = 0
    while start < piece.num_rows:
        before = int(ends[start - 1]) if start else 0
        end = min(int(np.searchsorted(ends, before + room)) + 1, piece.num_rows)
        yield piece.slice(start, end - start), int(ends[end - 1]) - before
        start, room = end, BATCH_POINTS


def _count_points(piece: pa.RecordBatch) -> npt.NDArray[np.int64]:
    steps = piece.column(3)
    bounds = np.frombuffer(steps.buffers()[1], dtype=np.int32, count=steps.offset + len(steps) + 1)[steps.offset :]
    return np.diff(bounds).astype(np.int64)


def _combine(pieces: list[pa.RecordBatch]) -> pa.RecordBatch:
    return pa.Table.from_batches(pieces, schema=SERIES_SCHEMA).combine_chunks().to_batches()[0]
