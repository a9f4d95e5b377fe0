"""Tell an event that a kill cut short from one whose bytes were changed."""

from __future__ import annotations

import struct

from pytest_mlrun.store.message_header import find_body_bytes, find_buffers

_BUFFER_BYTES = 16


def is_cut_short(tail: bytes, *, header_bytes: int) -> bool:
    """Say whether the unreadable end of a log is the beginning of an event that was never written whole.

    An event says how long it is, and says it twice: as one length, and as the place of its last buffer.

    Args:
        tail: The bytes behind the last readable event.
        header_bytes: Length of an event's header in this log, as the event before has it.

    Returns:
        False if as many bytes are there as the event needs, or if its lengths contradict each other.
    """
    if not any(tail):
        return True  # the machine stopped after the file grew and before its bytes reached the disk
    start = b"\xff\xff\xff\xff" + header_bytes.to_bytes(4, "little")
    if tail[:8] != start[: len(tail)]:
        return False
    if len(tail) < 8 + header_bytes:
        return True
    body_bytes = _read_body_bytes(tail[8 : 8 + header_bytes])
    return body_bytes is not None and len(tail) < 8 + header_bytes + body_bytes


def _read_body_bytes(header: bytes) -> int | None:
    try:
        (body_bytes,) = struct.unpack_from("<q", header, find_body_bytes(header))
        first, count = find_buffers(header)
        end = 0
        for place in range(first, first + count * _BUFFER_BYTES, _BUFFER_BYTES):
            offset, length = struct.unpack_from("<qq", header, place)
            if offset != end or length < 0:
                return None
            end = offset + length + -length % 8
    except (struct.error, OverflowError):
        return None
    return int(body_bytes) if body_bytes == end else None
