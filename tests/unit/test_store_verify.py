"""Verification names everything that is not as it was written, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from pytest_mlrun.errors import StoreDamagedError
from pytest_mlrun.records.run import Artifact, RunEnd, RunStart
from pytest_mlrun.store.checksum import stamp, with_blank
from pytest_mlrun.store.layout import LogFiles
from pytest_mlrun.store.segment import write_segment
from pytest_mlrun.store.store import Store
from pytest_mlrun.store.verify import Finding, verify_store

RUN = "01920000-0000-7000-8000-000000000001"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store.open(tmp_path / "store", create=True)
    writer = store.writer(session_id="session")
    writer.start(RunStart(RUN, "session", "churn", "run", "t", params={"depth": "3"}))
    digest, size_bytes = store.objects.put_bytes(b"weights")
    writer.artifact(RUN, Artifact("m.bin", digest, size_bytes))
    loss = writer.channel(RUN, "loss")
    for step in range(10):
        writer.append(loss, step / 4, step)
    writer.append(writer.channel(RUN, "nan"), float("nan"), None)
    writer.finish(RUN, RunEnd("finished", "passed"))
    writer.close()
    return store


def only(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def summary(store: Store) -> list[tuple[str, tuple[str, ...]]]:
    return [(finding.kind, finding.run_ids) for finding in verify_store(store)]


def change_table(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    """Change a file as somebody does who knows how to give it a checksum again."""
    table = change(pa.ipc.open_file(path.read_bytes()).read_all())
    schema = with_blank(table.schema)
    with pa.ipc.new_file(path, schema) as writer:
        writer.write_table(table)
    stamp(path, schema)


def test_an_intact_store_has_no_findings(store: Store) -> None:
    assert list(verify_store(store)) == []


def test_a_run_that_is_there_twice_is_found(store: Store) -> None:
    path = only(store.path / "seg")
    (run,) = store.reader().runs()
    again = path.with_name("01920000-0000-7000-8000-0000000000ff.arrow")
    write_segment(again, [run], replaces=(), series=(path.stem,))

    (finding,) = verify_store(store)

    assert (finding.kind, finding.run_ids) == ("twice", (RUN,))
    assert finding.message == f"run 00000001 is there twice: also in {min(path.name, again.name)}"


def test_a_changed_run_is_found(store: Store) -> None:
    (run,) = store.reader().runs()
    path = only(store.path / "seg")
    write_segment(path, [replace(run, tags={"added": "later"})], replaces=(f"log:{path.stem}",), series=(path.stem,))

    (finding,) = verify_store(store)

    assert isinstance(finding, Finding)
    assert (finding.kind, finding.path, finding.run_ids) == ("run", str(path), (RUN,))
    assert finding.message.startswith(
        f"run 00000001 is not what was recorded: digest {run.digest[:19]}…, found sha256:"
    )


def test_a_changed_typed_column_is_found(store: Store) -> None:
    def change(table: pa.Table) -> pa.Table:
        at = table.schema.get_field_index("p.depth")
        return table.set_column(at, table.schema.field(at), pa.array([4]))

    change_table(only(store.path / "seg"), change)

    assert [(finding.kind, finding.message) for finding in verify_store(store)] == [
        ("columns", "column 'p.depth' does not repeat what the runs say")
    ]


def test_a_changed_point_is_found(store: Store) -> None:
    def change(table: pa.Table) -> pa.Table:
        at = table.schema.get_field_index("value")
        values = [*table.column("value")[0].as_py()[:-1], 99.0]
        return table.set_column(at, table.schema.field(at), pa.array([values]))

    change_table(only(store.path / "pts"), change)

    assert [(finding.kind, finding.message) for finding in verify_store(store)] == [
        ("series", "series 'loss' of run 00000001 is not what was recorded")
    ]


def test_a_series_whose_lists_differ_in_length_is_found_and_refused(store: Store) -> None:
    def change(table: pa.Table) -> pa.Table:
        at = table.schema.get_field_index("step")
        return table.set_column(at, table.schema.field(at), pa.array([table.column("step")[0].as_py()[1:]]))

    change_table(only(store.path / "pts"), change)

    assert summary(store) == [("series", (RUN,))]
    with pytest.raises(StoreDamagedError, match="the points of 'loss' of run 00000001 cannot be read"):
        store.reader().series(RUN, "loss")


def test_a_missing_series_file_is_found(store: Store) -> None:
    only(store.path / "pts").unlink()

    assert summary(store) == [("series", ()), ("series", (RUN,))]


def test_a_damaged_series_file_is_found(store: Store) -> None:
    path = only(store.path / "pts")
    path.write_bytes(path.read_bytes()[:-20])

    assert summary(store) == [("series", ()), ("series", (RUN,))]


def test_a_damaged_segment_is_found(store: Store) -> None:
    path = only(store.path / "seg")
    path.write_bytes(path.read_bytes()[:-20])

    assert summary(store) == [("segment", ())]


def test_a_segment_whose_rows_cannot_be_decoded_is_found(store: Store) -> None:
    path = only(store.path / "seg")
    content = path.read_bytes()
    path.write_bytes(content.replace(RUN.encode(), b"\xff" + RUN.encode()[1:]))

    (finding,) = verify_store(store)

    assert (finding.kind, finding.path) == ("segment", str(path))
    assert finding.message == "the segment's checksum does not hold: 1 of 1 runs is not readable"


@pytest.mark.parametrize("how", ["changed", "missing"])
def test_a_damaged_object_is_found_with_the_runs_that_need_it(store: Store, how: str) -> None:
    (run,) = store.reader().runs()
    path = store.objects.path(run.artifacts[0].digest)
    path.parent.chmod(0o755)
    path.chmod(0o644)
    if how == "changed":
        path.write_bytes(b"weightz")
    else:
        path.unlink()

    assert summary(store) == [("object", (RUN,))]


def test_every_flipped_bit_of_a_segment_that_changes_a_run_is_found(store: Store) -> None:
    path = only(store.path / "seg")
    whole = path.read_bytes()
    (intact,) = store.reader().runs()
    changed = 0

    for at in range(0, len(whole), 61):
        flipped = bytearray(whole)
        flipped[at] ^= 1 << at % 8
        path.unlink()
        path.write_bytes(bytes(flipped))
        runs = store.reader().runs()

        if repr(runs) != repr([intact]):
            changed += 1
            assert list(verify_store(store)) != [], f"byte {at}"
    assert changed > 5


def test_a_run_under_way_is_no_finding(store: Store) -> None:
    writer = store.writer(session_id="session")
    writer.start(RunStart(RUN[:-1] + "2", "session", "churn", "n", "t"))
    writer.append(writer.channel(RUN[:-1] + "2", "loss"), 0.5, 1)

    found = summary(store)
    writer.close()

    assert found == []


def test_the_incomplete_end_of_a_dead_log_is_found_and_that_of_a_living_one_is_not(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = store.writer(session_id="session")
    with LogFiles(store.path, writer.log).events.open("ab") as file:
        file.write(b"\xff\xff\xff\xff")

    alive = summary(store)
    monkeypatch.setattr("pytest_mlrun.store.verify.find_boot_id", lambda: "another boot")
    dead = [finding.message for finding in verify_store(store)]
    writer.close()

    assert (alive, dead) == ([], ["the log's last 4 bytes are incomplete"])
