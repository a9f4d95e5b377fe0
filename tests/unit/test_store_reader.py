"""A reader finds, filters and ranks runs, and sees each exactly once."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import pyarrow as pa
import pytest

from pytest_mlrun.errors import MetricError, QueryError, RunNotFoundError, StoreDamagedError, StoreError
from pytest_mlrun.records.query import Comparison
from pytest_mlrun.records.run import RunEnd, RunRecord, RunStart
from pytest_mlrun.store import view
from pytest_mlrun.store.checksum import stamp, with_blank
from pytest_mlrun.store.digest import compute_run_digest
from pytest_mlrun.store.files import read_bytes
from pytest_mlrun.store.flat import TABLES
from pytest_mlrun.store.layout import list_segments
from pytest_mlrun.store.points import Records, read_points
from pytest_mlrun.store.reader import Reader
from pytest_mlrun.store.segment import open_segment, write_segment
from pytest_mlrun.store.store import Store
from pytest_mlrun.store.writer import LogWriter

NAN = float("nan")


def run_id(number: int) -> str:
    return f"01920000-0000-7000-8000-{number:012x}"


def make_run(number: int, *, metrics: Mapping[str, float] | None = None, **changes: object) -> RunRecord:
    record = RunRecord(
        run_id=run_id(number),
        session_id="session",
        experiment="churn",
        name=f"run-{number}",
        test="test_a.py::test",
        case="",
        attempt=1,
        parent_id=None,
        status="finished",
        outcome="passed",
        cause="",
        cause_detail="",
        error="",
        started_us=1_000 + number,
        ended_us=2_000 + number,
        params={},
        metrics=metrics or {},
        tags={},
        context={},
        artifacts=(),
        gates=(),
        series={},
    )
    record = replace(record, **changes)  # type: ignore[arg-type]
    return replace(record, digest=compute_run_digest(record))


def store_of(folder: Path, *segments: Sequence[RunRecord]) -> Store:
    store = Store.open(folder / "store", create=True)
    for at, records in enumerate(segments):
        write_segment(store.path / "seg" / f"segment-{at}.arrow", records, replaces=(), series=())
    return store


def names(runs: Sequence[RunRecord]) -> list[str]:
    return [run.name for run in runs]


def log_run(writer: LogWriter, number: int, *, finish: bool = True) -> None:
    writer.start(RunStart(run_id(number), "session", "churn", f"run-{number}", "t", started_us=1_000 + number))
    writer.append(writer.channel(run_id(number), "loss"), number / 4, 1)
    if finish:
        writer.finish(run_id(number), RunEnd("finished", "passed"))


def test_runs_are_listed_oldest_first_over_segments_and_logs(tmp_path: Path) -> None:
    store = store_of(tmp_path, [make_run(2), make_run(5)], [make_run(1)])
    writer = store.writer(session_id="session")
    log_run(writer, 4)
    log_run(writer, 3, finish=False)

    runs = store.reader().runs()
    writer.close()

    assert [(run.name, run.status) for run in runs] == [
        ("run-1", "finished"),
        ("run-2", "finished"),
        ("run-3", "running"),
        ("run-4", "finished"),
        ("run-5", "finished"),
    ]


def test_runs_are_chosen_by_experiment_and_session(tmp_path: Path) -> None:
    store = store_of(tmp_path, [make_run(1), make_run(2, experiment="other"), make_run(3, session_id="late")])

    reader = store.reader()

    assert names(reader.runs(experiment="churn")) == ["run-1", "run-3"]
    assert names(reader.runs(session_id="session")) == ["run-1", "run-2"]
    assert names(reader.runs(experiment="churn", session_id="late")) == ["run-3"]
    assert reader.runs(experiment="absent") == []


WHERE_RUNS = [
    make_run(
        1,
        metrics={"auc": 0.5, "loss": NAN},
        params={"depth": "1", "rate": "0.5", "kind": '"a"', "on": "true", "mixed": "1"},
        tags={"fold": "3", "team": "x", "gpu": "true"},
        context={"code.dirty": "false", "host.cores": "8"},
    ),
    make_run(
        2,
        metrics={"auc": 0.75, "loss": 1.0},
        params={"depth": "2", "rate": "1", "kind": '"b"', "on": "false", "mixed": '"1"'},
        tags={"fold": "10", "team": "y"},
        context={"code.dirty": "true"},
        status="failed",
    ),
    make_run(3, metrics={"auc": float("inf")}, params={"depth": "3", "mixed": "[1]"}),
]


@pytest.mark.parametrize("shredded", [True, False], ids=["typed columns", "maps only"])
@pytest.mark.parametrize(
    ("comparison", "expected"),
    [
        (Comparison("metric", "auc", ">=", 0.75), ["run-2", "run-3"]),
        (Comparison("metric", "auc", "!=", 0.5), ["run-2", "run-3"]),
        (Comparison("metric", "loss", "!=", 5.0), ["run-2"]),
        (Comparison("metric", "absent", "!=", 5.0), []),
        (Comparison("metric", "auc", "==", "0.5"), []),
        (Comparison("param", "depth", "==", 2.0), ["run-2"]),
        (Comparison("param", "depth", "<", 3.0), ["run-1", "run-2"]),
        (Comparison("param", "depth", "==", True), []),
        (Comparison("param", "depth", "==", "2"), []),
        (Comparison("param", "rate", "==", 1.0), ["run-2"]),
        (Comparison("param", "rate", "<", 1.0), ["run-1"]),
        (Comparison("param", "kind", "==", "b"), ["run-2"]),
        (Comparison("param", "kind", "!=", "b"), ["run-1"]),
        (Comparison("param", "kind", "<", "b"), ["run-1"]),
        (Comparison("param", "kind", "!=", 1.0), ["run-1", "run-2"]),
        (Comparison("param", "on", "==", True), ["run-1"]),
        (Comparison("param", "on", "!=", True), ["run-2"]),
        (Comparison("param", "on", "==", 1.0), []),
        (Comparison("param", "mixed", "==", 1.0), ["run-1"]),
        (Comparison("param", "mixed", "==", "1"), ["run-2"]),
        (Comparison("param", "mixed", "!=", 1.0), ["run-2", "run-3"]),
        (Comparison("param", "absent", "!=", 1.0), []),
        (Comparison("tag", "team", "==", "x"), ["run-1"]),
        (Comparison("tag", "fold", ">", 3.0), ["run-2"]),
        (Comparison("tag", "fold", "==", "3"), ["run-1"]),
        (Comparison("tag", "gpu", "==", True), ["run-1"]),
        (Comparison("tag", "team", ">", 1.0), []),
        (Comparison("attribute", "status", "==", "failed"), ["run-2"]),
        (Comparison("attribute", "name", ">", "run-1"), ["run-2", "run-3"]),
        (Comparison("attribute", "attempt", "<", 2.0), ["run-1", "run-2", "run-3"]),
        (Comparison("attribute", "started_us", ">=", 1_002.0), ["run-2", "run-3"]),
        (Comparison("attribute", "parent_id", "!=", "x"), []),
        (Comparison("attribute", "code.dirty", "==", False), ["run-1"]),
        (Comparison("attribute", "host.cores", ">", 4.0), ["run-1"]),
    ],
    ids=lambda value: (
        f"{value.kind} {value.field} {value.operator} {value.value!r}" if isinstance(value, Comparison) else ""
    ),
)
def test_a_constraint_chooses_the_runs_for_which_it_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, comparison: Comparison, expected: list[str], shredded: bool
) -> None:
    if not shredded:
        monkeypatch.setattr("pytest_mlrun.store.shred.MOST_COLUMNS", 0)
    store = store_of(tmp_path, WHERE_RUNS)

    found = store.reader().runs(where=(comparison,))

    assert names(found) == expected


def test_all_comparisons_of_a_constraint_must_hold(tmp_path: Path) -> None:
    store = store_of(tmp_path, WHERE_RUNS)

    found = store.reader().runs(where=(Comparison("metric", "auc", ">", 0.6), Comparison("param", "depth", "<", 3.0)))

    assert names(found) == ["run-2"]


def test_an_unknown_attribute_is_an_error_that_lists_the_known(tmp_path: Path) -> None:
    reader = store_of(tmp_path, WHERE_RUNS).reader()

    with pytest.raises(QueryError, match="a run has no attribute 'stauts'") as caught:
        reader.runs(where=(Comparison("attribute", "stauts", "==", "x"),))

    assert "status" in caught.value.details[0]


@pytest.mark.parametrize("shredded", [True, False], ids=["typed columns", "maps only"])
def test_the_best_runs_come_first_and_nan_never_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shredded: bool
) -> None:
    if not shredded:
        monkeypatch.setattr("pytest_mlrun.store.shred.MOST_COLUMNS", 0)
    store = store_of(
        tmp_path,
        [make_run(1, metrics={"auc": 0.5}), make_run(2, metrics={"auc": NAN}), make_run(3, metrics={"auc": 0.9})],
        [
            make_run(4, metrics={"auc": 0.7}),
            make_run(5, metrics={"loss": 9.0}),
            make_run(6, metrics={"auc": 1.0}, status="failed"),
        ],
        [make_run(7, metrics={"auc": 2.0}, experiment="other")],
    )
    reader = store.reader()

    assert names(reader.top("churn", by="auc", goal="max")) == ["run-3", "run-4", "run-1"]
    assert names(reader.top("churn", by="auc", goal="min", limit=2)) == ["run-1", "run-4"]
    assert names(reader.top(None, by="auc", goal="max", limit=1)) == ["run-7"]
    assert names(reader.top("churn", by="auc", goal="max", where=(Comparison("metric", "auc", "<", 0.8),))) == [
        "run-4",
        "run-1",
    ]
    assert reader.top("churn", by="absent", goal="max") == []
    assert reader.top("churn", by="auc", goal="max", limit=0) == []


def test_of_equal_runs_the_earlier_comes_first(tmp_path: Path) -> None:
    store = store_of(
        tmp_path, [make_run(number, metrics={"auc": 0.5}) for number in (4, 2, 9)], [make_run(1, metrics={"auc": 0.5})]
    )

    assert names(store.reader().top(None, by="auc", goal="max", limit=2)) == ["run-1", "run-2"]


def test_a_run_is_found_by_its_id_its_end_and_its_name(tmp_path: Path) -> None:
    store = store_of(tmp_path, [make_run(0x1234), make_run(0x5678)])
    reader = store.reader()

    for ref in (run_id(0x1234), "00001234", "0000-7000-8000-000000001234", f"run-{0x1234}"):
        assert reader.find(ref).run_id == run_id(0x1234)


def test_a_run_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunNotFoundError, match="no run answers to 'absent'") as caught:
        store_of(tmp_path, [make_run(1)]).reader().find("absent")

    assert caught.value.next_step == "list the runs: pytest-mlrun runs"


def test_an_ambiguous_name_lists_the_candidates(tmp_path: Path) -> None:
    store = store_of(tmp_path, [make_run(1, name="same"), make_run(2, name="same")])

    with pytest.raises(RunNotFoundError, match="2 runs answer to 'same'") as caught:
        store.reader().find("same")

    assert caught.value.details == (
        f"{run_id(1)}  same  churn  finished",
        f"{run_id(2)}  same  churn  finished",
    )


def test_a_series_is_read_live_and_sealed(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store", create=True)
    writer = store.writer(session_id="session")
    log_run(writer, 1)
    log_run(writer, 2, finish=False)
    reader = store.reader()

    before = [reader.series(run_id(number), "loss") for number in (1, 2)]
    writer.seal()
    after = [reader.series(run_id(number), "loss") for number in (1, 2)]

    for series, number in zip(before + after, (1, 2, 1, 2), strict=True):
        assert (series.name, series.steps.tolist(), series.values.tolist()) == ("loss", [1], [number / 4])
    assert [series.times_us.tolist() for series in before] == [series.times_us.tolist() for series in after]


def test_a_long_series_survives_its_division_into_parts(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store", create=True)
    writer = store.writer(session_id="session")
    count = 150_000
    for number in (1, 2, 3):
        writer.start(RunStart(run_id(number), "session", "churn", f"run-{number}", "t"))
        short, long = writer.channels(run_id(number), ("a", "b"))
        writer.append(short, 0.5, 1)
        for step in range(count if number == 2 else 3):
            writer.append(long, step / 3, step)
        writer.finish(run_id(number), RunEnd("finished", "passed"))
    writer.close()

    series = store.reader().series(run_id(2), "b")

    assert series.steps.tolist() == list(range(count))
    assert series.values.tolist() == [step / 3 for step in range(count)]
    assert [store.reader().series(run_id(number), "b").steps.tolist() for number in (1, 3)] == [[0, 1, 2], [0, 1, 2]]


def test_a_summary_metric_has_an_empty_series(tmp_path: Path) -> None:
    store = store_of(tmp_path, [make_run(1, metrics={"auc": 0.5})])

    assert len(store.reader().series(run_id(1), "auc")) == 0


def test_a_metric_that_was_never_logged_is_an_error_that_lists_the_others(tmp_path: Path) -> None:
    reader = store_of(tmp_path, [make_run(1, metrics={"acc": 0.5, "loss": 1.0})]).reader()

    with pytest.raises(MetricError, match="metric 'auc' was never logged; this run has: acc, loss"):
        reader.series(run_id(1), "auc")
    with pytest.raises(RunNotFoundError, match=f"there is no run {run_id(2)}"):
        reader.series(run_id(2), "auc")


@pytest.mark.parametrize("how", ["missing", "damaged"])
def test_series_that_cannot_be_read_are_damage_and_the_run_is_not(tmp_path: Path, how: str) -> None:
    store = Store.open(tmp_path / "store", create=True)
    writer = store.writer(session_id="session")
    log_run(writer, 1)
    writer.close()
    (path,) = (store.path / "pts").iterdir()
    if how == "missing":
        path.unlink()
    else:
        path.write_bytes(b"ARROW1\0\0nonsense")
    reader = store.reader()

    with pytest.raises(StoreDamagedError, match="the points of 'loss' of run 00000001 cannot be read"):
        reader.series(run_id(1), "loss")

    assert names(reader.runs()) == ["run-1"]


def test_the_table_holds_every_run_with_typed_columns(tmp_path: Path) -> None:
    store = store_of(
        tmp_path,
        [make_run(1, metrics={"auc": 0.5}, params={"depth": "1", "kind": '"a"', "rate": "1"})],
        [make_run(2, params={"depth": "2", "kind": "7", "rate": "0.5"}, tags={"team": "x"})],
    )

    table = store.reader().table(columns=["name", "m.auc", "p.depth", "p.kind", "p.rate", "t.team"])

    assert table.to_pylist() == [
        {"name": "run-1", "m.auc": 0.5, "p.depth": 1, "p.kind": '"a"', "p.rate": 1.0, "t.team": None},
        {"name": "run-2", "m.auc": None, "p.depth": 2, "p.kind": "7", "p.rate": 0.5, "t.team": "x"},
    ]
    assert {"run_id", "params", "digest", "m.auc"} <= set(store.reader().table().column_names)


def test_a_table_of_an_empty_store_has_the_fixed_columns(tmp_path: Path) -> None:
    table = store_of(tmp_path).reader().table()

    assert table.num_rows == 0
    assert table.column_names[:3] == ["run_id", "session_id", "experiment"]


def test_a_table_holds_only_the_rows_and_columns_that_are_asked_for(tmp_path: Path) -> None:
    runs = [make_run(number, metrics={"auc": number / 10}) for number in range(1, 5)]
    store = store_of(tmp_path, runs[:3], runs[3:])

    table = store.reader().table(columns=["name"], where=(Comparison("metric", "auc", ">=", 0.3),))

    assert table.to_pylist() == [{"name": "run-3"}, {"name": "run-4"}]


def test_the_table_of_metrics_has_sealed_and_live_points_of_the_chosen_runs(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    writers = [store.writer(session_id="session") for _ in range(2)]
    for number, writer in enumerate(writers, 1):
        writer.start(RunStart(run_id(number), "session", "churn", f"run-{number}", "t", started_us=1_000 + number))
        for step in range(2):
            writer.append(writer.channel(run_id(number), "loss"), number / (step + 1), step)
        writer.append(writer.channel(run_id(number), "auc"), number / 10, None)
    writers[0].finish(run_id(1), RunEnd("finished", "passed"))
    writers[0].close()
    reader = store.reader()

    everything = reader.table("metrics", columns=["run_id", "name", "step", "value"]).to_pylist()
    chosen = reader.table("metrics", where=(Comparison("attribute", "name", "==", "run-2"),))
    writers[1].close()

    values = [(row["run_id"], row["name"], row["step"], row["value"]) for row in everything]
    assert sorted(values, key=str) == [
        (run_id(1), "auc", None, 0.1),
        (run_id(1), "loss", 0, 1.0),
        (run_id(1), "loss", 1, 0.5),
        (run_id(2), "auc", None, 0.2),
        (run_id(2), "loss", 0, 2.0),
        (run_id(2), "loss", 1, 1.0),
    ]
    assert (set(chosen.column("run_id").to_pylist()), chosen.num_rows) == ({run_id(2)}, 3)


def test_the_schema_of_a_table_is_that_of_what_is_read(tmp_path: Path) -> None:
    reader = store_of(tmp_path, [make_run(1, metrics={"auc": 0.5})]).reader()

    for name in TABLES:
        assert reader.table(name).schema.equals(reader.schema(name))
    with pytest.raises(QueryError, match="there is no table 'points'"):
        reader.table("points")  # type: ignore[arg-type]


def test_points_whose_file_is_damaged_are_no_table(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    writer = store.writer(session_id="session")
    log_run(writer, 1)
    writer.close()
    [path] = (store.path / "pts").glob("*.arrow")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.unlink()
    path.write_bytes(bytes(content))

    with pytest.raises(StoreDamagedError, match="the points of some runs cannot be read"):
        store.reader().table("metrics")


def test_an_unknown_column_is_an_error_that_lists_the_known(tmp_path: Path) -> None:
    with pytest.raises(QueryError, match=r"no run has a column 'm\.absent'") as caught:
        store_of(tmp_path, [make_run(1, metrics={"auc": 1.0})]).reader().table(columns=["m.absent"])

    assert "m.auc" in caught.value.details[0]


def test_a_damaged_segment_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    store = store_of(tmp_path, [make_run(1)], [make_run(2)])
    broken = store.path / "seg" / "segment-0.arrow"
    broken.write_bytes(broken.read_bytes()[:-50])
    (store.path / "seg" / "other.arrow").write_bytes(b"")
    reader = store.reader()

    assert names(reader.runs()) == ["run-2"]
    assert reader.damaged() == (str(store.path / "seg" / "other.arrow"), str(broken))


def test_flipped_bits_in_a_segment_hide_its_runs_at_worst(tmp_path: Path) -> None:
    store = store_of(
        tmp_path, [make_run(number, metrics={"auc": 0.5}, params={"a": '"x"'}) for number in range(3)], [make_run(9)]
    )
    path = store.path / "seg" / "segment-0.arrow"
    whole = path.read_bytes()

    for at in range(0, len(whole), 37):
        flipped = bytearray(whole)
        flipped[at] ^= 1 << at % 8
        path.unlink()  # in place would change what an open reader has mapped
        path.write_bytes(bytes(flipped))
        reader = store.reader()

        assert "run-9" in names(reader.runs())
        assert isinstance(reader.top(None, by="auc", goal="max"), list)
        assert isinstance(reader.damaged(), tuple)


def test_what_a_segment_replaces_is_not_shown_twice(tmp_path: Path) -> None:
    store = store_of(tmp_path, [make_run(1)], [make_run(2)])
    writer = store.writer(session_id="session")
    log_run(writer, 3)
    replaces = ("segment-0", "segment-1", f"log:{writer.log}")
    write_segment(store.path / "seg" / "z.arrow", [make_run(1), make_run(2), make_run(3)], replaces=replaces, series=())

    runs = store.reader().runs()
    writer.close()

    assert names(runs) == ["run-1", "run-2", "run-3"]


def test_a_log_sealed_while_a_view_is_taken_is_seen_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_of(tmp_path)
    writer = store.writer(session_id="session")
    log_run(writer, 1)
    pending = [writer.close]

    def seal_between(root: Path) -> list[str]:
        if pending:
            pending.pop()()
        return list_segments(root)

    monkeypatch.setattr("pytest_mlrun.store.view.list_segments", seal_between)

    assert names(store.reader().runs()) == ["run-1"]


def test_a_segment_compacted_while_a_view_is_taken_is_seen_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_of(tmp_path, [make_run(1)])
    old = store.path / "seg" / "segment-0.arrow"

    def compact_before(path: Path, *, guarded: bool) -> object:
        if path == old and old.exists():
            write_segment(store.path / "seg" / "z.arrow", [make_run(1)], replaces=("segment-0",), series=())
            old.unlink()
        return open_segment(path, guarded=guarded)

    monkeypatch.setattr("pytest_mlrun.store.view.open_segment", compact_before)

    assert names(store.reader().runs()) == ["run-1"]


def test_a_store_that_never_rests_is_an_error_not_a_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_of(tmp_path)
    counter = itertools.count()
    monkeypatch.setattr("pytest_mlrun.store.view.list_segments", lambda _: [f"gone-{next(counter)}"])

    with pytest.raises(StoreError, match="the run store changes faster than it can be read"):
        store.reader().runs()


def test_a_reader_waits_for_no_moment_in_which_nobody_seals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_of(tmp_path)
    writer = store.writer(session_id="session")
    log_run(writer, 0)
    numbers = itertools.count(1)

    def seal_another(path: Path) -> bytes:
        number = next(numbers)
        write_segment(store.path / "seg" / f"segment-{number}.arrow", [make_run(number)], replaces=(), series=())
        return read_bytes(path)

    monkeypatch.setattr("pytest_mlrun.store.view.read_bytes", seal_another)

    seen = names(store.reader().runs())
    writer.close()

    assert seen == ["run-0", "run-1"]


def test_a_log_of_another_boot_shows_a_question_mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_of(tmp_path)
    writer = store.writer(session_id="session")
    log_run(writer, 1, finish=False)
    monkeypatch.setattr("pytest_mlrun.store.view.find_boot_id", lambda: "another boot")

    (run,) = store.reader().runs()
    writer.close()

    assert (run.status, run.metrics, run.digest) == ("running?", {"loss": 0.25}, "")


def test_a_column_that_an_older_version_did_not_write_has_its_default(tmp_path: Path) -> None:
    store = store_of(tmp_path, [make_run(1)])
    path = store.path / "seg" / "segment-0.arrow"
    table = pa.ipc.open_file(path).read_all()
    older = table.drop_columns(["digest", "v"]).append_column("unknown", pa.array([1]))
    schema = with_blank(older.schema)
    with pa.ipc.new_file(path.with_suffix(".new"), schema) as writer:
        writer.write_table(older)
    stamp(path.with_suffix(".new"), schema)
    path.with_suffix(".new").replace(path)

    (run,) = store.reader().runs()

    assert (run.name, run.digest, run.v) == ("run-1", "", 1)


def test_a_segment_without_a_needed_column_is_damaged(tmp_path: Path) -> None:
    store = store_of(tmp_path, [make_run(1)], [make_run(2)])
    path = store.path / "seg" / "segment-0.arrow"
    table = pa.ipc.open_file(path).read_all().drop_columns(["name"])
    with pa.ipc.new_file(path.with_suffix(".new"), table.schema) as writer:
        writer.write_table(table)
    path.with_suffix(".new").replace(path)

    assert store.reader().damaged() == (str(path),)
    assert names(store.reader().runs()) == ["run-2"]


def test_queries_do_not_import_pandas(tmp_path: Path) -> None:
    store = store_of(tmp_path, WHERE_RUNS)
    (tmp_path / "pandas.py").write_text("raise SystemExit('pandas was imported')")
    code = (
        "import sys; from pathlib import Path; from pytest_mlrun.store.store import Store; "
        "from pytest_mlrun.records.run import RunEnd, RunStart; "
        "store = Store.open(Path(sys.argv[1])); writer = store.writer(session_id='s'); "
        f"writer.start(RunStart('{run_id(8)}', 's', 'churn', 'n', 't')); "
        f"writer.append(writer.channel('{run_id(8)}', 'auc'), 0.5, 1); "
        f"writer.finish('{run_id(8)}', RunEnd('finished', 'passed')); "
        "writer.close(); store.recover(); reader = store.reader(); "
        f"reader.series('{run_id(8)}', 'auc'); "
        "sys.stdout.write(str(len(reader.top('churn', by='auc', goal='max')) + len(reader.runs())))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}

    done = subprocess.run(
        [sys.executable, "-c", code, str(store.path)], capture_output=True, text=True, env=environment, check=False
    )

    assert (done.stdout, done.stderr) == ("7", "")


def test_a_reader_is_what_a_store_gives(tmp_path: Path) -> None:
    assert isinstance(cast("object", store_of(tmp_path).reader()), Reader)


def test_a_run_whose_log_is_sealed_while_it_is_read_is_shown_with_its_points(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.open(tmp_path / "store", create=True)
    writer = store.writer(session_id="s")
    writer.start(RunStart(run_id(1), "s", "churn", "run", "test_a.py::test"))
    writer.append(writer.channel(run_id(1), "loss"), 0.5, 0)

    def read_late(path: Path) -> Records:
        monkeypatch.undo()
        writer.finish_and_seal(run_id(1), RunEnd("finished", "passed"))  # the events were read before
        return read_points(path)

    monkeypatch.setattr(view, "read_points", read_late)
    (run,) = store.reader().runs()

    assert (run.status, run.metrics) == ("finished", {"loss": 0.5})
