"""Make identifiers that sort by time."""

from __future__ import annotations

import os
import time
import uuid


def new_id() -> str:
    """Return a fresh UUIDv7 (RFC 9562, section 5.7) as 36 lower-case characters.

    The random part comes from the operating system, so a pinned ``random`` module can never repeat an id.
    """
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & (2**48 - 1)) << 80 | int.from_bytes(os.urandom(10))
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))


def now_us() -> int:
    """Return microseconds since the epoch, UTC."""
    return time.time_ns() // 1000
