"""A damaged file is put aside, what it costs is named, and everything else in it is still read."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pytest

from pytest_mlrun.errors import StoreDamagedError, StoreWriteError
from pytest_mlrun.records.run import RunEnd, RunStart
from pytest_mlrun.store.checksum import stamp, with_blank
from pytest_mlrun.store.files import Steps
from pytest_mlrun.store.layout import list_segments, list_series
from pytest_mlrun.store.seal import seal_log
from pytest_mlrun.store.segment import open_segment
from pytest_mlrun.store.store import Store
from pytest_mlrun.store.verify import verify_store

Damage = Callable[[bytearray], None]


def run_id(number: int) -> str:
    return f"01800000-0000-7000-8000-{number:012x}"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of two segments: runs 0 to 2 in one, 3 to 5 in the other, each with two series."""
    path = tmp_path_factory.mktemp("template") / "store"
    for first in (0, 3):
        writer = Store.open(path, create=True).writer(session_id="s")
        for number in range(first, first + 3):
            writer.start(RunStart(run_id(number), "s", "churn", f"run-{number}", "t", started_us=number + 1))
            for name in ("acc", "loss"):
                channel = writer.channel(run_id(number), name)
                for step in range(30_000 if name == "acc" else 3):
                    writer.append(channel, number + step / 7, step)
            writer.finish(run_id(number), RunEnd("finished", "passed"))
        writer.close()
    return path


@pytest.fixture
def store(template: Path, tmp_path: Path) -> Store:
    return Store.open(Path(shutil.copytree(template, tmp_path / "store")))


def first_segment(store: Store) -> Path:
    return store.path / "seg" / f"{list_segments(store.path)[0]}.arrow"


def first_series(store: Store) -> Path:
    return store.path / "pts" / f"{list_series(store.path)[0]}.arrow"


def damage(path: Path, change: Damage) -> None:
    content = bytearray(path.read_bytes())
    change(content)
    path.unlink()  # hard links and mapped readers keep the old bytes
    path.write_bytes(content)


def flip_name_of_run_1(content: bytearray) -> None:
    content[content.rindex(b"run-1")] ^= 1


def flip_magic(content: bytearray) -> None:
    content[-1] ^= 1


def flip_middle(content: bytearray) -> None:
    content[len(content) // 2] ^= 1


def names_of(store: Store) -> list[str]:
    return [run.name for run in store.reader().runs()]


def test_a_damaged_segment_is_put_aside_and_its_other_runs_are_still_read(store: Store) -> None:
    path, aside = first_segment(store), store.path / "damaged" / "seg" / first_segment(store).name
    damage(path, flip_name_of_run_1)
    content, before = path.read_bytes(), names_of(store)

    found = store.quarantine()

    assert [(file.path, file.was, file.run_ids) for file in found] == [(str(aside), str(path), (run_id(1),))]
    assert aside.read_bytes() == content
    assert names_of(store) == before == ["run-0", "run-2", "run-3", "run-4", "run-5"]
    assert store.reader().series(run_id(2), "loss").values.tolist() == [2 + step / 7 for step in range(3)]
    assert [(one.kind, one.path, one.run_ids) for one in verify_store(store)] == [("segment", str(aside), (run_id(1),))]
    assert store.reader().damaged() == (str(aside),)
    with pytest.raises(StoreDamagedError, match="is not what was recorded"):
        store.reader().find(run_id(1))
    assert store.quarantine() == ()


def test_a_whole_file_put_back_brings_the_lost_runs_back(store: Store, template: Path) -> None:
    path = first_segment(store)
    damage(path, flip_name_of_run_1)
    store.quarantine()
    store.compact()

    shutil.copy(template / "seg" / path.name, path)
    shutil.rmtree(store.path / "damaged")

    assert names_of(store) == [f"run-{number}" for number in range(6)]
    assert verify_store(store) == []
    done = store.compact()
    assert done is not None
    assert (done.after.segments, names_of(store)) == (1, [f"run-{number}" for number in range(6)])


def test_the_runs_of_a_segment_that_cannot_be_opened_are_named_by_their_series(store: Store) -> None:
    path = first_segment(store)
    damage(path, flip_magic)

    (found,) = store.quarantine()
    store.compact()

    assert found.run_ids == (run_id(0), run_id(1), run_id(2))
    assert not path.exists()
    assert (store.path / "pts" / path.name).exists()  # whole, and of use to who puts the segment back
    assert names_of(store) == ["run-3", "run-4", "run-5"]


def read_points(store: Store) -> dict[tuple[str, str], list[float]]:
    found: dict[tuple[str, str], list[float]] = {}
    for run in store.reader().runs():
        for name in ("acc", "loss"):
            with suppress(StoreDamagedError):
                found[run.run_id, name] = store.reader().series(run.run_id, name).values.tolist()
    return found


def test_of_a_damaged_series_file_every_series_whose_digest_holds_is_still_read(store: Store) -> None:
    whole = read_points(store)
    path = first_series(store)
    damage(path, flip_middle)
    readable = read_points(store)

    (found,) = store.quarantine()

    lost = {run for run, _ in whole.keys() - readable.keys()}
    assert (found.was, set(found.run_ids)) == (str(path), lost)
    assert 0 < len(lost) < 3
    assert read_points(store) == readable
    assert readable == {key: whole[key] for key in readable}
    assert {run for one in verify_store(store) for run in one.run_ids} == lost
    assert store.quarantine() == ()


def test_a_series_file_of_which_nothing_holds_leaves_the_runs(store: Store) -> None:
    path = first_series(store)
    damage(path, flip_magic)

    (found,) = store.quarantine()

    assert found.run_ids == (run_id(0), run_id(1), run_id(2))
    assert not path.exists()
    assert len(names_of(store)) == 6
    assert [one.kind for one in verify_store(store)] == ["series"] * 7


def test_a_compaction_that_meets_damage_puts_it_aside_and_copies_none_of_it(store: Store) -> None:
    path = first_segment(store)
    damage(path, flip_name_of_run_1)

    done = store.compact()

    assert done is not None
    assert [file.run_ids for file in done.quarantined] == [(run_id(1),)]
    assert (done.rewritten, path.exists()) == (0, True)
    assert names_of(store) == ["run-0", "run-2", "run-3", "run-4", "run-5"]


def test_a_second_damage_to_the_same_file_is_put_beside_the_first(store: Store) -> None:
    path = first_segment(store)
    damage(path, flip_name_of_run_1)
    store.quarantine()
    damage(path, lambda content: content.__setitem__(content.rindex(b"run-2"), 0x53))

    (found,) = store.quarantine()

    assert (Path(found.path).name, found.run_ids) == (f"{path.stem}.2.arrow", (run_id(1), run_id(2)))
    assert names_of(store) == ["run-0", "run-3", "run-4", "run-5"]


class DyingError(Exception):
    """Stands for the death of a process."""


class Dying(Steps):
    def __init__(self, step: str) -> None:
        self.step = step

    def reach(self, step: str) -> None:
        if step == self.step:
            raise DyingError


def test_damage_to_a_segment_whose_sources_are_still_there_costs_nothing(store: Store) -> None:
    with pytest.raises(DyingError):
        Store.open(store.path, steps=Dying("install.seg.after-rename")).compact()
    path = store.path / "seg" / f"{list_segments(store.path)[-1]}.arrow"
    damage(path, flip_name_of_run_1)
    assert len(list_segments(store.path)) == 3
    store.compact()
    assert len(list_segments(store.path)) == 3

    (found,) = store.quarantine()

    assert found.run_ids == ()
    assert names_of(store) == [f"run-{number}" for number in range(6)]
    store.compact()
    assert names_of(store) == [f"run-{number}" for number in range(6)]
    assert store.reader().series(run_id(1), "loss").values.tolist() == [1 + step / 7 for step in range(3)]


def test_a_damaged_segment_whose_log_is_still_there_is_left_to_recovery(store: Store) -> None:
    writer = Store.open(store.path, steps=Dying("install.seg.after-rename")).writer(session_id="s")
    writer.start(RunStart(run_id(6), "s", "churn", "run-6", "t", started_us=9))
    writer.finish(run_id(6), RunEnd("finished", "passed"))
    with pytest.raises(DyingError):
        writer.seal()
    damage(writer._files.segment, flip_magic)

    found = store.quarantine()
    seal_log(writer._files, steps=Steps())

    assert found == ()
    assert names_of(store) == [f"run-{number}" for number in range(7)]
    assert verify_store(store) == []


class Full(Steps):
    """A disk that is full when a step is reached for the n-th time."""

    def __init__(self, step: str, left: int) -> None:
        self.step = step
        self.left = left

    def reach(self, step: str) -> None:
        self.left -= step == self.step
        if step == self.step and self.left == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("write", [1, 2])
def test_on_a_full_disk_a_damaged_store_stays_as_readable_as_it_was(store: Store, write: int) -> None:
    damage(first_segment(store), flip_name_of_run_1)
    before = names_of(store)

    with pytest.raises(StoreWriteError, match="no space is left"):
        Store.open(store.path, steps=Full("install.seg.before-rename", write)).quarantine()

    assert names_of(store) == before
    assert [file.run_ids for file in store.quarantine()] == [(run_id(1),)]
    assert names_of(store) == before


def test_a_damaged_segment_of_a_later_version_is_left_to_that_version(store: Store) -> None:
    path = first_segment(store)
    table = pa.Table.from_batches(open_segment(path).batches)
    facts = json.loads(table.schema.metadata[b"mlrun"])
    schema = with_blank(table.schema.with_metadata({b"mlrun": json.dumps({**facts, "v": 2}).encode()}))
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        writer.write_table(table)
    stamp(path, schema)
    damage(path, flip_name_of_run_1)
    content = path.read_bytes()

    assert store.quarantine() == ()
    assert path.read_bytes() == content
