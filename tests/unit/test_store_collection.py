"""Collection deletes what nobody wants, keeps what somebody does, and stops where it cannot know."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

import pytest

from pytest_mlrun.errors import ArtifactError, StoreDamagedError, StoreError, StoreFormatError
from pytest_mlrun.records.identity import now_us
from pytest_mlrun.records.retention import Fate, Fates
from pytest_mlrun.records.run import Artifact, RunEnd, RunRecord, RunStart
from pytest_mlrun.store.collection import ABANDONED, UNREFERENCED, Account, collect
from pytest_mlrun.store.files import Steps
from pytest_mlrun.store.locks import hold
from pytest_mlrun.store.objects import Objects
from pytest_mlrun.store.store import Store
from pytest_mlrun.store.tombstones import Graveyard
from pytest_mlrun.store.verify import count_collected, verify_store
from pytest_mlrun.store.writer import LogWriter

KEPT, EXPIRED, LIVE = Fate("kept", kept=True), Fate("expired", kept=False), Fate("live", kept=True)
ENDED = RunEnd("finished", "passed")


def decide(runs: Sequence[RunRecord], live: AbstractSet[str]) -> Fates:
    """Keep runs whose name says so, and those under way."""
    fates = {run.run_id: LIVE if run.run_id in live else KEPT if "keep" in run.name else EXPIRED for run in runs}
    return Fates(dict(sorted(fates.items(), key=lambda entry: not entry[1].kept)))


def id_of(number: int) -> str:
    return f"01920000-0000-7000-8000-{number:012x}"


class Logged:
    """A store, and a way to put runs with artifacts into it."""

    def __init__(self, folder: Path) -> None:
        self.store = Store.open(folder / "store", create=True)
        self.numbers = iter(range(1, 1 << 20))

    @property
    def objects(self) -> Objects:
        return Objects(self.store.path)

    def add(self, name: str, *contents: bytes, role: str = "artifact") -> RunRecord:
        writer = self.store.writer(session_id="s")
        run_id = self.start(writer, name, *contents, role=role)
        record = writer.finish(run_id, ENDED)
        writer.close()
        return record

    def start(self, writer: LogWriter, name: str, *contents: bytes, role: str = "artifact") -> str:
        run_id = id_of(next(self.numbers))
        writer.start(RunStart(run_id, "s", "e", name, "t"))
        for number, content in enumerate(contents):
            staged = self.objects.stage_bytes(content)
            writer.artifact(run_id, Artifact(f"file-{number}", staged.digest, staged.size_bytes, role=role))
            self.objects.publish(staged)
        return run_id

    def collect(self, *, delete: bool = True, steps: Steps | None = None, at_us: int = 0) -> Account:
        return collect(self.store.path, decide, who="ada@laptop", now_us=at_us or now_us(), delete=delete, steps=steps)

    def contents(self) -> set[bytes]:
        return {self.objects.read(digest) for digest in self.objects}

    def aside(self) -> list[str]:
        folder = self.store.path / "trash"
        return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.fixture
def logged(tmp_path: Path) -> Logged:
    return Logged(tmp_path)


def files_of(store: Store) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in store.path.rglob("*")}


def test_what_no_rule_keeps_goes_and_what_is_shared_stays(logged: Logged) -> None:
    logged.add("keep", b"model", b"shared")
    logged.add("old", b"old model", b"shared")
    logged.objects.put_bytes(b"nobody's")

    account = logged.collect()

    assert logged.contents() == {b"model", b"shared"}
    assert logged.aside() == []
    told = {fate: (tally.runs, tally.objects, tally.size_bytes) for fate, tally in account.tallies.items()}
    assert told == {KEPT: (1, 2, 11), EXPIRED: (1, 1, 9), UNREFERENCED: (0, 1, 8)}


def test_a_dry_run_tells_the_same_and_writes_nothing(logged: Logged) -> None:
    logged.add("keep", b"model")
    logged.add("old", b"old model")
    before = files_of(logged.store)

    dry = logged.collect(delete=False)

    assert files_of(logged.store) == before
    assert dry == logged.collect()


def test_rows_and_digests_stay(logged: Logged) -> None:
    record = logged.add("old", b"old model")

    logged.collect()

    assert logged.store.reader().runs() == [record]
    assert list(verify_store(logged.store)) == []
    assert count_collected(logged.store) == 1


def test_reading_a_collected_artifact_says_when_by_whom_and_why(logged: Logged) -> None:
    record = logged.add("old", b"old model")

    logged.collect(at_us=record.ended_us + 1)

    with pytest.raises(ArtifactError, match=r"^an object was collected on 2\d\d\d-\d\d-\d\d by ada@laptop: expired\n"):
        logged.store.reader().read_artifact(record, "file-0")


def test_an_object_that_is_missing_without_a_tombstone_is_damage(logged: Logged) -> None:
    record = logged.add("keep", b"model")
    logged.objects.path(record.artifacts[0].digest).unlink()

    with pytest.raises(StoreDamagedError, match="an object is missing"):
        logged.store.reader().read_artifact(record, "file-0")
    assert [finding.kind for finding in verify_store(logged.store)] == ["object"]
    assert count_collected(logged.store) == 0


def test_a_tombstone_excuses_nothing_that_was_stored_after_it(logged: Logged) -> None:
    old = logged.add("old", b"model")
    logged.collect(at_us=old.ended_us + 1)
    new = logged.add("keep", b"model")
    logged.objects.path(new.artifacts[0].digest).unlink()

    with pytest.raises(StoreDamagedError, match="an object is missing"):
        logged.store.reader().read_artifact(new, "file-0")
    assert [finding.run_ids for finding in verify_store(logged.store)] == [(new.run_id,)]


def test_every_object_that_went_has_its_rule_on_a_tombstone(logged: Logged) -> None:
    old = logged.add("old", b"old model")
    digest = old.artifacts[0].digest

    later_us = old.ended_us + 5
    logged.collect(at_us=later_us)

    (path,) = (logged.store.path / "tombstones").iterdir()
    told = json.loads(path.read_bytes())
    assert (told["who"], told["time_us"], told["objects"]) == ("ada@laptop", later_us, {digest: "expired"})
    assert Graveyard(logged.store.path).find(digest) is not None


def test_a_tombstone_is_no_earlier_than_the_runs_it_speaks_of(logged: Logged) -> None:
    # A collection of many runs takes a while, and a run may begin, end and expire meanwhile.
    old = logged.add("old", b"old model")

    logged.collect(at_us=5)

    assert list(verify_store(logged.store)) == []
    assert Graveyard(logged.store.path).find(old.artifacts[0].digest, since_us=old.started_us) is not None


def test_collecting_again_does_nothing(logged: Logged) -> None:
    logged.add("keep", b"model")
    logged.add("old", b"old model")
    logged.collect()
    before = sorted(path for path in logged.store.path.rglob("*"))

    account = logged.collect()

    assert account.total(kept=False).objects == 0
    assert sorted(path for path in logged.store.path.rglob("*")) == before


def test_a_changed_tombstone_is_found_and_stops_the_next_collection(logged: Logged) -> None:
    logged.add("old", b"old model")
    logged.collect()
    (path,) = (logged.store.path / "tombstones").iterdir()
    path.write_bytes(path.read_bytes().replace(b"ada@laptop", b"eve@laptop"))

    assert [finding.kind for finding in verify_store(logged.store)] == ["object", "tombstone"]
    with pytest.raises(StoreDamagedError, match=r"^gc stopped: a tombstone is not what was written: the digest"):
        logged.collect()


# -- snapshots -----------------------------------------------------------------------------------------------------


def snapshot_of(objects: Objects, *contents: bytes) -> bytes:
    files = [[f"{at}.bin", len(content), objects.put_bytes(content)[0][7:]] for at, content in enumerate(contents)]
    return json.dumps({"digest": "sha256:" + "0" * 64, "kind": "folder", "files": files}).encode()


def test_the_files_of_a_kept_snapshot_stay_with_its_listing(logged: Logged) -> None:
    kept = snapshot_of(logged.objects, b"one", b"two")
    gone = snapshot_of(logged.objects, b"two", b"three")
    logged.add("keep", kept, role="snapshot")
    logged.add("old", gone, role="snapshot")

    logged.collect()

    assert logged.contents() == {kept, b"one", b"two"}
    assert list(verify_store(logged.store)) == []
    assert logged.collect().total(kept=False).objects == 0


def test_a_listing_that_cannot_be_read_stops_everything(logged: Logged) -> None:
    record = logged.add("keep", snapshot_of(logged.objects, b"one"), role="snapshot")
    path = logged.objects.path(record.artifacts[0].digest)
    path.chmod(0o600)
    path.write_bytes(b"{}")
    before = files_of(logged.store)

    with pytest.raises(StoreDamagedError, match=r"^gc stopped: the listing of kept data cannot be read"):
        logged.collect(delete=False)
    assert files_of(logged.store) == before


# -- writers that go on --------------------------------------------------------------------------------------------


def test_what_a_run_under_way_has_logged_stays(logged: Logged) -> None:
    writer = logged.store.writer(session_id="s")
    logged.start(writer, "old", b"under way")
    finished = logged.start(writer, "old", b"finished, its log not sealed")
    writer.finish(finished, ENDED)

    logged.collect()

    assert logged.contents() == {b"under way", b"finished, its log not sealed"}
    writer.close()


def test_what_a_session_holds_for_runs_yet_to_come_stays_until_it_ends(logged: Logged) -> None:
    writer = logged.store.writer(session_id="s")
    staged = logged.objects.stage_bytes(b"environment")
    writer.hold(staged.digest, role="environment")
    logged.objects.publish(staged)

    logged.collect()
    held = logged.contents()
    writer.close()
    logged.collect()

    assert held == {b"environment"}
    assert logged.contents() == set()


def test_the_files_of_a_snapshot_that_is_being_kept_stay(logged: Logged) -> None:
    listing = snapshot_of(logged.objects, b"one", b"two")
    writer = logged.store.writer(session_id="s")
    staged = logged.objects.stage_bytes(listing)
    writer.hold(staged.digest, role="snapshot")

    logged.collect(delete=False)
    logged.objects.publish(staged)
    logged.collect()

    assert logged.contents() == {listing, b"one", b"two"}
    writer.close()


def test_an_artifact_that_a_run_dropped_goes_while_the_run_is_under_way(logged: Logged) -> None:
    writer = logged.store.writer(session_id="s")
    run_id = logged.start(writer, "run", b"first", b"second")
    writer.drop(run_id, "file-0")

    logged.collect()

    assert logged.contents() == {b"second"}
    assert [artifact.name for artifact in writer.finish(run_id, ENDED).artifacts] == ["file-1"]
    writer.close()
    assert list(verify_store(logged.store)) == []


class Interrupting(Steps):
    """Do something else at steps of a collection, as another process might."""

    def __init__(self, actions: dict[int, Callable[[], None]]) -> None:
        self.reached: list[str] = []
        self._actions = actions

    def reach(self, step: str) -> None:
        self.reached.append(step)
        action = self._actions.pop(len(self.reached), None)
        if action is not None:
            action()


def test_whoever_writes_the_reference_first_and_looks_then_has_the_object_at_the_end(tmp_path: Path) -> None:
    rehearsal = Logged(tmp_path / "rehearsal")
    rehearsal.add("old", b"model")
    steps = Interrupting({})
    rehearsal.collect(steps=steps)
    count = len(steps.reached)
    assert steps.reached[:4] == ["gc.roots-read", "gc.taken", "gc.all-taken", "gc.roots-read-again"]

    for reference in range(1, count + 1):
        for look in range(reference, count + 1):
            logged = Logged(tmp_path / f"{reference}-{look}")
            logged.add("old", b"model")
            writer = logged.store.writer(session_id="s")
            writer.start(RunStart(id_of(99), "s", "e", "new", "t"))
            staged = logged.objects.stage_bytes(b"model")

            def refer(logged: Logged = logged, writer: LogWriter = writer, digest: str = staged.digest) -> None:
                writer.artifact(id_of(99), Artifact("model", digest, 5, time_us=now_us() + 1))

            def publish(logged: Logged = logged, staged: object = staged) -> None:
                logged.objects.publish(staged)  # type: ignore[arg-type]

            def both(refer: Callable[[], None] = refer, publish: Callable[[], None] = publish) -> None:
                refer()
                publish()

            logged.collect(
                steps=Interrupting({reference: both} if reference == look else {reference: refer, look: publish})
            )

            assert logged.contents() == {b"model"}, (reference, look)
            record = writer.finish(id_of(99), ENDED)
            writer.close()
            assert logged.store.reader().read_artifact(record, "model") == b"model"
            assert list(verify_store(logged.store)) == []
            assert logged.aside() == []


def test_a_reader_finds_an_object_at_every_instant_of_a_collection_that_brings_it_back(logged: Logged) -> None:
    record = logged.add("old", b"model")
    writer = logged.store.writer(session_id="s")
    found: list[bytes] = []

    class Reading(Steps):
        def reach(self, step: str) -> None:
            if step == "gc.roots-read":
                logged.start(writer, "new", b"model")
            found.append(logged.store.reader().read_artifact(record, "file-0"))

    logged.collect(steps=Reading())
    writer.close()

    assert len(found) >= 6
    assert set(found) == {b"model"}


def test_an_object_that_came_back_is_no_longer_excused_by_its_tombstone(logged: Logged) -> None:
    record = logged.add("old", b"model")

    class Killed(BaseException):
        pass

    class Dying(Steps):
        def reach(self, step: str) -> None:
            if step == "install.tombstones.after-rename":
                raise Killed

    with pytest.raises(Killed):
        logged.collect(steps=Dying(), at_us=record.ended_us + 1)
    collect(
        logged.store.path,
        lambda runs, _: Fates({run.run_id: KEPT for run in runs}),
        who="ada@laptop",
        now_us=record.ended_us + 2,
        delete=True,
    )

    assert logged.contents() == {b"model"}
    logged.objects.path(record.artifacts[0].digest).unlink()
    assert [finding.kind for finding in verify_store(logged.store)] == ["object"]


# -- where it stops ------------------------------------------------------------------------------------------------


def damage_segment(logged: Logged) -> None:
    path = next((logged.store.path / "seg").iterdir())
    path.write_bytes(path.read_bytes()[:-100])


def damage_live_log(logged: Logged) -> None:
    writer = logged.store.writer(session_id="s")
    logged.start(writer, "run")
    logged.start(writer, "run")
    writer._shut()
    path = next((logged.store.path / "live").glob("*.arrows"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))


def damage_annotation(logged: Logged) -> None:
    logged.store.annotate(id_of(1), tags={"keep": "yes"}, note="", who="ada")
    path = next((logged.store.path / "annotations").iterdir())
    path.write_bytes(b"{}")


def put_something_aside(logged: Logged) -> None:
    place = logged.store.path / "damaged" / "seg" / "of-a-later-version"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"?")


def add_unknown_role(logged: Logged) -> None:
    logged.add("new", b"x", role="hologram")


@pytest.mark.parametrize(
    ("break_it", "kind", "headline"),
    [
        (damage_segment, StoreDamagedError, "gc stopped: the store is damaged"),
        (damage_live_log, StoreDamagedError, "gc stopped: the store is damaged"),
        (damage_annotation, StoreDamagedError, "gc stopped: the store is damaged"),
        (put_something_aside, StoreDamagedError, "gc stopped: a file that was put aside may name any object"),
        (add_unknown_role, StoreFormatError, "gc stopped: the store holds an artifact of the role 'hologram'"),
    ],
)
def test_what_cannot_be_read_or_is_not_known_stops_it_before_anything_is_written(
    logged: Logged, break_it: Callable[[Logged], None], kind: type[StoreError], headline: str
) -> None:
    logged.add("old", b"old model")
    break_it(logged)
    before = logged.contents()

    for delete in (False, True):
        with pytest.raises(kind, match=f"^{headline}") as caught:
            logged.collect(delete=delete)
        assert "nothing was deleted" in str(caught.value)

    assert logged.contents() == before
    assert logged.aside() == []
    assert not (logged.store.path / "tombstones").exists()


def test_a_log_of_another_boot_stops_it(logged: Logged, monkeypatch: pytest.MonkeyPatch) -> None:
    logged.add("old", b"old model")
    writer = logged.store.writer(session_id="s")
    monkeypatch.setattr("pytest_mlrun.store.roots.find_boot_id", lambda: "another boot")

    with pytest.raises(StoreError, match=r"^gc stopped: a log of another boot or machine may still be written"):
        logged.collect()

    assert logged.contents() == {b"old model"}
    writer.close()


def test_two_collections_do_not_meet(logged: Logged) -> None:
    logged.add("old", b"old model")

    with hold(logged.store.path / "gc.lock", timeout_s=1), pytest.raises(StoreError, match=r"^another gc is at work"):
        logged.collect()

    assert logged.contents() == {b"old model"}


def test_half_written_files_of_killed_processes_go_after_a_day(logged: Logged) -> None:
    folder = logged.store.path / "tmp"
    old, new = folder / "object-old", folder / "object-new"
    old.write_bytes(b"half")
    new.write_bytes(b"half of something")
    os.utime(old, (0, 0))

    account = logged.collect()

    assert [path.name for path in folder.iterdir()] == ["object-new"]
    assert (account.of(ABANDONED).objects, account.of(ABANDONED).size_bytes) == (1, 4)
