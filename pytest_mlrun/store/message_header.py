"""Find where the header of an event's message says how long its parts are."""

from __future__ import annotations

import struct

_MESSAGE_HEADER, _MESSAGE_BODY_BYTES = 2, 3
_BATCH_BUFFERS = 2


def find_body_bytes(header: bytes) -> int:
    """Find the length of the body, an int64.

    Args:
        header: The flatbuffer of a record batch's message.

    Returns:
        Its place.

    Raises:
        struct.error: The header is no such flatbuffer.
    """
    return _find(header, _follow(header, 0), _MESSAGE_BODY_BYTES)


def find_buffers(header: bytes) -> tuple[int, int]:
    """Find the places and lengths of the buffers in the body: two int64 each.

    Args:
        header: The flatbuffer of a record batch's message.

    Returns:
        Where the first stands, and how many there are.

    Raises:
        struct.error: The header is no such flatbuffer.
    """
    batch = _follow(header, _find(header, _follow(header, 0), _MESSAGE_HEADER))
    at = _follow(header, _find(header, batch, _BATCH_BUFFERS))
    (count,) = struct.unpack_from("<I", header, at)
    return at + 4, count


def _follow(header: bytes, at: int) -> int:
    return at + int(struct.unpack_from("<I", header, at)[0])


def _find(header: bytes, table: int, field: int) -> int:
    """Find a field of a flatbuffer's table: the table's own table says where it lies."""
    places = table - int(struct.unpack_from("<i", header, table)[0])
    return table + int(struct.unpack_from("<H", header, places + 4 + 2 * field)[0])
