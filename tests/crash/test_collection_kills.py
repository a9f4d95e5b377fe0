"""A collection that is killed anywhere takes nothing that is wanted, and the next one ends its work."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytest_mlrun.records.run import Artifact, RunEnd, RunStart
from pytest_mlrun.store.store import Store
from pytest_mlrun.store.verify import count_collected, verify_store
from tests.crash.store_jobs import run_server

DIED = 9
Server = Callable[..., int]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Send jobs to processes that may die."""
    with run_server("collection_child") as send:
        yield lambda verb, folder, **facts: send(verb, folder, **facts)[0]


def make_store(folder: Path) -> None:
    store = Store.open(folder / "store", create=True)
    files = [
        ["a.bin", 3, store.objects.put_bytes(b"row")[0][7:]],
        ["b.bin", 5, store.objects.put_bytes(b"other")[0][7:]],
    ]
    listing = json.dumps({"digest": "sha256:" + "0" * 64, "kind": "folder", "files": files}).encode()
    writer = store.writer(session_id="s")
    for number, (name, contents) in enumerate({"keep": [b"model", b"shared"], "old": [b"old", b"shared"]}.items()):
        run_id = f"01920000-0000-7000-8000-{number:012x}"
        writer.start(RunStart(run_id, "s", "e", name, "t"))
        for at, content in enumerate([*contents, b"wanted again"] if name == "old" else contents):
            writer.artifact(run_id, Artifact(f"file-{at}", *store.objects.put_bytes(content)))
        if name == "old":
            writer.artifact(run_id, Artifact("data.json", *store.objects.put_bytes(listing), role="snapshot"))
        writer.finish(run_id, RunEnd("finished", "passed"))
    writer.close()
    store.objects.put_bytes(b"nobody's")


def read_kept(store: Store) -> list[bytes]:
    reader = store.reader()
    kept = [run for run in reader.runs() if run.name.startswith("keep")]
    return sorted(reader.read_artifact(run, artifact.name) for run in kept for artifact in run.artifacts)


@pytest.mark.parametrize("late", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_a_kill_at_any_step_takes_nothing_wanted_and_the_next_collection_ends_the_work(
    server: Server, tmp_path: Path, late: int
) -> None:
    make_store(tmp_path)
    rehearsal = tmp_path / "rehearsal"
    shutil.copytree(tmp_path / "store", rehearsal / "store")
    assert server("gc", rehearsal, late=late) == 0
    steps = (rehearsal / "trace").read_text().splitlines()
    expected = sorted([b"model", b"shared", *([b"wanted again"] if late else [])])

    for last in range(1, len(steps) + 1):
        folder = tmp_path / f"{last}"
        shutil.copytree(tmp_path / "store", folder / "store")

        assert server("gc", folder, late=late, last=last) == DIED

        store = Store.open(folder / "store")
        assert read_kept(store) == expected
        assert list(verify_store(store)) == []
        assert server("gc", folder) == 0
        assert read_kept(store) == expected
        assert {store.objects.read(digest) for digest in store.objects} == set(expected)
        assert list((folder / "store" / "trash").iterdir()) == []
        assert list(verify_store(store)) == []
        assert count_collected(store) == (2 if late else 3)

    assert {"gc.taken", "gc.all-taken", "gc.roots-read-again", "install.tombstones.before-rename", "gc.let-go"} < set(
        steps
    )
    assert ("gc.brought-back" in steps) is bool(late)


def stress(server: Server, folder: Path, *, sessions: int, kills: int, seed: int) -> None:
    assert server("stress", folder, sessions=sessions, kills=kills, seed=seed) == 0
    store = Store.open(folder / "store")
    store.recover()

    assert list(verify_store(store)) == []
    assert server("gc", folder) == 0

    runs = store.reader().runs()
    assert len(runs) == 4 * 4 * sessions
    kept = {artifact.digest for run in runs if run.name == "keep" for artifact in run.artifacts}
    assert set(store.objects) == kept
    assert all(store.objects.verify(digest) for digest in kept)
    assert list((folder / "store" / "trash").iterdir()) == []
    assert list(verify_store(store)) == []


def test_writers_of_the_same_objects_lose_none_while_collections_are_killed(server: Server, tmp_path: Path) -> None:
    stress(server, tmp_path, sessions=8, kills=4, seed=1)


@pytest.mark.slow
def test_writers_of_the_same_objects_lose_none_while_many_collections_are_killed(
    server: Server, tmp_path: Path
) -> None:
    stress(server, tmp_path, sessions=150, kills=60, seed=2)
