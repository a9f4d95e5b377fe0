"""A bundle may hold the runs that belong to its run, and no others."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_mlrun.errors import RunNotFoundError, StoreConflictError, StoreDamagedError, StoreError
from pytest_mlrun.records.run import Artifact, RunEnd, RunStart
from pytest_mlrun.store.bundle import open_bundle
from pytest_mlrun.store.bundle_form import pack, unpack
from pytest_mlrun.store.bundle_write import pack_run, write_bundle
from pytest_mlrun.store.store import Store
from pytest_mlrun.store.verify import verify_store

RUN, CHILD, JUDGE, STRANGER, OPEN = (
    f"01900000-0000-7000-8000-0000000000{end}" for end in ("ab", "c1", "d1", "e1", "f1")
)
Change = Callable[[dict[str, bytes]], object]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with a run, a training of it, its judge, and a stranger."""
    store = Store.open(tmp_path / "store", create=True)
    writer = store.writer(session_id="s")
    for place, (run_id, parent, context) in enumerate(
        (
            (RUN, None, {}),
            (CHILD, RUN, {}),
            (JUDGE, None, {"selection.winner": json.dumps(RUN)}),
            (STRANGER, None, {}),
        )
    ):
        start = RunStart(run_id, "s", "churn", f"run{place}", "t.py::test", parent_id=parent, params={"a": f"{place}"})
        writer.start(start)
        writer.context(run_id, context)
        writer.append(writer.channel(run_id, "loss"), place / 7, 1)
        for role, content in (("predictions", f"p{place}"), ("labels", "labels"), ("model", f"m{place}")):
            staged = store.objects.stage_bytes(content.encode())
            writer.artifact(run_id, Artifact(f"{role}/val.arrow", staged.digest, staged.size_bytes, role=role))
            store.objects.publish(staged)
        writer.finish(run_id, RunEnd("finished", "passed", ended_us=place + 2))
    writer.close()
    return store


@pytest.fixture
def file(store: Store, tmp_path: Path) -> Path:
    """The run's bundle, with those that belong to it."""
    target = tmp_path / "churn.mlrun"
    write_bundle(target, pack_run(store.path, RUN, choice="rows", companions=[JUDGE, CHILD]))
    return target


def test_those_that_belong_to_a_run_are_read_as_the_store_has_them(store: Store, file: Path) -> None:
    bundle = open_bundle(file)

    child, judge = bundle.companions
    assert (bundle.row, child, judge) == tuple(store.reader().runs()[:3])
    assert [bundle.read_artifact("predictions/val.arrow", run) for run in (None, child, judge)] == [b"p0", b"p1", b"p2"]
    assert bundle.series("loss", judge).values.tolist() == [2 / 7]
    assert bundle.left_out == ("model/val.arrow",)
    about = json.loads(unpack(file.read_bytes())["bundle.json"])
    assert (about["format"], about["runs"]) == ("0.2", {CHILD: child.digest, JUDGE: judge.digest})


def test_an_import_takes_all_of_them_and_the_second_changes_nothing(file: Path, tmp_path: Path) -> None:
    other = Store.open(tmp_path / "other", create=True)

    first, second = (other.take_bundle(open_bundle(file)) for _ in range(2))

    assert (len(first.added), len(second.added)) == (3, 0)
    assert {run.run_id for run in other.reader().runs()} == {RUN, CHILD, JUDGE}
    assert not verify_store(other)
    child = other.reader().find(CHILD)
    assert other.reader().read_artifact(child, "predictions/val.arrow") == b"p1"


def test_another_record_of_a_companion_is_a_contradiction(store: Store, file: Path, tmp_path: Path) -> None:
    other = Store.open(tmp_path / "other", create=True)
    writer = other.writer(session_id="s")
    writer.start(RunStart(CHILD, "s", "churn", "another", "t.py::test"))
    writer.finish(CHILD, RunEnd("finished", "passed", ended_us=2))
    writer.close()

    with pytest.raises(StoreConflictError):
        other.take_bundle(open_bundle(file))

    assert [run.run_id for run in other.reader().runs()] == [CHILD]


def test_a_companion_that_is_missing_or_has_not_ended_is_named(store: Store) -> None:
    writer = store.writer(session_id="s")
    writer.start(RunStart(OPEN, "s", "churn", "open", "t.py::test", parent_id=RUN))

    with pytest.raises(StoreError, match="run 000000f1 has not ended"):
        pack_run(store.path, RUN, companions=[OPEN])
    with pytest.raises(RunNotFoundError, match="there is no run nobody"):
        pack_run(store.path, RUN, companions=["nobody"])


def rewrite(members: dict[str, bytes], run_id: str, old: bytes, new: bytes) -> None:
    """Change the record of a companion, and everything that follows from it."""
    name = f"runs/{run_id}.json"
    before = hashlib.sha256(members[name]).hexdigest().encode()
    assert old in members[name]
    members[name] = members[name].replace(old, new)
    after = hashlib.sha256(members[name]).hexdigest().encode()
    members["bundle.json"] = members["bundle.json"].replace(before, after)


def rename(members: dict[str, bytes], run_id: str, other: str) -> None:
    rewrite(members, run_id, f'["run_id","{run_id}"]'.encode(), f'["run_id","{other}"]'.encode())
    members["bundle.json"] = members["bundle.json"].replace(run_id.encode(), other.encode())


HOSTILE: dict[str, tuple[Change, str]] = {
    "changed record": (
        lambda m: m.update({f"runs/{CHILD}.json": m[f"runs/{CHILD}.json"].replace(b"passed", b"failed")}),
        "bundle.json names another run, or run.json is not what was recorded",
    ),
    "companion that is not told of": (
        lambda m: m.update({"bundle.json": m["bundle.json"].replace(b'"0.2"', b'"0.1"')}),
        "bundle.json names another run, or run.json is not what was recorded",
    ),
    "missing companion": (lambda m: m.pop(f"runs/{CHILD}.json"), "bundle.json names another run"),
    "stranger": (
        lambda m: rewrite(m, CHILD, f'["parent_id","{RUN}"]'.encode(), f'["parent_id","{STRANGER}"]'.encode()),
        "does not belong to the run",
    ),
    "judge of another": (
        lambda m: rewrite(m, JUDGE, RUN.encode(), STRANGER.encode()),
        "does not belong to the run",
    ),
    "the run itself": (lambda m: rename(m, CHILD, RUN), "is another run"),
    "id that is a path": (lambda m: rename(m, CHILD, "../x"), "not that of a run that has ended"),
    "name that is a path": (
        lambda m: m.update({"runs/../../x.json": m.pop(f"runs/{CHILD}.json")}),
        "no member of a bundle has the name",
    ),
    "under way": (lambda m: rewrite(m, CHILD, b'"finished"', b'"running"'), "not that of a run that has ended"),
    "spaces": (lambda m: rewrite(m, CHILD, b'["v","1"]', b'["v", "1"]'), "not written in its canonical form"),
    "deep": (lambda m: rewrite(m, CHILD, m[f"runs/{CHILD}.json"], b"[" * 100_000), "has not the form of one"),
    "wrong rows": (
        lambda m: m.update({f"objects/{hashlib.sha256(b'p1').hexdigest()}": b"p9"}),
        "is not what its digest says",
    ),
    "missing series": (
        lambda m: m.pop([name for name in m if name.startswith("series/")][-1]),
        "is missing",
    ),
    "rows of nobody": (lambda m: m.update({f"objects/{hashlib.sha256(b'x').hexdigest()}": b"x"}), "belongs to nothing"),
}


@pytest.mark.parametrize(("change", "reason"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_family_that_was_not_exported_is_refused(file: Path, change: Change, reason: str) -> None:
    members = unpack(file.read_bytes())
    change(members)
    first = members.pop("bundle.json")
    file.write_bytes(pack({"bundle.json": first, **{name: members[name] for name in sorted(members)}}))

    with pytest.raises(StoreDamagedError, match="not a bundle as it was exported: ") as refused:
        open_bundle(file)

    assert reason in refused.value.headline
