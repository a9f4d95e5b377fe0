"""Stamp an Arrow file with checksums: of all its bytes, of its frame, of each column; and compare them."""

from __future__ import annotations

import mmap
import os
import re
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pyarrow as pa

from pytest_mlrun.store.files import map_bytes

_KEY: Final = b"mlrun.crc"
_FRAME_KEY: Final = b"mlrun.frame"
_COLUMNS_KEY: Final = b"mlrun.columns"
_STAMP: Final = re.compile(rb"[0-9a-f]{32}")
_CRCS: Final = re.compile(rb"(?:[0-9a-f]{8})*")
_MARK_BYTES: Final = 24
_CRC_DIGITS: Final = 8
_BLANK: Final = b"0" * _CRC_DIGITS
_MAGIC_BYTES: Final = 8
"""An Arrow file begins with its magic, padded; from there on it is a stream of messages."""


def with_blank(schema: pa.Schema, *, frame: bool = False) -> pa.Schema:
    """Give a file's schema the place for its stamp: 24 random digits that mark it, and 8 for the checksum.

    Args:
        schema: The schema.
        frame: Whether the file also gets the stamp of its frame.

    Returns:
        The schema to write the file with.
    """
    keys = (_KEY, _FRAME_KEY) if frame else (_KEY,)
    blanks = {key: os.urandom(_MARK_BYTES // 2).hex().encode() + _BLANK for key in keys}
    return schema.with_metadata({**(schema.metadata or {}), **blanks})


def stamp(path: Path, schema: pa.Schema) -> None:
    """Fill in the stamps of a written file.

    Args:
        path: The file, not yet where a reader looks.
        schema: The schema it was written with.
    """
    blank, frame = schema.metadata[_KEY], schema.metadata.get(_FRAME_KEY)
    crc = b"" if frame is None else _compute_frame(map_bytes(path), (blank, frame))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as content:
        if frame is not None:
            _fill(content, frame, crc)
        _fill(content, blank, _compute(content, blank))


def has_stamp(content: bytes | mmap.mmap, metadata: Mapping[bytes, bytes] | None) -> bool:
    """Say whether the bytes of a file are those that were stamped.

    Args:
        content: All bytes of the file.
        metadata: Metadata of its schema.

    Returns:
        False if the stamp is missing, or is that of other bytes.
    """
    stamped = (metadata or {}).get(_KEY, b"")
    return _STAMP.fullmatch(stamped) is not None and _compute(content, stamped) == stamped[_MARK_BYTES:]


def has_frame(content: bytes | mmap.mmap, metadata: Mapping[bytes, bytes] | None) -> bool | None:
    """Say whether all of a file but the bodies of its batches is what was stamped.

    Args:
        content: All bytes of the file; those of the bodies are not read.
        metadata: Metadata of its schema.

    Returns:
        None if the file has no such stamp: then only ``has_stamp`` can tell.

    Raises:
        pa.ArrowException: The file is damaged.
    """
    stamps = tuple((metadata or {}).get(key, b"") for key in (_KEY, _FRAME_KEY))
    if not stamps[1]:
        return None
    if not all(_STAMP.fullmatch(one) for one in stamps):
        return False
    return _compute_frame(content, stamps) == stamps[1][_MARK_BYTES:]


def column_crcs(batch: pa.RecordBatch) -> dict[bytes, bytes]:
    """Compute the checksum of each column of a batch as it will lie in a file.

    Args:
        batch: The batch.

    Returns:
        Metadata to write it with.
    """
    # Written once into memory: a writer leaves out what a slice does not show, and a bitmap that says nothing.
    written = pa.ipc.read_record_batch(batch.serialize(), batch.schema)
    return {_COLUMNS_KEY: b"".join(b"%08x" % compute_crc(column) for column in written.columns)}


def read_crcs(batch: pa.RecordBatch, metadata: Mapping[bytes, bytes] | None) -> tuple[int, ...] | None:
    """Read what ``column_crcs`` wrote.

    Args:
        batch: The batch.
        metadata: Its own metadata, not those of its schema.

    Returns:
        One checksum a column; None if there are none.
    """
    digits = (metadata or {}).get(_COLUMNS_KEY, b"")
    if len(digits) != _CRC_DIGITS * batch.num_columns or _CRCS.fullmatch(digits) is None:
        return None
    return tuple(int(digits[at : at + _CRC_DIGITS], 16) for at in range(0, len(digits), _CRC_DIGITS))


def compute_crc(column: pa.Array) -> int:
    """Compute the checksum of a column: over its buffers, and those of its children, in Arrow's order.

    Args:
        column: A column of a batch of a file.

    Returns:
        The checksum.
    """
    crc = 0
    for buffer in column.buffers():
        if buffer is not None:
            crc = zlib.crc32(buffer, crc)
    return crc


def _places(content: bytes | mmap.mmap, stamped: bytes) -> tuple[int, int]:
    # An Arrow file holds its schema twice: before the first batch and behind the last.
    return content.find(stamped), content.rfind(stamped)


def _fill(content: mmap.mmap, blank: bytes, crc: bytes) -> None:
    for at in _places(content, blank):
        content[at + _MARK_BYTES : at + len(blank)] = crc


def _compute(content: bytes | mmap.mmap, stamped: bytes) -> bytes:
    first, last = _places(content, stamped)
    with memoryview(content) as whole:
        crc = zlib.crc32(_BLANK, zlib.crc32(whole[: first + _MARK_BYTES]))
        crc = zlib.crc32(whole[first + len(stamped) : last + _MARK_BYTES], crc)
        crc = zlib.crc32(whole[last + len(stamped) :], zlib.crc32(_BLANK, crc))
    return b"%08x" % crc


def _compute_frame(content: bytes | mmap.mmap, stamps: tuple[bytes, ...]) -> bytes:
    at = 0
    pieces: list[bytes] = []
    for start, end in _bodies(content):
        pieces.append(content[at:start])
        at = end
    frame = b"".join([*pieces, content[at:]])
    for stamped in stamps:
        frame = frame.replace(stamped, stamped[:_MARK_BYTES] + _BLANK)
    return b"%08x" % zlib.crc32(frame)


def _bodies(content: bytes | mmap.mmap) -> Iterator[tuple[int, int]]:
    whole = pa.py_buffer(content)
    for message in pa.ipc.MessageReader.open_stream(pa.BufferReader(whole.slice(_MAGIC_BYTES))):
        body = message.body
        if body is not None and body.size:
            start = body.address - whole.address
            yield start, start + body.size
