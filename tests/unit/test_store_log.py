"""A log gives back every event that is whole, and none that is not."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pyarrow as pa
import pytest

from pytest_mlrun.errors import StoreWriteError
from pytest_mlrun.store.event import Event
from pytest_mlrun.store.files import Steps
from pytest_mlrun.store.log import EventLog, LogContent, read_log

RUN = "01920000-0000-7000-8000-000000000001"


def write_log(path: Path, *, tags: int = 3) -> bytes:
    log = EventLog(path, steps=Steps())
    log.write("log", "", {"boot": "b"})
    for number in range(tags):
        log.write("tags", RUN, {f"tag-{number}": "é" * number})
    log.write("points", RUN, {"at": 0}, points=bytes(range(64)))
    log.close()
    return path.read_bytes()


def facts(content: LogContent) -> list[tuple[int, str, object, bytes]]:
    return [(event.seq, event.kind, event.content, bytes(event.points)) for event in content.events]


def test_a_log_gives_back_what_was_written(tmp_path: Path) -> None:
    content = read_log(write_log(tmp_path / "a.arrows", tags=1))

    assert facts(content) == [
        (0, "log", {"boot": "b"}, b""),
        (1, "tags", {"tag-0": ""}, b""),
        (2, "points", {"at": 0}, bytes(range(64))),
    ]
    assert (content.torn_bytes, content.damaged, content.header) == (0, (), {"boot": "b"})


def test_plain_pyarrow_reads_a_log(tmp_path: Path) -> None:
    write_log(tmp_path / "a.arrows")

    table = pa.ipc.open_stream(tmp_path / "a.arrows").read_all()

    assert table.column("kind").to_pylist() == ["log", "tags", "tags", "tags", "points"]
    assert table.column("data").to_pylist()[2] == '{"tag-1":"é"}'


def test_a_log_cut_at_any_byte_gives_back_exactly_the_whole_events(tmp_path: Path) -> None:
    whole = write_log(tmp_path / "a.arrows")
    expected = facts(read_log(whole))
    ends = event_ends(whole)

    for cut in range(len(whole)):
        content = read_log(whole[:cut])

        count = sum(end <= cut for end in ends)
        assert facts(content) == expected[:count]
        assert content.damaged == ()


def event_ends(whole: bytes) -> list[int]:
    source = pa.BufferReader(whole)
    pa.ipc.read_schema(source)
    ends = []
    for _ in range(5):
        pa.ipc.read_message(source)
        ends.append(source.tell())
    return ends


def test_zeros_where_the_end_was_are_not_an_event(tmp_path: Path) -> None:
    # ext4 after a power loss: the length is there, the content is not.
    whole = write_log(tmp_path / "a.arrows")
    ends = event_ends(whole)

    for cut in range(ends[-2] + 1, ends[-1], 7):
        content = read_log(whole[:cut] + bytes(len(whole) - cut))

        # A cut inside the padding of the last event leaves it whole.
        assert len(content.events) == 4 or content.events[-1].points == bytes(range(64))


def test_a_flipped_bit_never_gives_a_wrong_event(tmp_path: Path) -> None:
    whole = write_log(tmp_path / "a.arrows", tags=2)
    expected = facts(read_log(whole))
    seen_damage = 0

    for at in range(0, len(whole), 3):
        flipped = bytearray(whole)
        flipped[at] ^= 1 << at % 8
        content = read_log(bytes(flipped))

        found = facts(content)
        assert all(event in expected for event in found)
        assert len(found) >= len(expected) - 1
        assert len(found) == len(expected) or content.damaged
        assert not content.torn_bytes
        seen_damage += bool(content.damaged)
    assert seen_damage > 100


def test_the_last_event_is_torn_when_it_is_cut_and_damaged_when_a_bit_of_it_flips(tmp_path: Path) -> None:
    whole = write_log(tmp_path / "a.arrows")
    before, end = event_ends(whole)[-2:]
    missed = []

    for at in range(before, end):
        assert read_log(whole[:at]).torn_bytes == at - before
        for bit in range(8):
            flipped = bytearray(whole)
            flipped[at] ^= 1 << bit
            content = read_log(bytes(flipped))
            if len(content.events) < 5 and content.damaged != ((before, end),):
                missed.append((at, bit))
    assert missed == []


def test_events_behind_a_damaged_one_are_still_read(tmp_path: Path) -> None:
    whole = write_log(tmp_path / "a.arrows")
    first, second = event_ends(whole)[:2]
    damaged = whole[: second - 100] + b"\xff" * 50 + whole[second - 50 :]

    content = read_log(damaged)

    assert [event.seq for event in content.events] == [0, 2, 3, 4]
    assert content.damaged == ((first, second),)


def test_a_missing_event_is_damage_although_every_byte_reads_well(tmp_path: Path) -> None:
    whole = write_log(tmp_path / "a.arrows")
    first, second = event_ends(whole)[:2]

    content = read_log(whole[:first] + whole[second:])

    assert [event.seq for event in content.events] == [0, 2, 3, 4]
    assert content.damaged == ((first, first),)


def test_bytes_that_are_no_log_hold_no_event() -> None:
    assert read_log(b"") == LogContent((), 0, ())
    assert read_log(b"hello") == LogContent((), 5, ())
    assert read_log(b"\xff" * 4096) == LogContent((), 4096, ())


def test_a_refused_write_leaves_the_log_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = EventLog(tmp_path / "a.arrows", steps=Steps())
    log.write("log", "", {})
    whole = (tmp_path / "a.arrows").read_bytes()
    write = os.write

    def half(descriptor: int, content: memoryview) -> int:
        write(descriptor, memoryview(content)[:100])
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", half)
        with pytest.raises(StoreWriteError, match="the run store cannot be written: no space is left"):
            log.write("tags", RUN, {"a": "b"})
    assert (tmp_path / "a.arrows").read_bytes() == whole
    log.write("tags", RUN, {"a": "c"})
    log.close()

    content = read_log((tmp_path / "a.arrows").read_bytes())

    assert [(event.seq, event.content) for event in content.events] == [(0, {}), (1, {"a": "c"})]


def test_a_log_that_cannot_be_cut_back_takes_no_more_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = EventLog(tmp_path / "a.arrows", steps=Steps())

    def refuse(*_: object) -> int:
        raise OSError(errno.EIO, "broken")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", refuse)
        patch.setattr(os, "ftruncate", refuse)
        with pytest.raises(StoreWriteError, match="Input/output error"):
            log.write("log", "", {})
    with pytest.raises(StoreWriteError, match="an earlier write was cut short"):
        log.write("log", "", {})
    log.close()


def test_a_short_write_is_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = EventLog(tmp_path / "a.arrows", steps=Steps())
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, content: write(descriptor, memoryview(content)[:300]))

    event = log.write("log", "", {"a": "b" * 1000})
    log.close()

    assert event == Event(0, event.time_us, "log", "", {"a": "b" * 1000})
    assert read_log((tmp_path / "a.arrows").read_bytes()).header == {"a": "b" * 1000}
