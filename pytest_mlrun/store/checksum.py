"""Stamp an Arrow file with a checksum of all its bytes, and compare them."""

from __future__ import annotations

import mmap
import os
import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import pyarrow as pa

_KEY: Final = b"mlrun.crc"
_STAMP: Final = re.compile(rb"[0-9a-f]{32}")
_MARK_BYTES: Final = 24
_BLANK: Final = b"00000000"


def with_blank(schema: pa.Schema) -> pa.Schema:
    """Give a file's schema the place for its stamp: 24 random digits that mark it, and 8 for the checksum.

    Args:
        schema: The schema.

    Returns:
        The schema to write the file with.
    """
    metadata = dict(schema.metadata or {})
    return schema.with_metadata({**metadata, _KEY: os.urandom(_MARK_BYTES // 2).hex().encode() + _BLANK})


def stamp(path: Path, schema: pa.Schema) -> None:
    """Fill in the stamp of a written file.

    Args:
        path: The file, not yet where a reader looks.
        schema: The schema it was written with.
    """
    blank = schema.metadata[_KEY]
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as content:
        crc = _compute(content, blank)
        for at in _places(content, blank):
            content[at + _MARK_BYTES : at + len(blank)] = crc


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


def _places(content: bytes | mmap.mmap, stamped: bytes) -> tuple[int, int]:
    # An Arrow file holds its schema twice: before the first batch and behind the last.
    return content.find(stamped), content.rfind(stamped)


def _compute(content: bytes | mmap.mmap, stamped: bytes) -> bytes:
    first, last = _places(content, stamped)
    with memoryview(content) as whole:
        crc = zlib.crc32(_BLANK, zlib.crc32(whole[: first + _MARK_BYTES]))
        crc = zlib.crc32(whole[first + len(stamped) : last + _MARK_BYTES], crc)
        crc = zlib.crc32(whole[last + len(stamped) :], zlib.crc32(_BLANK, crc))
    return b"%08x" % crc
