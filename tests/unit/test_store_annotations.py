"""What is said about a run later stands beside its row, and is held to its own digest."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_mlrun.records.query import Comparison
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.store.annotations import encode
from pytest_mlrun.store.digest import compute_annotation_digest, compute_run_digest
from pytest_mlrun.store.store import Store
from pytest_mlrun.store.verify import verify_store

MakeRun = Callable[..., RunRecord]
WriteRuns = Callable[..., Path]


@pytest.fixture
def store(make_run: MakeRun, write_runs: WriteRuns) -> Store:
    """Three runs: two with tags, one without."""
    runs = [
        make_run("a", tags={"stage": "sweep", "fold": "1"}, metrics={"auc": 0.7}),
        make_run("b", tags={"stage": "sweep"}, metrics={"auc": 0.8}),
        make_run("c", metrics={"auc": 0.9}),
    ]
    return Store.open(write_runs(runs))


def names(store: Store, field: str, operator: str, value: float | str) -> list[str]:
    where = (Comparison("tag", field, operator, value),)  # type: ignore[arg-type]
    found = [run.name for run in store.reader().runs(where=where)]
    ranked = [run.name for run in store.reader().top(None, by="auc", goal="min", where=where)]
    assert ranked == found  # auc rises with age
    return found


def say(store: Store, name: str, **tags: str) -> str:
    run = store.reader().find(name)
    return store.annotate(run.run_id, tags=tags, note="because", who="ada@laptop").annotation_id


def test_added_tags_stand_over_those_of_the_row_and_its_digest_stays(store: Store) -> None:
    before = store.reader().find("a")

    say(store, "a", stage="candidate", owner="ada")

    after = store.reader().find("a")
    assert after == replace(before, tags={"stage": "candidate", "fold": "1", "owner": "ada"})
    assert after.digest == before.digest == compute_run_digest(before)


@pytest.mark.parametrize(
    ("field", "operator", "value", "expected"),
    [
        ("stage", "==", "candidate", ["a", "c"]),
        ("stage", "==", "sweep", ["b"]),
        ("stage", "!=", "candidate", ["b"]),
        ("fold", "==", "1", ["a", "b"]),
        ("fold", "<", 2, ["a", "b"]),
        ("owner", "==", "ada", []),
    ],
)
def test_filters_see_added_tags(store: Store, field: str, operator: str, value: str, expected: list[str]) -> None:
    say(store, "a", stage="candidate")
    say(store, "c", stage="candidate")
    say(store, "b", fold="1")

    assert names(store, field, operator, value) == expected


def test_the_last_event_counts_and_all_are_kept(store: Store) -> None:
    said = [say(store, "c", stage=stage) for stage in ("first", "second")]
    run = store.reader().find("c")

    events = store.reader().annotations(run.run_id)

    assert run.tags == {"stage": "second"}
    assert [(event.annotation_id, event.who, event.note) for event in events] == [
        (one, "ada@laptop", "because") for one in said
    ]


def test_of_two_events_at_one_time_the_higher_id_counts(store: Store) -> None:
    run = store.reader().find("c")
    for digit in "21":
        event = store.annotate(run.run_id, tags={"stage": digit}, note="", who="ada")
        written = store.path / "annotations" / f"{event.annotation_id}.json"
        written.unlink()
        event = replace(event, annotation_id=f"0190000{digit}-0000-7000-8000-000000000001", time_us=5)
        event = replace(event, digest=compute_annotation_digest(event))
        (store.path / "annotations" / f"{event.annotation_id}.json").write_bytes(encode(event))

    assert store.reader().find("c").tags == {"stage": "2"}


def test_a_reader_sees_an_event_that_comes_later(store: Store) -> None:
    reader = store.reader()
    assert reader.find("c").tags == {}

    say(store, "c", stage="late")

    assert reader.find("c").tags == {"stage": "late"}


def test_stores_merge_by_copying_their_folders(store: Store, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(store.path, copy)
    say(store, "a", here="1")
    say(Store.open(copy), "a", there="2")

    shutil.copytree(copy, store.path, dirs_exist_ok=True)

    tags = store.reader().find("a").tags
    assert {name: tags[name] for name in ("here", "there")} == {"here": "1", "there": "2"}
    assert list(verify_store(store)) == []


def test_an_event_about_a_run_that_is_not_here_waits_for_it(store: Store) -> None:
    store.annotate("01900000-0000-7000-8000-00000000dead", tags={"a": "b"}, note="", who="ada")

    assert len(store.reader().runs()) == 3
    assert (list(verify_store(store)), store.reader().damaged()) == ([], ())


def test_every_flipped_bit_is_found_and_the_event_is_left_out(store: Store) -> None:
    path = store.path / "annotations" / f"{say(store, 'c', stage='x')}.json"
    content = path.read_bytes()

    for at in range(len(content)):
        for bit in (1, 32):
            path.write_bytes(content[:at] + bytes([content[at] ^ bit]) + content[at + 1 :])
            reader = store.reader()
            assert (reader.find("c").tags, reader.damaged()) == ({}, (str(path),)), (at, bit)
    finding = list(verify_store(store))

    assert [(one.kind, one.path) for one in finding] == [("annotation", str(path))]


def test_an_event_under_another_name_is_found(store: Store) -> None:
    path = store.path / "annotations" / f"{say(store, 'c', stage='x')}.json"
    path.rename(path.with_name("01900000-0000-7000-8000-000000000001.json"))

    assert [finding.message for finding in verify_store(store)] == [
        f"the annotation is not what was written: it calls itself {path.stem}"
    ]


def test_the_digest_is_what_the_format_says(store: Store) -> None:
    said = say(store, "c", b="2", a='ü"')
    path = store.path / "annotations" / f"{said}.json"
    fields = json.loads(path.read_text("utf-8"))

    pairs = [
        [name, str(fields[name]) if name in {"time_us", "v"} else fields[name]]
        for name in ("annotation_id", "note", "run_id", "tags", "time_us", "v", "who")
    ]
    pairs[3][1] = [["a", 'ü"'], ["b", "2"]]
    text = json.dumps(["mlrun-annotation-1", pairs], ensure_ascii=False, separators=(",", ":"))

    assert fields["digest"] == "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def test_text_that_is_no_unicode_is_kept_readable(store: Store) -> None:
    say(store, "c", stage="\udc80")

    assert store.reader().find("c").tags == {"stage": "\\udc80"}
