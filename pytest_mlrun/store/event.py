"""Say what an event is, and write it as one message of an Arrow IPC stream."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from pytest_mlrun.store.message_header import find_body_bytes, find_buffers

EVENT_SCHEMA: Final = pa.schema(
    [
        pa.field("seq", pa.int64(), nullable=False),
        pa.field("time", pa.timestamp("us", "UTC"), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("data", pa.string(), nullable=False),
        pa.field("points", pa.binary(), nullable=False),
        pa.field("crc", pa.int64(), nullable=False),
    ]
)
_to_json: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_PREFIX_BYTES: Final = 8
_BUFFERS: Final = struct.Struct("<36q")


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened.

    Attributes:
        seq: 0 for the first event of a log, then one more each.
        time_us: Microseconds since the epoch, UTC.
        kind: ``log start params tags context artifact gate channels points finish``.
        run_id: The run concerned; empty for ``log``.
        content: Decoded JSON.
        points: Point records, for ``points``.
    """

    seq: int
    time_us: int
    kind: str
    run_id: str
    content: Mapping[str, object]
    points: bytes | memoryview = b""


class EventEncoder:
    """Write events as pyarrow would: one record batch of one row each.

    All headers are alike but for the lengths in them. So pyarrow writes one, and the lengths of each event are filled
    in: to make arrays and a batch for every event takes several times as long.
    """

    def __init__(self) -> None:
        message = _write_batch().to_pybytes()
        header_bytes = int.from_bytes(message[4:_PREFIX_BYTES], "little")
        header = message[_PREFIX_BYTES : _PREFIX_BYTES + header_bytes]
        self._start = message[: _PREFIX_BYTES + header_bytes]
        self._body_at = _PREFIX_BYTES + find_body_bytes(header)
        self._buffers_at = _PREFIX_BYTES + find_buffers(header)[0]

    def encode(self, event: Event) -> bytes:
        """Make the IPC message of an event.

        Args:
            event: The event.

        Returns:
            One record batch of one row.
        """
        kind, run_id = event.kind.encode("ascii"), event.run_id.encode("utf-8")
        data = _to_json(event.content).encode("utf-8")
        cells = (kind, run_id, data, event.points)
        start = bytearray(self._start)
        # Of each column the bitmap of nulls, which is empty, then what it holds: a number, or offsets and bytes.
        buffers = [0, 0, 0, 8, 8, 0, 8, 8]
        parts: list[bytes | bytearray | memoryview] = [start, struct.pack("<qq", event.seq, event.time_us)]
        end = 16
        for cell in cells:
            size = len(cell)
            padding = -size % 8
            buffers += (end, 0, end, 8, end + 8, size)
            parts += (struct.pack("<ii", 0, size), cell, bytes(padding))
            end += 8 + size + padding
        buffers += (end, 0, end, 8)
        parts.append(struct.pack("<q", compute_checksum(event.seq, event.time_us, *cells)))
        struct.pack_into("<q", start, self._body_at, end + 8)
        _BUFFERS.pack_into(start, self._buffers_at, *buffers)
        return b"".join(parts)


def compute_checksum(seq: int, time_us: int, *cells: bytes | memoryview) -> int:
    """Compute the CRC of an event.

    Args:
        seq: Its number.
        time_us: Its time.
        cells: Kind, run id, data, points.
    """
    crc = zlib.crc32(struct.pack("<qq", seq, time_us))
    for cell in cells:
        crc = zlib.crc32(cell, zlib.crc32(struct.pack("<q", len(cell)), crc))
    return crc


def _write_batch() -> pa.Buffer:
    zero = pa.py_buffer(bytes(8))
    columns = [
        pa.Array.from_buffers(field.type, 1, [None, zero, zero][: field.type.num_buffers], null_count=0)
        for field in EVENT_SCHEMA
    ]
    return pa.RecordBatch.from_arrays(columns, schema=EVENT_SCHEMA).serialize()
