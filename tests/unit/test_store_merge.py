"""Merging stores is a union: everything once, as it was recorded, in whatever order, or a refusal before a byte."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytest_mlrun.errors import StoreConflictError, StoreDamagedError, StoreError
from pytest_mlrun.records.run import Artifact, RunEnd, RunRecord, RunStart
from pytest_mlrun.store.files import Steps
from pytest_mlrun.store.locks import try_lock
from pytest_mlrun.store.merge import Merged
from pytest_mlrun.store.store import Store
from pytest_mlrun.store.verify import verify_store
from pytest_mlrun.store.writer import LogWriter

PASSED = RunEnd("finished", "passed", ended_us=9)
MakeStore = Callable[[str], Store]


@pytest.fixture
def make_store(tmp_path: Path) -> MakeStore:
    """Return a function that opens a store of the test's folder."""
    return lambda name: Store.open(tmp_path / name, create=True)


@pytest.fixture
def two(make_store: MakeStore) -> Iterator[tuple[Store, Store]]:
    """Two stores with a run each."""
    mine, theirs = make_store("mine"), make_store("theirs")
    record(mine, 1)
    record(theirs, 2)
    yield mine, theirs
    for store in (mine, theirs):
        assert list(verify_store(store)) == []


def run_id(number: int) -> str:
    return f"01900000-0000-7000-8000-{number:012x}"


def begin(writer: LogWriter, number: int, **changes: str) -> str:
    start = RunStart(run_id(number), "s", "churn", f"run-{number}", "t.py::test", started_us=5)
    writer.start(RunStart(**{name: changes.get(name, getattr(start, name)) for name in RunStart.__slots__}))
    return run_id(number)


def log(writer: LogWriter, run: str, *values: float, name: str = "loss", first: int = 0) -> None:
    channel = writer.channel(run, name)
    for step, value in enumerate(values, start=first):
        writer.append(channel, value, step)


def record(store: Store, number: int, *, values: tuple[float, ...] = (0.5, float("nan"))) -> RunRecord:
    """Record a run that has everything: points, params, an object, tags."""
    writer = store.writer(session_id="s")
    run = begin(writer, number)
    writer.params(run, {"depth": str(number)})
    log(writer, run, *values)
    staged = store.objects.stage_bytes(f"model {number}".encode())
    writer.artifact(run, Artifact("model.bin", staged.digest, staged.size_bytes))
    store.objects.publish(staged)
    record = writer.finish(run, PASSED)
    writer.close()
    return record


def content(store: Store) -> dict[str, tuple[object, ...]]:
    """Everything that a reader can see."""
    reader = store.reader()
    return {
        run.run_id: (
            repr(run),
            {name: repr(reader.series(run.run_id, name).values.tolist()) for name in run.series},
            [reader.read_artifact(run, artifact.name) for artifact in run.artifacts],
            reader.annotations(run.run_id),
        )
        for run in reader.runs()
    }


def picture(store: Store) -> dict[str, tuple[int, int]]:
    """Every file, and when it was written."""
    files = [path for path in store.path.rglob("*") if path.is_file()]
    return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}


def without_locks(files: dict[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
    return {path: facts for path, facts in files.items() if not path.endswith(".lock")}


def split(store: Store, folder: Path, *, values: int, finish: bool, extra: str = "") -> Store:
    """Copy a store whose run is under way, as a synchronised folder is, and let the copy live on differently."""
    writer = store.writer(session_id="s")
    run = begin(writer, 7)
    log(writer, run, 0.1, 0.2)
    shutil.copytree(store.path, folder, ignore=shutil.ignore_patterns("*.lock"))
    log(writer, run, *(0.3 for _ in range(values)), first=2)
    if extra:
        writer.params(run, {extra: "1"})
    if finish:
        writer.finish(run, PASSED)
    writer.seal()
    copy = Store.open(folder)
    copy.recover()
    return copy


def test_a_merge_takes_over_runs_points_objects_and_tags_as_they_are(two: tuple[Store, Store]) -> None:
    mine, theirs = two
    theirs.annotate(run_id(2), tags={"stage": "candidate"}, note="best", who="ada")
    expected = {**content(mine), **content(theirs)}

    merged = mine.merge(theirs)

    assert content(mine) == expected
    assert merged == Merged(added=(run_id(2),), annotations=1, objects=1, object_bytes=7)


def test_the_second_merge_writes_no_file(two: tuple[Store, Store]) -> None:
    mine, theirs = two
    mine.merge(theirs)
    before = picture(mine)

    merged = mine.merge(theirs)

    assert merged == Merged(known=1)
    assert picture(mine) == before


def test_the_other_store_is_only_read(two: tuple[Store, Store]) -> None:
    mine, theirs = two
    before = picture(theirs)

    mine.merge(theirs)

    assert picture(theirs) == before


@pytest.mark.parametrize("finish", [True, False])
@pytest.mark.parametrize("whole_is_mine", [True, False])
def test_a_whole_run_takes_the_place_of_its_orphaned_beginning(
    two: tuple[Store, Store], tmp_path: Path, finish: bool, whole_is_mine: bool
) -> None:
    whole, _ = two
    part = split(whole, tmp_path / "part", values=3, finish=finish)
    expected = content(whole)
    assert [run.status for run in part.reader().runs()] == ["finished", "orphaned"]

    merged = whole.merge(part) if whole_is_mine else part.merge(whole)

    assert merged.superseded == (() if whole_is_mine else (run_id(7),))
    assert content(whole if whole_is_mine else part) == expected
    assert part.merge(whole).superseded == ((run_id(7),) if whole_is_mine else ())
    assert content(part) == content(whole) == expected
    assert list(verify_store(part)) == []


def test_the_other_runs_of_a_segment_stay_when_one_is_superseded(two: tuple[Store, Store], tmp_path: Path) -> None:
    mine, _ = two
    writer = mine.writer(session_id="s")
    neighbour = begin(writer, 8)
    log(writer, neighbour, 0.8, 0.9)
    writer.finish(neighbour, PASSED)
    run = begin(writer, 7)
    log(writer, run, 0.1, 0.2)
    shutil.copytree(mine.path, tmp_path / "copy", ignore=shutil.ignore_patterns("*.lock"))
    writer.finish(run, PASSED)
    writer.close()
    copy = Store.open(tmp_path / "copy")
    copy.recover()
    (segment,) = {path.stem for path in (copy.path / "seg").iterdir()} & {writer.log}

    merged = copy.merge(mine)

    assert (merged.added, merged.superseded, merged.known) == ((), (run_id(7),), 2)
    assert content(copy) == content(mine)
    assert segment not in {path.stem for path in (copy.path / "seg").iterdir()}
    assert list(verify_store(copy)) == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"values": (0.5,)}, "both have ended, with different records"),
        ({"begin": {"test": "other.py::test"}}, "they began differently: test"),
        ({"points": (0.1, 0.9)}, "series 'loss' of the orphaned one is no beginning of the other's"),
        ({"param": "9"}, "a param of the orphaned one is not the other's"),
        ({"tag": "x"}, "the orphaned one has tags that the other lacks"),
    ],
    ids=["both ended", "start", "points", "param", "tag"],
)
def test_a_contradiction_is_refused_and_named_and_nothing_is_written(
    two: tuple[Store, Store], changes: dict[str, object], reason: str
) -> None:
    mine, theirs = two
    number = 7
    if "values" in changes:
        record(mine, number)
        record(theirs, number, values=(0.5,))
    else:
        whole = mine.writer(session_id="s")
        run = begin(whole, number)
        whole.params(run, {"depth": "1"})
        log(whole, run, 0.1, 0.2, 0.3)
        whole.finish(run, PASSED)
        whole.close()
        part = theirs.writer(session_id="s")
        begin(part, number, **changes.get("begin", {}))  # type: ignore[arg-type]
        part.params(run, {"depth": str(changes.get("param", "1"))})
        log(part, run, *changes.get("points", (0.1, 0.2)))  # type: ignore[misc]
        part.tags(run, {"stage": "x"} if "tag" in changes else {})
        part.seal()
    before = without_locks(picture(mine))

    with pytest.raises(StoreConflictError) as refused:
        mine.merge(theirs)
    with pytest.raises(StoreConflictError) as other_way:
        theirs.merge(mine)

    assert refused.value.details == other_way.value.details == (f"run 00000007  run-7: {reason}",)
    assert refused.value.headline == "nothing was taken over: 1 run contradicts what is here"
    assert refused.value.exit_code == 1
    assert without_locks(picture(mine)) == before


def test_a_run_under_way_is_left_out_and_named(two: tuple[Store, Store]) -> None:
    mine, theirs = two
    writer = theirs.writer(session_id="s")
    done, going = begin(writer, 8), begin(writer, 9)
    log(writer, done, 0.25)
    log(writer, going, 0.75)
    writer.finish(done, PASSED)

    merged = mine.merge(theirs)

    assert (merged.added, merged.under_way) == ((run_id(2), done), (going,))
    assert mine.reader().series(done, "loss").values.tolist() == [0.25]
    writer.seal()
    assert mine.merge(theirs).added == (going,)


def test_a_run_that_has_not_ended_here_is_left_alone(two: tuple[Store, Store], tmp_path: Path) -> None:
    mine, _ = two
    writer = mine.writer(session_id="s")
    run = begin(writer, 7)
    log(writer, run, 0.1)
    shutil.copytree(mine.path, tmp_path / "copy", ignore=shutil.ignore_patterns("*.lock"))
    copy = Store.open(tmp_path / "copy")
    copy.recover()

    merged = mine.merge(copy)

    assert merged == Merged(known=1, busy=(run,))
    writer.finish(run, PASSED)
    writer.close()
    assert mine.merge(copy) == Merged(known=2)
    assert [run.status for run in mine.reader().runs()] == ["finished", "finished"]


def test_what_is_damaged_there_stays_there_and_is_named(make_store: MakeStore) -> None:
    mine, theirs = make_store("mine"), make_store("theirs")
    for number in (1, 2, 3):
        record(theirs, number)
    first, second, _ = theirs.reader().runs()
    broken = theirs.objects.path(first.artifacts[0].digest)
    broken.chmod(0o644)
    broken.write_bytes(b"MODEL 1")
    (points,) = [path for path in (theirs.path / "pts").iterdir() if second.series["loss"] and holds(path, second)]
    points.write_bytes(points.read_bytes()[:200])

    merged = mine.merge(theirs)

    assert {(lost.run_id, lost.reason) for lost in merged.lost} == {
        (run_id(1), "its artifact 'model.bin' cannot be read"),
        (run_id(2), "the points of 'loss' cannot be read"),
    }
    assert merged.added == (run_id(3),)
    assert list(verify_store(mine)) == []
    broken.write_bytes(b"model 1")
    assert mine.merge(theirs).added == (run_id(1),)


def holds(path: Path, run: RunRecord) -> bool:
    from pytest_mlrun.store.series import read_one_series

    return read_one_series(path, run.run_id, "loss") is not None


def test_an_object_that_was_lost_here_comes_back_from_a_copy(two: tuple[Store, Store], tmp_path: Path) -> None:
    mine, _ = two
    shutil.copytree(mine.path, tmp_path / "copy")
    (run,) = mine.reader().runs()
    mine.objects.path(run.artifacts[0].digest).unlink()

    merged = mine.merge(Store.open(tmp_path / "copy"))

    assert merged == Merged(known=1, objects=1, object_bytes=7)
    assert mine.reader().read_artifact(run, "model.bin") == b"model 1"


def test_a_store_of_which_a_segment_cannot_be_read_takes_nothing_over(make_store: MakeStore, tmp_path: Path) -> None:
    mine = make_store("mine")
    record(mine, 1)
    shutil.copytree(mine.path, tmp_path / "copy")
    (segment,) = (mine.path / "seg").iterdir()
    whole = segment.read_bytes()
    segment.write_bytes(whole.replace(b"run-1", b"run-2"))
    before = without_locks(picture(mine))

    with pytest.raises(StoreDamagedError, match="nothing was taken over: a run that seems to be missing may be in a"):
        mine.merge(Store.open(tmp_path / "copy"))

    assert without_locks(picture(mine)) == before
    segment.write_bytes(whole)
    assert mine.merge(Store.open(tmp_path / "copy")) == Merged(known=1)


def test_a_run_that_is_damaged_here_is_not_there_twice_when_it_is_mended(make_store: MakeStore) -> None:
    mine, theirs = make_store("mine"), make_store("theirs")
    writer = mine.writer(session_id="s")
    for number in (1, 2):
        run = begin(writer, number)
        writer.tags(run, {"stage": f"good-{number}"})
        writer.finish(run, PASSED)
    writer._shut()
    shutil.copytree(mine.path / "live", theirs.path / "live", dirs_exist_ok=True)
    writer._file_lock.release()
    theirs.recover()
    (log,) = (mine.path / "live").glob("*.arrows")
    log.write_bytes(log.read_bytes().replace(b"good-1", b"evil-1"))
    mine.recover()

    merged = mine.merge(theirs)

    reason = "here it is not what was recorded; see: pytest-mlrun verify"
    assert [(lost.run_id, lost.reason) for lost in merged.lost] == [(run_id(1), reason)]
    assert ([run.run_id for run in mine.reader().runs()], merged.known) == ([run_id(2)], 1)


@pytest.mark.parametrize("where", ["mine", "theirs"])
def test_an_object_that_a_killed_collection_took_aside_counts_as_there(make_store: MakeStore, where: str) -> None:
    mine, theirs = make_store("mine"), make_store("theirs")
    run = record(theirs, 1)
    there = theirs.objects.path(run.artifacts[0].digest)
    aside = {"mine": mine, "theirs": theirs}[where].objects.path_aside(run.artifacts[0].digest)
    aside.parent.mkdir()
    there.rename(aside)

    merged = mine.merge(theirs)

    assert (merged.added, merged.lost) == ((run.run_id,), ())
    assert mine.reader().read_artifact(run, "model.bin") == b"model 1"


def test_many_small_segments_become_few(make_store: MakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_mlrun.store.merge_source._MOST_FILES", 6)
    mine, theirs = make_store("mine"), make_store("theirs")
    for number in range(9):
        writer = theirs.writer(session_id="s")
        run = begin(writer, number)
        log(writer, run, number / 7)
        writer.finish(run, PASSED)
        writer.close()

    merged = mine.merge(theirs)

    assert (len(merged.added), len(list((mine.path / "seg").iterdir()))) == (9, 2)
    assert content(mine) == content(theirs)


def test_a_store_is_not_merged_with_itself(two: tuple[Store, Store]) -> None:
    mine, _ = two

    with pytest.raises(StoreError, match="a store cannot be merged with itself"):
        mine.merge(Store.open(mine.path / ".." / "mine"))


def bury(store: Store, digest: str, rule: str, *, time_us: int = 1, number: int = 1) -> Path:
    """Collect an object, or say that it came back."""
    store.objects.path(digest).unlink(missing_ok=True)
    path = store.path / "tombstones" / f"01900000-0000-7000-8000-{number:012x}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"time_us": time_us, "objects": {digest: rule}}))
    return path


def test_a_run_comes_with_the_tombstones_of_what_was_collected(make_store: MakeStore) -> None:
    mine, theirs = make_store("mine"), make_store("theirs")
    tombstone = bury(theirs, record(theirs, 1).artifacts[0].digest, "exploratory_days = 90")
    bury(theirs, "sha256:" + "0" * 64, "exploratory_days = 90", number=2)

    merged = mine.merge(theirs)

    assert (merged.added, merged.lost, merged.objects) == ((run_id(1),), (), 0)
    assert [path.name for path in (mine.path / "tombstones").iterdir()] == [tombstone.name]
    assert (mine.path / "tombstones" / tombstone.name).read_bytes() == tombstone.read_bytes()
    before = picture(mine)
    mine.merge(theirs)
    assert picture(mine) == before


def test_an_object_that_came_back_and_is_missing_was_not_collected(make_store: MakeStore) -> None:
    mine, theirs = make_store("mine"), make_store("theirs")
    digest = record(theirs, 1).artifacts[0].digest
    bury(theirs, digest, "exploratory_days = 90", time_us=1, number=2)
    bury(theirs, digest, "restored", time_us=2, number=1)

    merged = mine.merge(theirs)

    assert [lost.reason for lost in merged.lost] == ["its artifact 'model.bin' cannot be read"]


def test_what_was_collected_here_comes_back_only_with_a_run_that_wants_it(
    make_store: MakeStore, tmp_path: Path
) -> None:
    mine = make_store("mine")
    digest = record(mine, 1).artifacts[0].digest
    shutil.copytree(mine.path, tmp_path / "theirs")
    theirs = Store.open(tmp_path / "theirs")
    bury(mine, digest, "exploratory_days = 90")

    assert mine.merge(theirs) == Merged(known=1)
    writer = theirs.writer(session_id="s")
    run = begin(writer, 2)
    writer.artifact(run, Artifact("model.bin", digest, 7))
    writer.finish(run, PASSED)
    writer.close()
    assert mine.merge(theirs) == Merged(added=(run_id(2),), known=1, objects=1, object_bytes=7)


def test_the_files_of_a_kept_snapshot_come_with_its_listing(make_store: MakeStore) -> None:
    mine, theirs = make_store("mine"), make_store("theirs")
    file, _ = theirs.objects.put_bytes(b"rows")
    listing = json.dumps({"files": [["a.csv", 4, file.removeprefix("sha256:")]]}).encode()
    digest, size_bytes = theirs.objects.put_bytes(listing)
    writer = theirs.writer(session_id="s")
    run = begin(writer, 1)
    writer.artifact(run, Artifact("data/a.json", digest, size_bytes, role="snapshot"))
    writer.finish(run, PASSED)
    writer.close()

    mine.merge(theirs)

    assert mine.objects.read(file) == b"rows"
    theirs.objects.path(file).unlink()
    further = make_store("further")
    assert [lost.reason for lost in further.merge(theirs).lost] == ["its artifact 'data/a.json' cannot be read"]


class At(Steps):
    """Do something when a step is reached."""

    def __init__(self, step: str, act: Callable[[], object]) -> None:
        self._step, self._act = step, act

    def reach(self, step: str) -> None:
        if step == self._step:
            self._act()


def test_neither_a_collection_nor_a_compaction_nor_another_merge_runs_beside_a_merge(two: tuple[Store, Store]) -> None:
    mine, theirs = two
    found: list[object] = []
    names = ("gc.lock", "compact.lock")
    steps = At("merge.object", lambda: found.extend(try_lock(mine.path / name) for name in names))

    Store.open(mine.path, steps=steps).merge(theirs)

    assert found == [None, None]
    for name in names:
        lock = try_lock(mine.path / name)
        assert lock is not None
        lock.release()


def test_a_store_that_is_compacted_while_it_is_read_asks_to_merge_again(two: tuple[Store, Store]) -> None:
    mine, theirs = two

    def compact() -> None:
        for path in [*(theirs.path / "seg").iterdir(), *(theirs.path / "pts").iterdir()]:
            shutil.move(path, theirs.path / f"away-{path.parent.name}-{path.name}")

    with pytest.raises(StoreError, match="a store was compacted while it was read"):
        Store.open(mine.path, steps=At("merge.locked", compact)).merge(theirs)

    assert [run.run_id for run in mine.reader().runs()] == [run_id(1)]
    for path in theirs.path.glob("away-*"):
        _, folder, name = path.name.split("-", 2)
        shutil.move(path, theirs.path / folder / name)
    assert mine.merge(theirs).added == (run_id(2),)
