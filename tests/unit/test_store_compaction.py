"""Compaction rewrites what is small, whole and known, removes what it replaced, and leaves everything else alone."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from pytest_mlrun.errors import StoreWriteError
from pytest_mlrun.records.identity import new_id
from pytest_mlrun.records.run import RunEnd, RunRecord, RunStart
from pytest_mlrun.store.checksum import stamp, with_blank
from pytest_mlrun.store.digest import compute_run_digest
from pytest_mlrun.store.files import Steps
from pytest_mlrun.store.layout import LogFiles, list_segments, list_series
from pytest_mlrun.store.locks import try_lock
from pytest_mlrun.store.seal import seal_log
from pytest_mlrun.store.segment import open_segment, write_segment
from pytest_mlrun.store.store import Store
from pytest_mlrun.store.tiers import MOST_BYTES, Sized, choose_all, choose_brief
from pytest_mlrun.store.verify import verify_store

WriteRuns = Callable[..., Path]
MakeRun = Callable[..., RunRecord]

MB = 1024**2


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of ten runs with a series each, sealed one by one."""
    path = tmp_path_factory.mktemp("template") / "store"
    for at in range(10):
        writer = Store.open(path, create=True).writer(session_id="s")
        run_id = f"01800000-0000-7000-8000-{at:012x}"
        writer.start(RunStart(run_id, "s", "churn", f"run-{at}", "t", params={"depth": str(at)}, started_us=at + 1))
        for step, value in enumerate([at, 0.5]):
            writer.append(writer.channel(run_id, "loss"), value, step)
        writer.finish_and_seal(run_id, RunEnd("finished", "passed"))
    return path


@pytest.fixture
def store(template: Path, tmp_path: Path) -> Store:
    return Store.open(Path(shutil.copytree(template, tmp_path / ".pytest_mlrun")))


def table_of(store: Store) -> list[tuple[str, str, list[float]]]:
    reader = store.reader()
    return [(run.run_id, run.digest, reader.series(run.run_id, "loss").values.tolist()) for run in reader.runs()]


def test_ten_small_segments_become_one_and_every_run_stays_as_it_was(store: Store) -> None:
    before, reader = table_of(store), store.reader()
    reader.runs()

    done = store.compact()

    assert done is not None
    assert (done.before.segments, done.before.series_files) == (10, 10)
    assert (done.after.segments, done.after.series_files, done.rewritten) == (1, 1, 10)
    assert done.after.size_bytes < done.before.size_bytes / 4
    assert table_of(store) == before
    assert [run.run_id for run in reader.runs()] == [run_id for run_id, *_ in before]
    assert list(verify_store(store)) == []
    assert sorted(path.name for path in (store.path / "tmp").iterdir()) == []


def test_compacting_again_changes_nothing(store: Store) -> None:
    first = store.compact()
    names = list_segments(store.path)

    second = store.compact()

    assert first is not None
    assert second is not None
    assert (second.before, second.after, second.rewritten) == (first.after, first.after, 0)
    assert list_segments(store.path) == names


def test_who_does_not_get_the_lock_leaves(store: Store) -> None:
    held = try_lock(store.path / "compact.lock")
    assert held is not None

    assert store.compact() is None

    held.release()
    assert len(list_segments(store.path)) == 10


def test_at_the_end_of_a_session_fewer_than_eight_segments_of_a_size_are_left_alone(
    make_run: MakeRun, write_runs: WriteRuns
) -> None:
    store = Store.open({write_runs([make_run()]) for _ in range(7)}.pop())

    seven = store.compact(brief=True)
    write_runs([make_run()])
    eight = store.compact(brief=True)

    assert seven is not None
    assert eight is not None
    assert (seven.rewritten, eight.rewritten, eight.after.segments) == (0, 8, 1)


def test_a_reader_that_looked_before_a_compaction_still_finds_the_points(store: Store) -> None:
    reader = store.reader()
    view = reader._viewer.look()
    looks = iter([view])
    look = reader._viewer.look
    reader._viewer.look = lambda: next(looks, None) or look()  # type: ignore[method-assign]
    run = store.reader().runs()[3]
    store.compact()

    assert reader.series(run.run_id, "loss").values.tolist() == [3.0, 0.5]


def test_verifying_while_a_compaction_runs_finds_nothing_wrong(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from pytest_mlrun.store import verify

    runs = verify._verify_columns
    compacted: list[object] = []

    def compact_first(*arguments: object) -> object:
        if not compacted:
            compacted.append(store.compact())
        return runs(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(verify, "_verify_columns", compact_first)

    assert verify_store(store) == []
    assert compacted != []


class Interfering(Steps):
    """Do something when a step is reached."""

    def __init__(self, step: str, action: Callable[[], object]) -> None:
        self.step = step
        self.action = action
        self.done: list[object] = []

    def reach(self, step: str) -> None:
        if step == self.step and not self.done:
            self.done.append(self.action())


@pytest.mark.parametrize("step", ["install.seg.before-rename", "install.seg.after-rename", "compact.removed-segment"])
def test_readers_see_every_run_once_at_every_step(store: Store, step: str) -> None:
    before = table_of(store)
    steps = Interfering(step, lambda: table_of(store))

    Store.open(store.path, steps=steps).compact()

    assert steps.done == [before]


def test_a_log_sealed_while_a_compaction_runs_is_neither_lost_nor_doubled(
    store: Store, make_run: MakeRun, write_runs: WriteRuns
) -> None:
    late = make_run("late")
    steps = Interfering("compact.begin", lambda: write_runs([late]))

    Store.open(store.path, steps=steps).compact()

    assert [run.name for run in store.reader().runs()] == [*(f"run-{at}" for at in range(10)), "late"]
    assert len(list_segments(store.path)) == 2


class StopError(Exception):
    """Stands for the death of a process."""


class Stopping(Steps):
    def reach(self, step: str) -> None:
        if step == "install.seg.after-rename":
            raise StopError


def leave_sealed_log(store: Store, run: RunRecord) -> LogFiles:
    """Leave the log of a process that published its segment and died before it could remove the log."""
    writer = Store.open(store.path, steps=Stopping()).writer(session_id="s")
    writer.start(RunStart(**{name: getattr(run, name) for name in RunStart.__slots__}))
    writer.append(writer.channel(run.run_id, "loss"), 0.5, 1)
    writer.finish(run.run_id, RunEnd("finished", "passed"))
    with pytest.raises(StopError):
        writer.seal()
    return LogFiles(store.path, writer.log)


def test_a_log_that_is_sealed_again_after_two_compactions_is_not_there_twice(
    store: Store, make_run: MakeRun, write_runs: WriteRuns
) -> None:
    files = leave_sealed_log(store, make_run("twice"))
    store.compact()
    write_runs([make_run("later")])
    store.compact()

    # A recovery that had looked before both: it holds the log's lock, and goes by an old answer.
    seal_log(files, steps=Steps())

    assert files.segment.exists()
    assert [run.name for run in store.reader().runs()] == [*(f"run-{at}" for at in range(10)), "twice", "later"]
    store.compact()
    assert (files.segment.exists(), files.series.exists(), len(list_segments(store.path))) == (False, False, 1)
    assert len(store.reader().runs()) == 12


def rewrite_schema(path: Path, change: Callable[[pa.Table], pa.Table]) -> bytes:
    """Write a segment as another version would."""
    segment = open_segment(path)
    table = change(pa.Table.from_batches(segment.batches))
    schema = with_blank(table.schema)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        writer.write_table(table)
    stamp(path, schema)
    return path.read_bytes()


def add_column(table: pa.Table) -> pa.Table:
    return table.append_column("mood", pa.array(["fine"] * len(table)))


def raise_version(table: pa.Table) -> pa.Table:
    facts = json.loads(table.schema.metadata[b"mlrun"])
    return table.replace_schema_metadata({b"mlrun": json.dumps({**facts, "v": 2}).encode()})


@pytest.mark.parametrize("change", [add_column, raise_version])
def test_a_segment_of_a_later_version_is_left_as_it_is(
    store: Store, change: Callable[[pa.Table], pa.Table], make_run: MakeRun
) -> None:
    path = store.path / "seg" / f"{list_segments(store.path)[4]}.arrow"
    content = rewrite_schema(path, change)
    before = table_of(store)

    done = store.compact()

    assert done is not None
    assert (done.rewritten, done.after.segments, done.quarantined) == (9, 2, ())
    assert path.read_bytes() == content
    assert store.quarantine() == ()
    assert table_of(store) == before


def test_series_and_leftovers_of_nobody_are_removed_and_those_of_a_living_log_stay(store: Store) -> None:
    orphan, living = "01900000-0000-7000-8000-00000000aaaa", store.writer(session_id="s")
    source = store.path / "pts" / f"{list_series(store.path)[0]}.arrow"
    for name in (orphan, living.log):
        shutil.copy(source, store.path / "pts" / f"{name}.arrow")
        (store.path / "tmp" / f"{name}.seg").write_bytes(b"half a segment")
    (store.path / "tmp" / "compact.pts").write_bytes(b"half a series file")

    store.compact()

    assert set(list_series(store.path)) == {living.log, list_segments(store.path)[0]}
    assert [path.name for path in (store.path / "tmp").iterdir()] == [f"{living.log}.seg"]
    living.close()


def test_nothing_of_a_store_with_a_damaged_segment_is_taken_for_garbage(store: Store) -> None:
    orphan = store.path / "pts" / "01900000-0000-7000-8000-00000000aaaa.arrow"
    shutil.copy(store.path / "pts" / f"{list_series(store.path)[0]}.arrow", orphan)
    damaged = store.path / "seg" / f"{list_segments(store.path)[0]}.arrow"
    damaged.write_bytes(damaged.read_bytes()[:-5])

    store.compact(brief=True)

    assert orphan.exists()


class Refusing(Steps):
    """Refuse a write as a full disk does."""

    def __init__(self, step: str) -> None:
        self.step = step

    def reach(self, step: str) -> None:
        if step == self.step:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("step", ["install.pts.before-rename", "install.seg.before-rename"])
def test_a_disk_that_is_full_loses_nothing_and_says_so_in_one_sentence(store: Store, step: str) -> None:
    before = table_of(store)

    with pytest.raises(StoreWriteError) as refused:
        Store.open(store.path, steps=Refusing(step)).compact()

    assert refused.value.headline == "the run store cannot be written: no space is left"
    assert refused.value.next_step == "free some space; what was recorded before stays readable"
    assert table_of(store) == before
    assert list(verify_store(store)) == []
    assert list((store.path / "tmp").iterdir()) == []
    assert store.compact() is not None
    assert (table_of(store), len(list_series(store.path))) == (before, 1)


LIMITED = """
import resource, sys
from pathlib import Path
from pytest_mlrun.errors import MlrunError
from pytest_mlrun.store.store import Store
what, limit, path = sys.argv[1:]
store = Store.open(Path(path))
kind = {"files": resource.RLIMIT_NOFILE, "bytes": resource.RLIMIT_FSIZE}[what]
resource.setrlimit(kind, (int(limit), int(limit)))
print(len(store.reader().runs()))
try:
    print(store.compact().after.segments)
except MlrunError as error:
    print(error.headline)
print(len(store.reader().runs()), "pandas" in sys.modules)
"""


def run_limited(store: Store, what: str, limit: int) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, what, str(limit), str(store.path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.splitlines()


def test_a_file_size_limit_stops_a_compaction_and_nothing_else(store: Store) -> None:
    message = "the run store cannot be written: the file-size limit is reached"

    assert run_limited(store, "bytes", 4096) == ["10", message, "10 False"]
    assert list((store.path / "tmp").iterdir()) == []
    assert len(list_segments(store.path)) == 10


def test_more_segments_than_a_process_may_open_files_are_read_and_compacted(store: Store, make_run: MakeRun) -> None:
    for _ in range(60):
        name = new_id()
        run = make_run()
        record = replace(run, digest=compute_run_digest(run))
        write_segment(store.path / "seg" / f"{name}.arrow", [record], replaces=(f"log:{name}",), series=())

    assert run_limited(store, "files", 40) == ["70", "1", "70 False"]


def sized(*sizes: int) -> list[Sized]:
    return [Sized(f"{at:03}", size) for at, size in enumerate(sizes)]


def group_sizes(groups: Sequence[tuple[str, ...]]) -> list[int]:
    return [len(group) for group in groups]


def test_what_a_person_asks_for_leaves_as_few_segments_as_can_be_and_none_above_the_limit() -> None:
    groups = choose_all(sized(100 * MB, MOST_BYTES, 100 * MB, 100 * MB, 50 * MB, 1))

    assert groups == [("000", "002"), ("003", "004", "005")]


def test_at_the_end_of_a_session_only_eight_of_one_size_are_due() -> None:
    assert group_sizes(choose_brief(sized(*[10_000] * 7, *[100_000] * 7))) == []
    assert group_sizes(choose_brief(sized(*[10_000] * 9, *[100_000] * 8))) == [9, 8]


def test_the_end_of_a_session_does_not_wait_for_more_than_a_second_of_work() -> None:
    assert group_sizes(choose_brief(sized(*[10_000] * 5000))) == [1024]
    assert group_sizes(choose_brief(sized(*[20 * MB] * 9))) == []
    assert group_sizes(choose_brief(sized(*[7 * MB] * 20))) == [9]
    assert group_sizes(choose_brief(sized(*[MOST_BYTES] * 20))) == []
