"""Lay out the members of a bundle as a zip file in the one way there is, and read no other."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Mapping
from typing import Final, NamedTuple

MOST_BYTES: Final = 1 << 30
"""Size of a bundle, and of what it unpacks to: a baseline is committed, not archived."""

MOST_MEMBERS: Final = 10_000
MOST_RATIO: Final = 100
"""No member unpacks to more than this many times its packed size; the writer stores instead."""

_NAME: Final = re.compile(r"[a-z]{1,16}(/[0-9a-f-]{1,64})?(\.json)?")
_LOCAL: Final = struct.Struct("<4sHHHHHIIIHH")
_CENTRAL: Final = struct.Struct("<4sHHHHHHIIIHHHHHII")
_END: Final = struct.Struct("<4sHHHHIIH")
_LOCAL_MARK: Final = b"PK\3\4"
_VERSION: Final = 20
_UNIX: Final = 3 << 8
_DATE: Final = 0x21  # 1980-01-01, the first day there is
_STORED: Final = 0
_DEFLATED: Final = 8
_PLAIN_FILE: Final = 0o100644 << 16


class _Entry(NamedTuple):
    name: bytes
    method: int
    crc: int
    packed_bytes: int
    size_bytes: int

    def local(self) -> bytes:
        sizes = (self.crc, self.packed_bytes, self.size_bytes, len(self.name), 0)
        return _LOCAL.pack(_LOCAL_MARK, _VERSION, 0, self.method, 0, _DATE, *sizes) + self.name

    def central(self, offset: int) -> bytes:
        sizes = (self.crc, self.packed_bytes, self.size_bytes, len(self.name))
        rest = (0, 0, 0, 0, _PLAIN_FILE, offset)
        head = (b"PK\1\2", _UNIX | _VERSION, _VERSION, 0, self.method, 0, _DATE)
        return _CENTRAL.pack(*head, *sizes, *rest) + self.name


def pack(members: Mapping[str, bytes]) -> bytes:
    """Lay out members: equal members give equal bytes.

    Args:
        members: Name to content; the first name comes first, all others are sorted by the caller.

    Returns:
        A zip file.

    Raises:
        ValueError: It would be larger than a bundle may be.
    """
    if len(members) > MOST_MEMBERS or sum(map(len, members.values())) > MOST_BYTES:
        raise ValueError("more than a bundle may hold")
    parts: list[bytes] = []
    entries: list[_Entry] = []
    for name, content in members.items():
        method, packed = _compress(content)
        entry = _Entry(name.encode("ascii"), method, zlib.crc32(content), len(packed), len(content))
        entries.append(entry)
        parts += [entry.local(), packed]
    return b"".join([*parts, _directory(entries)])


def unpack(content: bytes) -> dict[str, bytes]:
    """Read the members of a bundle.

    Args:
        content: Bytes of the file, whoever wrote them.

    Returns:
        Name to content, in the order of the file.

    Raises:
        ValueError: It is not exactly what ``pack`` lays out: cut short, longer, packed or named otherwise.
    """
    members: dict[str, bytes] = {}
    entries: list[_Entry] = []
    at = total = 0
    while content[at : at + len(_LOCAL_MARK)] == _LOCAL_MARK:
        entry = _read_entry(content, at)
        name = entry.name.decode("ascii")
        total += entry.size_bytes
        if name in members:
            raise ValueError(f"member {name!r} is there twice")
        if total > MOST_BYTES or len(members) >= MOST_MEMBERS:
            raise ValueError("it holds more than a bundle may hold")
        begin = at + _LOCAL.size + len(entry.name)
        at = begin + entry.packed_bytes
        members[name] = _decompress(entry, content[begin:at])
        entries.append(entry)
    if not entries:
        raise ValueError("it is no bundle")
    # What follows has no freedom left: links, times, comments, a second directory, data before or behind the file.
    if content[at:] != _directory(entries):
        raise ValueError("its directory is not that of its members, or it is cut short")
    return members


def _read_entry(content: bytes, at: int) -> _Entry:
    if len(content) - at < _LOCAL.size:
        raise ValueError("it is cut short")
    _, _, _, method, _, _, crc, packed_bytes, size_bytes, name_bytes, _ = _LOCAL.unpack_from(content, at)
    entry = _Entry(content[at + _LOCAL.size : at + _LOCAL.size + name_bytes], method, crc, packed_bytes, size_bytes)
    if not entry.name.isascii() or not _NAME.fullmatch(entry.name.decode("ascii")):
        raise ValueError(f"no member of a bundle has the name {entry.name[:80]!r}")
    if content[at : at + _LOCAL.size + name_bytes] != entry.local():
        raise ValueError(f"the header of {entry.name.decode()!r} is not that of a bundle")
    if len(content) - at - _LOCAL.size - name_bytes < packed_bytes:
        raise ValueError("it is cut short")
    if size_bytes > MOST_RATIO * packed_bytes:
        raise ValueError(f"member {entry.name.decode()!r} unpacks to more than {MOST_RATIO} times its size")
    return entry


def _compress(content: bytes) -> tuple[int, bytes]:
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = packer.compress(content) + packer.flush()
    if len(packed) < len(content) <= MOST_RATIO * len(packed):
        return _DEFLATED, packed
    return _STORED, content


def _decompress(entry: _Entry, packed: bytes) -> bytes:
    content = packed
    if entry.method == _DEFLATED:
        unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            # One byte more than declared is enough to know that the declaration lies.
            content = unpacker.decompress(packed, entry.size_bytes + 1)
        except zlib.error as error:
            raise ValueError(f"member {entry.name.decode()!r} cannot be unpacked") from error
        if not unpacker.eof or unpacker.unused_data:
            raise ValueError(f"member {entry.name.decode()!r} is not as long as it says")
    elif entry.method != _STORED:
        raise ValueError(f"member {entry.name.decode()!r} is packed in a way that no bundle is")
    if len(content) != entry.size_bytes:
        raise ValueError(f"member {entry.name.decode()!r} is not as long as it says")
    if zlib.crc32(content) != entry.crc:
        raise ValueError(f"the checksum of {entry.name.decode()!r} does not hold")
    return content


def _directory(entries: list[_Entry]) -> bytes:
    parts: list[bytes] = []
    offset = 0
    for entry in entries:
        parts.append(entry.central(offset))
        offset += _LOCAL.size + len(entry.name) + entry.packed_bytes
    size_bytes = sum(map(len, parts))
    return b"".join([*parts, _END.pack(b"PK\5\6", 0, 0, len(entries), len(entries), size_bytes, offset, 0)])
