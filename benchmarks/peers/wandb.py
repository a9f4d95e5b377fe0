"""Log to Weights & Biases, offline."""
# mypy: disable-error-code="import-not-found, import-untyped"

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks.peers import Peer, Point

FILE_HEADER_BYTES = 7
BLOCK_BYTES = 32 * 1024
CHUNK_HEADER = struct.Struct("<IHB")  # checksum, length, kind
FULL, FIRST, LAST = 1, 2, 4


def log_points(folder: Path, points: Iterable[Point]) -> None:
    import wandb

    settings = wandb.Settings(console="off", disable_git=True, disable_code=True, x_disable_stats=True, silent=True)
    with wandb.init(project="benchmark", dir=str(folder), mode="offline", settings=settings) as run:
        for step, value in points:
            run.log({"loss": value}, step=step)


def read_points(folder: Path) -> Iterator[Point]:
    from wandb.proto.wandb_internal_pb2 import Record

    for path in sorted(folder.glob("wandb/offline-run-*/*.wandb")):
        for message in records_of(path.read_bytes()):
            record = Record()
            record.ParseFromString(message)
            if record.HasField("history"):
                row = {item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.history.item}
                if "loss" in row:
                    yield row["_step"], row["loss"]


def records_of(content: bytes) -> Iterator[bytes]:
    """Split a ``.wandb`` file into messages: LevelDB's log format behind a header of 7 bytes.

    Local runs have no query: ``wandb sync`` reads this file.
    """
    parts: list[bytes] = []
    position = FILE_HEADER_BYTES
    while position + CHUNK_HEADER.size <= len(content):
        room = BLOCK_BYTES - position % BLOCK_BYTES
        if room < CHUNK_HEADER.size:
            position += room
            continue
        _, length, kind = CHUNK_HEADER.unpack_from(content, position)
        begin = position + CHUNK_HEADER.size
        position = begin + length
        if position > len(content) or not FULL <= kind <= LAST:
            return  # torn by the kill
        if kind in {FULL, FIRST}:
            parts.clear()
        parts.append(content[begin:position])
        if kind in {FULL, LAST}:
            yield b"".join(parts)


PEER = Peer(
    title="Weights & Biases, offline",
    distributions=("wandb",),
    most_points=30_000,
    log_points=log_points,
    read_points=read_points,
    note="a second process writes; its CPU time is included",
)
