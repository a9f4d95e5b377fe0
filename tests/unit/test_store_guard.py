"""A column is compared with its checksum when it is first read, and not before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from pytest_mlrun.records.query import Comparison
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.store.digest import compute_run_digest
from pytest_mlrun.store.reader import Reader
from pytest_mlrun.store.segment import decode_runs, open_segment, write_segment
from pytest_mlrun.store.store import Store

MakeRun = Callable[..., RunRecord]
WHERE = (Comparison("param", "depth", "<", 6.0), Comparison("tag", "team", "==", "red"))
QUESTIONS: dict[str, Callable[[Reader], object]] = {
    "top": lambda reader: reader.top("churn", by="auc", goal="max", where=WHERE, limit=2),
    "count": lambda reader: reader.count(where=WHERE),
    "count of an experiment": lambda reader: reader.count(experiment="churn"),
    "newest": lambda reader: reader.runs(where=WHERE, limit=1),
    "find": lambda reader: reader.find_all("000000000005"),
    "find whole id": lambda reader: reader.find_all("01920000-0000-7000-8000-000000000005"),
    "census": lambda reader: reader.census("churn", by="auc", where=WHERE),
    "metrics": lambda reader: reader.metrics(),
    "experiments": lambda reader: reader.experiments(),
    "table": lambda reader: reader.table(columns=["name", "test", "digest"]).to_pylist(),
}


@pytest.fixture
def store(tmp_path: Path, make_run: MakeRun) -> Store:
    records = [
        make_run(
            f"run-{number}",
            run_id=f"01920000-0000-7000-8000-{number:012x}",
            params={"depth": str(number)},
            metrics={"auc": (number * 7 % 10) / 10},
            tags={"team": "red" if number % 2 else "blue"},
        )
        for number in range(10)
    ]
    store = Store.open(tmp_path / "store", create=True)
    (store.path / "seg").mkdir(exist_ok=True)
    whole = [replace(record, digest=compute_run_digest(record)) for record in records]
    write_segment(path_of(store), whole, replaces=(), series=())
    return store


def path_of(store: Store) -> Path:
    return store.path / "seg" / "segment.arrow"


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1 << at % 8
    path.unlink()  # in place would change what an open reader has mapped
    path.write_bytes(bytes(content))


def place_of(path: Path, name: str) -> int:
    """Where the last buffer of a column begins in its file."""
    whole = pa.py_buffer(path.read_bytes())
    with pa.ipc.open_file(pa.BufferReader(whole)) as file:
        buffers = file.get_batch(0).column(name).buffers()
    return int(buffers[-1].address - whole.address)


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=list(QUESTIONS))
def test_a_flipped_bit_changes_no_answer_in_silence(store: Store, question: Callable[[Reader], object]) -> None:
    path = path_of(store)
    whole = path.read_bytes()
    truth = question(store.reader())
    refused = 0

    for at in range(0, len(whole), 167):
        flip(path, at)
        reader = store.reader()
        answer = question(reader)
        assert answer == truth or reader.damaged() == (str(path),)
        refused += bool(reader.damaged())
        path.write_bytes(whole)

    assert 0 < refused < len(whole) / 167


def test_a_column_that_a_question_reads_is_compared_and_named(store: Store) -> None:
    flip(path_of(store), place_of(path_of(store), "m.auc") + 7)
    reader = store.reader()

    best = reader.top("churn", by="auc", goal="max", limit=1)

    # The rows' own digests hold, and so the typed column was made anew from them.
    assert [run.metrics["auc"] for run in best] == [0.9]
    assert reader.damaged() == (str(path_of(store)),)


def test_a_column_that_a_question_leaves_alone_is_not_read(store: Store) -> None:
    flip(path_of(store), place_of(path_of(store), "t.team"))
    reader = store.reader()

    assert reader.count(where=(Comparison("metric", "auc", ">", 0.45),)) == 5
    assert reader.damaged() == ()
    assert reader.count(where=(Comparison("tag", "team", "==", "red"),)) == 5
    assert reader.damaged() == (str(path_of(store)),)


def test_a_file_whose_columns_have_no_checksums_is_compared_whole(store: Store) -> None:
    path = path_of(store)
    with pa.ipc.open_file(pa.BufferReader(path.read_bytes())) as file:
        table = file.read_all()
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)

    segment = open_segment(path, guarded=True)

    assert (segment.intact, segment.guards) == (False, ())


def test_counting_reads_no_column(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_mlrun.store.guard.Part.column", lambda *_: pytest.fail("a column was read"))

    assert store.reader().count() == 10
    assert store.reader().count(experiment="churn") == 10
    assert store.reader().count(where=(Comparison("attribute", "status", "!=", "finished"),)) == 0


def test_a_ranking_decodes_only_the_runs_that_it_returns(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[int] = []
    original = decode_runs

    def count(batch: pa.RecordBatch) -> list[RunRecord]:
        decoded.append(batch.num_rows)
        return original(batch)

    monkeypatch.setattr("pytest_mlrun.store.selection.decode_runs", count)
    monkeypatch.setattr("pytest_mlrun.store.selection._DENSE", 1)

    assert len(store.reader().top("churn", by="auc", goal="max", limit=3)) == 3
    assert len(store.reader().runs(limit=2)) == 2
    assert sum(decoded) == 5
