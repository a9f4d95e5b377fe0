"""A writer's calls hold, and a finished run is closed."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest

from pytest_mlrun.errors import RunClosedError, StoreError, StoreWriteError
from pytest_mlrun.records.run import Artifact, RunEnd, RunStart
from pytest_mlrun.records.verdict import Verdict
from pytest_mlrun.store.log import EventLog, read_log
from pytest_mlrun.store.store import Store
from pytest_mlrun.store.writer import LogWriter

RUN = "01920000-0000-7000-8000-000000000001"
CHILD = "01920000-0000-7000-8000-000000000002"
PASSED = RunEnd("finished", "passed")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "store", create=True)


def open_writer(store: Store, *runs: str) -> LogWriter:
    writer = store.writer(session_id="session")
    for run in runs:
        writer.start(RunStart(run, "session", "churn", f"run-{run[-1]}", "t", started_us=1_000))
    return writer


def live_files(store: Store) -> list[str]:
    return sorted(path.suffix for path in (store.path / "live").iterdir())


def test_a_finished_run_holds_everything_that_was_logged(store: Store) -> None:
    writer = open_writer(store, RUN)
    writer.params(RUN, {"depth": "3"})
    writer.tags(RUN, {"team": "x"})
    writer.tags(RUN, {"team": "y"})
    writer.context(RUN, {"code.commit": '"abc"'})
    writer.artifact(RUN, artifact := Artifact("m.bin", "sha256:ab", 3, time_us=5))
    writer.gate(RUN, verdict := Verdict("floor", "auc", "PASS", estimate=0.5, bound=0.25))
    loss, auc = writer.channels(RUN, ("loss", "auc"))
    writer.append(loss, 0.5, 0)
    writer.append(loss, 0.25, 1)
    writer.append(auc, 0.75, None)

    record = writer.finish(RUN, RunEnd("failed", "failed", "gate", "auc", "Traceback", ended_us=2_000))
    writer.close()

    assert (record.run_id, record.session_id, record.experiment, record.name) == (RUN, "session", "churn", "run-1")
    assert (record.status, record.outcome, record.cause, record.cause_detail) == ("failed", "failed", "gate", "auc")
    assert (record.error, record.started_us, record.ended_us) == ("Traceback", 1_000, 2_000)
    assert (record.params, record.tags, record.context) == ({"depth": "3"}, {"team": "y"}, {"code.commit": '"abc"'})
    assert (record.artifacts, record.gates) == ((artifact,), (verdict,))
    assert record.metrics == {"auc": 0.75, "loss": 0.25}
    assert [name for name, text in record.series.items() if text.startswith("2:sha256:")] == ["loss"]


def test_the_same_metric_has_the_same_channel(store: Store) -> None:
    writer = open_writer(store, RUN, CHILD)

    first = writer.channel(RUN, "loss")

    assert writer.channels(RUN, ("auc", "loss", "auc"))[1] == first
    assert len(set(writer.channels(RUN, ("auc", "loss", "auc")))) == 2
    assert writer.channel(CHILD, "loss") != first
    writer.close()


def test_runs_under_way_at_once_keep_their_points_apart(store: Store) -> None:
    writer = open_writer(store, RUN, CHILD)
    ours, theirs = writer.channel(RUN, "loss"), writer.channel(CHILD, "loss")
    for step in range(5):
        writer.append(ours, 1.0, step)
        writer.append(theirs, 2.0, step)

    inner = writer.finish(CHILD, PASSED)
    writer.append(ours, 3.0, 5)
    writer.append(theirs, 9.0, 6)  # too late: the child has finished
    outer = writer.finish(RUN, PASSED)
    writer.close()

    assert (inner.metrics, outer.metrics) == ({"loss": 2.0}, {"loss": 3.0})
    assert store.reader().series(CHILD, "loss").steps.tolist() == [0, 1, 2, 3, 4]
    assert store.reader().series(RUN, "loss").steps.tolist() == [0, 1, 2, 3, 4, 5]


def test_a_series_under_way_can_be_read_back(store: Store) -> None:
    writer = open_writer(store, RUN)
    loss, auc = writer.channels(RUN, ("loss", "auc"))
    writer.append(loss, 0.5, 0)
    writer.append(auc, 0.5, None)
    writer.append(loss, 0.25, 1)

    series = writer.series(RUN, "loss")

    assert series is not None
    assert series.values.tolist() == [0.5, 0.25]
    assert writer.series(RUN, "auc") is None
    assert writer.series(RUN, "absent") is None
    writer.close()


def test_nothing_can_be_logged_to_a_finished_run(store: Store) -> None:
    writer = open_writer(store, RUN)
    writer.finish(RUN, PASSED)

    with pytest.raises(RunClosedError, match="run 00000001 has finished: nothing can be logged to it"):
        writer.params(RUN, {"a": "1"})
    with pytest.raises(RunClosedError, match="run 00000001 has finished"):
        writer.finish(RUN, PASSED)
    with pytest.raises(RunClosedError, match="run 00000002 was never started"):
        writer.channel(CHILD, "loss")
    with pytest.raises(StoreError, match="run 00000001 was started twice"):
        writer.start(RunStart(RUN, "session", "churn", "n", "t"))
    writer.close()


def test_nothing_can_be_logged_after_close(store: Store) -> None:
    writer = open_writer(store, RUN)
    loss = writer.channel(RUN, "loss")
    writer.finish(RUN, PASSED)
    writer.close()

    with pytest.raises(RunClosedError, match="the run store's log is closed: nothing more can be logged"):
        writer.append(loss, 0.5, 0)
    with pytest.raises(RunClosedError, match="the run store's log is closed"):
        writer.start(RunStart(CHILD, "session", "churn", "n", "t"))
    writer.close()
    writer.seal()


def test_closing_seals_when_every_run_has_finished(store: Store) -> None:
    writer = open_writer(store, RUN)
    writer.finish(RUN, PASSED)

    writer.close()

    assert live_files(store) == []
    assert [path.stem for path in (store.path / "seg").iterdir()] == [writer.log]


def test_closing_a_log_without_runs_leaves_nothing(store: Store) -> None:
    store.writer(session_id="session").close()

    assert live_files(store) == []
    assert list((store.path / "seg").iterdir()) == []


def test_closing_with_a_run_under_way_leaves_the_log_to_recovery(store: Store) -> None:
    writer = open_writer(store, RUN, CHILD)
    writer.append(writer.channel(RUN, "loss"), 0.5, 0)
    writer.finish(CHILD, PASSED)

    writer.close()
    before = [run.status for run in store.reader().runs()]
    recovered = store.recover()

    assert before == ["running", "finished"]
    assert [(run.run_id, run.status, run.cause, run.metrics) for run in recovered] == [
        (RUN, "orphaned", "unknown", {"loss": 0.5}),
        (CHILD, "finished", "", {}),
    ]


def test_sealing_makes_orphans_of_runs_under_way(store: Store) -> None:
    writer = open_writer(store, RUN)

    writer.seal()

    assert [run.status for run in store.reader().runs()] == ["orphaned"]


def test_an_end_before_the_start_is_moved_to_it(store: Store) -> None:
    writer = open_writer(store, RUN)

    record = writer.finish(RUN, RunEnd("finished", "passed", ended_us=10))
    writer.close()

    assert (record.started_us, record.ended_us) == (1_000, 1_000)


def test_times_that_were_not_given_are_now(store: Store) -> None:
    writer = store.writer(session_id="session")
    writer.start(RunStart(RUN, "session", "churn", "n", "t"))

    record = writer.finish(RUN, PASSED)
    writer.close()

    assert 1_700_000_000_000_000 < record.started_us <= record.ended_us


def test_finishing_costs_one_sync(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = open_writer(store, RUN)
    writer.append(writer.channel(RUN, "loss"), 0.5, 0)
    synced: list[int] = []
    for name in ("fdatasync", "fsync"):
        monkeypatch.setattr(os, name, synced.append)

    writer.finish(RUN, PASSED)

    assert len(synced) == 1
    monkeypatch.undo()
    writer.close()


def test_a_finish_that_met_a_full_disk_can_be_repeated(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = open_writer(store, RUN)
    loss = writer.channel(RUN, "loss")
    writer.append(loss, 0.5, 0)
    write = EventLog.write

    def refuse_finish(
        log: EventLog, kind: str, run_id: str, content: dict[str, object], *, points: bytes = b""
    ) -> object:
        if kind == "finish":
            raise StoreWriteError("full")
        return write(log, kind, run_id, content, points=points)

    with monkeypatch.context() as patch:
        patch.setattr(EventLog, "write", refuse_finish)
        with pytest.raises(StoreWriteError, match="full"):
            writer.finish(RUN, PASSED)
    writer.append(loss, 0.25, 1)
    record = writer.finish(RUN, PASSED)
    writer.close()

    assert record.series["loss"].startswith("2:sha256:")
    assert store.reader().series(RUN, "loss").values.tolist() == [0.5, 0.25]
    assert store.reader().find(RUN).digest == record.digest


def test_a_seal_that_met_a_full_disk_leaves_the_log_to_recovery(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = open_writer(store, RUN)
    record = writer.finish(RUN, PASSED)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "full")

    with monkeypatch.context() as patch:
        patch.setattr("pytest_mlrun.store.seal.write_segment", refuse)
        with pytest.raises(StoreWriteError, match="no space is left"):
            writer.close()

    assert [run.digest for run in store.reader().runs()] == [record.digest]
    assert [run.digest for run in store.recover()] == [record.digest]


def test_a_log_that_cannot_be_made_releases_its_lock(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "full")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", refuse)
        with pytest.raises(StoreWriteError, match="no space is left"):
            store.writer(session_id="session")

    assert store.recover() == ()
    assert live_files(store) == []


def test_a_log_holds_each_event_as_soon_as_its_call_returned(store: Store) -> None:
    writer = open_writer(store, RUN)
    path = store.path / "live" / f"{writer.log}.arrows"
    kinds: list[str] = []
    for call in (
        lambda: writer.params(RUN, {"a": "1"}),
        lambda: writer.tags(RUN, {"a": "1"}),
        lambda: writer.context(RUN, {"a": "1"}),
        lambda: writer.artifact(RUN, Artifact("a", "b", 1)),
        lambda: writer.gate(RUN, Verdict("floor", "auc", "PASS")),
        lambda: writer.channels(RUN, ("a",)),
        lambda: writer.params(RUN, {}),
    ):
        call()
        kinds.append(read_log(path.read_bytes()).events[-1].kind)
    writer.close()

    assert kinds == ["params", "tags", "context", "artifact", "gate", "channels", "channels"]


def test_a_writer_that_is_dropped_frees_its_lock(store: Store) -> None:
    writer = open_writer(store, RUN)

    del writer
    gc.collect()

    assert [run.status for run in store.recover()] == ["orphaned"]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # the child only touches the writer, then leaves
def test_a_forked_child_can_neither_write_nor_seal(store: Store) -> None:
    writer = open_writer(store, RUN)
    loss = writer.channel(RUN, "loss")
    child = os.fork()
    if child == 0:
        refused = 0
        for attempt in (lambda: writer.append(loss, 0.5, 0), lambda: writer.finish(RUN, PASSED), writer.seal):
            try:
                attempt()
            except RunClosedError:
                refused += 1
        os._exit(refused)

    _, status = os.waitpid(child, 0)
    record = writer.finish(RUN, PASSED)
    writer.close()

    assert os.waitstatus_to_exitcode(status) == 2
    assert record.metrics == {}


def test_texts_too_long_for_one_column_are_divided_into_batches(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_mlrun.store.columns.MOST_BYTES", 200)
    runs = [f"01920000-0000-7000-8000-{number:012x}" for number in range(12)]
    writer = open_writer(store, *runs)
    for run in runs:
        writer.finish(run, PASSED)
    writer.close()

    assert [run.run_id for run in store.reader().runs()] == runs


def test_a_text_too_long_for_any_column_leaves_the_log(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = open_writer(store, RUN)
    writer.finish(RUN, RunEnd("failed", "failed", error="x" * 300))
    with monkeypatch.context() as patch:
        patch.setattr("pytest_mlrun.store.columns.MOST_BYTES", 200)
        with pytest.raises(StoreWriteError, match="a text of one run is too long to be sealed"):
            writer.close()

    assert [run.status for run in store.recover()] == ["failed"]
