"""Recovery seals what the dead left, and nothing of the living."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pytest_mlrun.records.run import RunEnd, RunStart
from pytest_mlrun.store.digest import compute_run_digest
from pytest_mlrun.store.layout import LogFiles
from pytest_mlrun.store.locks import try_lock
from pytest_mlrun.store.segment import write_segment
from pytest_mlrun.store.store import Store
from pytest_mlrun.store.verify import verify_store

PASSED = RunEnd("finished", "passed")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "store", create=True)


def run_id(number: int) -> str:
    return f"01920000-0000-7000-8000-{number:012x}"


def leave_log(store: Store, *, finished: int = 1, unfinished: int = 1) -> LogFiles:
    """Leave what a process leaves that ends without closing."""
    writer = store.writer(session_id="session")
    for number in range(finished + unfinished):
        writer.start(RunStart(run_id(number), "session", "churn", f"run-{number}", "t", started_us=number + 1))
        writer.params(run_id(number), {"depth": "3"})
        writer.append(writer.channel(run_id(number), "loss"), 0.5, 1)
        if number < finished:
            writer.finish(run_id(number), PASSED)
    writer.close() if unfinished else writer._file_lock.release()
    return LogFiles(store.path, writer.log)


def live_files(store: Store) -> list[str]:
    return sorted(path.name for path in (store.path / "live").iterdir())


def test_unfinished_runs_become_orphans_with_all_they_logged(store: Store) -> None:
    leave_log(store)

    runs = store.recover()

    assert [(run.run_id, run.status, run.outcome, run.cause) for run in runs] == [
        (run_id(0), "finished", "passed", ""),
        (run_id(1), "orphaned", "", "unknown"),
    ]
    assert (runs[1].params, runs[1].metrics) == ({"depth": "3"}, {"loss": 0.5})
    assert store.reader().series(run_id(1), "loss").values.tolist() == [0.5]
    assert runs[1].ended_us == store.reader().series(run_id(1), "loss").times_us[-1]
    assert runs[1].digest == compute_run_digest(runs[1])
    assert live_files(store) == []


def test_a_living_process_is_left_alone_even_our_own(store: Store) -> None:
    writer = store.writer(session_id="session")
    writer.start(RunStart(run_id(0), "session", "churn", "n", "t"))

    assert store.recover() == ()

    assert writer.finish(run_id(0), PASSED).status == "finished"
    writer.close()


def test_a_log_of_another_boot_is_left_alone_until_a_person_says_otherwise(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_log(store)
    before = live_files(store)
    monkeypatch.setattr("pytest_mlrun.store.recovery.find_boot_id", lambda: "another boot")

    assert store.recover() == ()
    assert live_files(store) == before
    assert len(store.recover(other_boots=True)) == 2


@pytest.mark.parametrize("content", [b"", b"half a head"])
def test_a_log_killed_at_birth_is_removed(store: Store, content: bytes) -> None:
    LogFiles(store.path, "a").events.write_bytes(content)
    LogFiles(store.path, "a").lock.touch()

    assert store.recover() == ()

    assert live_files(store) == []
    assert list((store.path / "seg").iterdir()) == []


def test_files_whose_log_is_gone_are_removed(store: Store) -> None:
    LogFiles(store.path, "a").lock.touch()
    LogFiles(store.path, "b").points.write_bytes(bytes(64))
    held = try_lock(LogFiles(store.path, "c").lock)

    assert store.recover() == ()

    assert live_files(store) == ["c.lock"]
    assert held is not None
    held.release()


@pytest.mark.parametrize("name", ["same", "other"])
def test_a_log_that_a_segment_replaces_is_removed_not_sealed(store: Store, name: str) -> None:
    files = leave_log(store)
    records = [replace(run, digest="") for run in store.reader().runs()]
    target = files.segment if name == "same" else store.path / "seg" / "compacted.arrow"
    write_segment(target, records, replaces=(f"log:{files.log}",), series=())
    (store.path / "seg" / "unreadable.arrow").write_bytes(b"")

    assert store.recover() == ()

    assert live_files(store) == []
    assert len(store.reader().runs()) == 2


def test_a_log_sealed_while_its_lock_was_asked_for_is_not_sealed_twice(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = store.writer(session_id="session")
    writer.start(RunStart(run_id(0), "session", "churn", "n", "t"))
    writer.finish(run_id(0), PASSED)

    def too_late(path: Path) -> object:
        writer.close()
        return try_lock(path)

    monkeypatch.setattr("pytest_mlrun.store.recovery.try_lock", too_late)

    assert store.recover() == ()
    assert live_files(store) == []
    assert len(store.reader().runs()) == 1


def test_a_segment_that_cannot_be_read_is_sealed_again_from_its_log(store: Store) -> None:
    files = leave_log(store)
    files.segment.write_bytes(b"ARROW1\0\0half")

    assert len(store.recover()) == 2

    assert store.reader().damaged() == ()
    assert len(store.reader().runs()) == 2


def test_a_second_recovery_finds_nothing(store: Store) -> None:
    leave_log(store)

    assert len(store.recover()) == 2
    assert store.recover() == ()


def test_a_log_damaged_in_its_middle_is_kept_and_its_runs_never_pass_for_intact(store: Store) -> None:
    files = leave_log(store, finished=2, unfinished=0)
    content = bytearray(files.events.read_bytes())
    at = content.index(b'{"depth":"3"}')
    content[at + 10 : at + 11] = b"4"
    files.events.write_bytes(bytes(content))

    before = [(finding.kind, finding.run_ids) for finding in verify_store(store)]
    runs = store.recover()

    assert [run.params for run in runs] == [{}, {"depth": "3"}]
    assert before == [("log", ()), ("run", (run_id(0),))]
    findings = [(finding.kind, finding.run_ids) for finding in verify_store(store)]
    assert findings == [("log", ()), ("run", (run_id(0),))]
    assert files.damaged.read_bytes() == bytes(content)
    assert live_files(store) == []


def test_a_run_whose_start_is_damaged_keeps_its_points(store: Store) -> None:
    files = leave_log(store, finished=0)
    content = files.events.read_bytes()
    files.events.write_bytes(content.replace(b'"experiment":"churn"', b'"experiment":"chorn"'))

    (run,) = store.recover()

    assert (run.run_id, run.experiment, run.status, run.metrics) == (run_id(0), "", "orphaned", {"loss": 0.5})


def test_an_event_of_an_unknown_kind_changes_nothing(store: Store) -> None:
    writer = store.writer(session_id="session")
    writer.start(RunStart(run_id(0), "session", "churn", "n", "t"))
    writer._log.write("hologram", run_id(0), {"a": 1})
    record = writer.finish(run_id(0), PASSED)
    writer.close()

    assert [run.digest for run in store.reader().runs()] == [record.digest]
