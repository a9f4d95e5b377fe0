"""A point is in the file when its call returns, or it is not there at all."""

from __future__ import annotations

import errno
import itertools
import os
import struct
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import SupportsIndex, cast

import numpy as np
import pytest

from pytest_mlrun.errors import MetricError, RunClosedError, StoreWriteError
from pytest_mlrun.store.files import Steps
from pytest_mlrun.store.pointfile import PointFile
from pytest_mlrun.store.points import (
    RECORD,
    RECORD_BYTES,
    SUMMARY,
    WRITTEN,
    fold_points,
    read_points,
    select_channels,
    sort_records,
)

ONE = WRITTEN + 1
TWO = WRITTEN + 2


def make_file(folder: Path) -> PointFile:
    return PointFile(folder / "a.points", steps=Steps())


def rows(path: Path) -> list[tuple[int, float, int, int]]:
    return [
        (int(row["step"]), float(row["value"]), int(row["flags"]), int(row["channel"])) for row in read_points(path)
    ]


def test_a_point_is_readable_as_soon_as_append_returned(tmp_path: Path) -> None:
    points = make_file(tmp_path)

    points.append(TWO, 0.5, 7)
    points.append(ONE, 0.25, None)

    assert rows(tmp_path / "a.points") == [(0, 0.25, SUMMARY, ONE), (7, 0.5, 0, TWO)]


def test_no_file_is_made_before_the_first_point(tmp_path: Path) -> None:
    points = make_file(tmp_path)

    points.mark()
    points.close("closed")

    assert not (tmp_path / "a.points").exists()
    assert len(read_points(tmp_path / "a.points")) == 0


def test_the_file_grows_and_keeps_every_point(tmp_path: Path) -> None:
    points = make_file(tmp_path)

    for step in range(10_000):
        points.append(ONE, step / 7, step)

    found = read_points(tmp_path / "a.points")
    assert found["step"].tolist() == list(range(10_000))
    assert found["value"].tolist() == [step / 7 for step in range(10_000)]


def test_threads_that_log_at_once_lose_nothing(tmp_path: Path) -> None:
    points = make_file(tmp_path)
    start = threading.Barrier(4)

    def log(channel: int) -> None:
        start.wait()
        for step in range(5_000):
            points.append(channel, float(step), step)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(log, [ONE, ONE + 1, ONE + 2, ONE + 3]))

    found = read_points(tmp_path / "a.points")
    for channel in range(ONE, ONE + 4):
        assert found["step"][found["channel"] == channel].tolist() == list(range(5_000))


class Witness:
    """Look at the record at the instant when its last field is about to be written."""

    def __init__(self, look: Callable[[], bytes]) -> None:
        self._look = look
        self.seen: list[bytes] = []

    def __index__(self) -> int:
        self.seen.append(self._look())
        return ONE


def test_the_channel_is_written_last_so_half_a_record_is_a_hole() -> None:
    # A process killed inside append leaves what this witness sees: all other fields, and no channel.
    buffer = bytearray(RECORD_BYTES)
    witness = Witness(lambda: bytes(buffer))

    struct.Struct("<qqdII").pack_into(buffer, 0, 7, 8, 0.5, SUMMARY, cast("SupportsIndex", witness))

    (seen,) = witness.seen
    assert seen[:28] == struct.pack("<qqdI", 7, 8, 0.5, SUMMARY)
    assert seen[28:] == bytes(4)
    assert len(sort_records(np.frombuffer(seen, dtype=RECORD))) == 0


@pytest.mark.parametrize("written", range(4))
def test_a_channel_whose_last_byte_is_missing_is_a_hole(written: int) -> None:
    whole = struct.pack("<qqdII", 7, 8, 0.5, 0, WRITTEN + 0x010203)
    torn = whole[: 28 + written] + bytes(4 - written)

    assert len(sort_records(np.frombuffer(torn, dtype=RECORD))) == 0
    assert len(sort_records(np.frombuffer(whole, dtype=RECORD))) == 1


def test_a_hole_is_skipped_and_what_follows_it_is_read(tmp_path: Path) -> None:
    points = make_file(tmp_path)

    points.append(ONE, 1.0, 1)
    points.mark()
    points.append(ONE, 2.0, 2)

    assert read_points(tmp_path / "a.points")["step"].tolist() == [1, 2]


def test_a_value_that_is_no_number_is_refused_and_the_next_point_is_kept(tmp_path: Path) -> None:
    points = make_file(tmp_path)

    with pytest.raises(MetricError, match="a metric's value must be a number, found str"):
        points.append(ONE, cast("float", "high"), 1)
    with pytest.raises(MetricError, match=r"a metric's step must be a 64-bit integer, found 1\.5"):
        points.append(ONE, 0.5, cast("int", 1.5))
    with pytest.raises(MetricError, match="a metric's step must be a 64-bit integer"):
        points.append(ONE, 0.5, 2**63)
    points.append(ONE, 0.5, 2)

    assert rows(tmp_path / "a.points") == [(2, 0.5, 0, ONE)]


def test_numpy_numbers_are_numbers(tmp_path: Path) -> None:
    points = make_file(tmp_path)

    points.append(ONE, cast("float", np.float32(0.5)), cast("int", np.int32(3)))

    assert rows(tmp_path / "a.points") == [(3, 0.5, 0, ONE)]


def test_a_closed_file_refuses_points_with_the_reason(tmp_path: Path) -> None:
    points = make_file(tmp_path)
    points.append(ONE, 0.5, 1)

    points.close("the log is closed")

    with pytest.raises(RunClosedError, match="the log is closed"):
        points.append(ONE, 0.5, 2)
    assert rows(tmp_path / "a.points") == [(1, 0.5, 0, ONE)]


def test_a_full_disk_refuses_the_point_and_keeps_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points = make_file(tmp_path)
    for step in range(2048):
        points.append(ONE, 0.5, step)

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", refuse)
        with pytest.raises(StoreWriteError, match="no space is left"):
            points.append(ONE, 0.5, 2048)
    points.append(ONE, 0.5, 2049)

    assert read_points(tmp_path / "a.points")["step"].tolist() == [*range(2048), 2049]


@pytest.mark.parametrize("where", ["in Python", "in the file system"])
def test_without_fallocate_the_blocks_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "not supported")

    if where == "in Python":
        monkeypatch.delattr(os, "posix_fallocate")
    else:
        monkeypatch.setattr(os, "posix_fallocate", refuse)
    write = os.pwrite
    sizes: list[int] = []

    def short(descriptor: int, content: bytes, offset: int) -> int:
        sizes.append(len(content))
        return write(descriptor, content[:40_000], offset)

    monkeypatch.setattr(os, "pwrite", short)
    points = make_file(tmp_path)

    points.append(ONE, 0.5, 1)

    assert sizes == [65_536, 25_536]
    assert rows(tmp_path / "a.points") == [(1, 0.5, 0, ONE)]


def test_a_window_shows_what_lies_between_two_marks(tmp_path: Path) -> None:
    points = make_file(tmp_path)
    points.append(ONE, 0.0, 0)
    first = points.mark()
    points.append(ONE, 1.0, 1)
    points.append(TWO, 2.0, 2)
    end = points.mark()
    points.append(ONE, 3.0, 3)

    assert points.window(first, end)["step"].tolist() == [1, 2]
    assert points.window(end + 1_000_000, end + 2_000_000)["step"].tolist() == []


def make_records(*points: tuple[int, float, int | None]) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    clock = itertools.count(100_000, 1000)
    rows = [(step or 0, next(clock), value, SUMMARY if step is None else 0, channel) for channel, value, step in points]
    return np.array(rows, dtype=RECORD)


def test_sorting_groups_by_channel_and_keeps_the_logged_order() -> None:
    records = make_records((TWO, 0.1, 5), (ONE, 0.2, 9), (TWO, 0.3, 4), (ONE, 0.4, 8), (0, 0.9, 1))

    found = sort_records(records)

    assert [(int(row["channel"]), int(row["step"])) for row in found] == [(ONE, 9), (ONE, 8), (TWO, 5), (TWO, 4)]


def test_channels_far_apart_are_sorted_too() -> None:
    records = make_records((WRITTEN + 200_000, 0.1, 1), (ONE, 0.2, 2))

    assert sort_records(records)["step"].tolist() == [2, 1]


def test_selecting_channels_leaves_the_others_out() -> None:
    records = sort_records(make_records((ONE, 0.1, 1), (TWO, 0.2, 2), (TWO + 1, 0.3, 3)))

    assert select_channels(records, [ONE, TWO + 1, TWO + 5])["step"].tolist() == [1, 3]
    assert select_channels(records, [])["step"].tolist() == []


def test_the_latest_value_is_the_metric_with_or_without_a_step() -> None:
    records = sort_records(make_records((ONE, 0.1, 1), (ONE, 0.2, None), (TWO, 0.3, None), (TWO, 0.4, 2)))

    metrics, series = fold_points(records, {ONE: "loss", TWO: "auc"})

    assert metrics == {"loss": 0.2, "auc": 0.4}
    assert {name: one.steps.tolist() for name, one in series.items()} == {"loss": [1], "auc": [2]}
    assert {name: one.times_us.tolist() for name, one in series.items()} == {"loss": [100], "auc": [103]}


def test_a_metric_without_steps_has_no_series() -> None:
    metrics, series = fold_points(make_records((ONE, 0.1, None)), {ONE: "loss"})

    assert (metrics, series) == ({"loss": 0.1}, {})


def test_every_nan_becomes_the_same_nan() -> None:
    odd = struct.unpack("<d", struct.pack("<Q", 0xFFF8_0000_0000_0001))[0]

    _, series = fold_points(make_records((ONE, odd, 1)), {ONE: "loss"})
    _, usual = fold_points(make_records((ONE, float("nan"), 1)), {ONE: "loss"})

    assert series["loss"].digest == usual["loss"].digest
    assert series["loss"].values.view(np.uint64).tolist() == [0x7FF8_0000_0000_0000]
