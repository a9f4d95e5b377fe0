"""A bundle is one run as it was recorded, or it is refused before anything is written."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_mlrun.errors import (
    ArtifactError,
    MetricError,
    MlrunError,
    RunNotFoundError,
    StoreConflictError,
    StoreDamagedError,
    StoreError,
    StoreFormatError,
    StoreWriteError,
)
from pytest_mlrun.records.run import Artifact, RunEnd, RunRecord, RunStart
from pytest_mlrun.records.verdict import Verdict
from pytest_mlrun.store import bundle_form
from pytest_mlrun.store.bundle import open_bundle
from pytest_mlrun.store.bundle_form import pack, unpack
from pytest_mlrun.store.bundle_row import parse_run
from pytest_mlrun.store.bundle_write import export_run
from pytest_mlrun.store.digest import canonical_text
from pytest_mlrun.store.store import Store
from pytest_mlrun.store.verify import verify_store

RUN = "01900000-0000-7000-8000-0000000000ab"
EVENT = "01900000-0000-7000-8000-0000000000ee"
Change = Callable[[dict[str, bytes]], object]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with one run that has everything, and a tag that was added to it."""
    store = Store.open(tmp_path / "store", create=True)
    writer = store.writer(session_id="s")
    writer.start(
        RunStart(RUN, "s", "churn", "größe", "t.py::test", parent_id="p", started_us=1, params={"a": '"\\u0001"'})
    )
    for name, step in (("loss", 3), ("auc", None)):
        channel = writer.channel(RUN, name)
        for value in (0.1, float("nan"), float("-inf"), -0.0):
            writer.append(channel, value, step)
    writer.gate(RUN, Verdict("floor", "auc", "PASS", calibrated=False, estimate=float("nan"), m=3))
    for name, role, content in (
        ("labels/val.arrow", "labels", b"l" * 300),
        ("predictions/val.arrow", "predictions", bytes(range(256)) * 2000),
        ("notes.txt", "artifact", b"notes"),
        ("big.txt", "artifact", b"b" * (bundle_form.MOST_RATIO << 12)),
        ("model.skops", "model", b"model"),
    ):
        staged = store.objects.stage_bytes(content)
        writer.artifact(RUN, Artifact(name, staged.digest, staged.size_bytes, role=role))
        store.objects.publish(staged)
    writer.finish(RUN, RunEnd("finished", "passed", ended_us=2))
    writer.close()
    store.annotate(RUN, tags={"stage": "candidate"}, note="best", who="ada")
    return store


@pytest.fixture
def file(store: Store, tmp_path: Path) -> Path:
    """The run's bundle."""
    target = tmp_path / "churn.mlrun"
    export_run(store.path, RUN, target)
    return target


def row_of(store: Store) -> RunRecord:
    from pytest_mlrun.store.merge_source import StoreSource

    (group,) = StoreSource(store.path).read({RUN})
    return group.records[0]


def test_a_bundle_reads_as_the_store_it_came_from(store: Store, file: Path) -> None:
    (run,) = store.reader().runs()

    bundle = open_bundle(file)

    assert repr(bundle.run) == repr(run)
    assert bundle.run.tags == {"stage": "candidate"}
    assert repr(bundle.row) == repr(row_of(store))
    assert bundle.annotations == store.reader().annotations(RUN)
    for name in ("loss", "auc"):
        found, expected = bundle.series(name), store.reader().series(RUN, name)
        for field in ("steps", "times_us", "values"):
            assert repr(getattr(found, field)) == repr(getattr(expected, field))
    for name in bundle.artifacts:
        assert bundle.read_artifact(name) == store.reader().read_artifact(run, name)


@pytest.mark.parametrize(
    ("choice", "also", "left_out"),
    [
        ("small", (), ("big.txt", "model.skops")),
        ("small", ("model.skops",), ("big.txt",)),
        ("all", (), ()),
        ("none", (), ("labels/val.arrow", "predictions/val.arrow", "notes.txt", "big.txt", "model.skops")),
    ],
)
def test_the_artifacts_that_were_chosen_are_in_it(
    store: Store, tmp_path: Path, choice: str, also: tuple[str, ...], left_out: tuple[str, ...]
) -> None:
    target = tmp_path / "x.mlrun"

    export_run(store.path, RUN, target, choice=choice, also=also)  # type: ignore[arg-type]

    assert open_bundle(target).left_out == left_out


def test_what_was_collected_is_left_out_and_asked_for_by_name_it_is_an_error(store: Store, tmp_path: Path) -> None:
    digest = {artifact.name: artifact.digest for artifact in row_of(store).artifacts}["notes.txt"]
    store.objects.path(digest).unlink()
    (store.path / "tombstones").mkdir()
    tombstone = {"time_us": 1, "objects": {digest: "exploratory_days = 90"}}
    (store.path / "tombstones" / f"{EVENT}.json").write_text(json.dumps(tombstone))
    target = tmp_path / "x.mlrun"

    export_run(store.path, RUN, target)

    assert "notes.txt" in open_bundle(target).left_out
    with pytest.raises(MlrunError):
        export_run(store.path, RUN, target, also=("notes.txt",))


def test_the_same_run_gives_the_same_bytes_from_wherever_it_lies(store: Store, file: Path, tmp_path: Path) -> None:
    other = Store.open(tmp_path / "other", create=True)
    other.take_bundle(open_bundle(file))
    again = tmp_path / "again.mlrun"

    export_run(other.path, RUN, again)

    assert again.read_bytes() == file.read_bytes()


def test_any_zip_tool_reads_it_and_every_digest_is_that_of_a_member(store: Store, file: Path) -> None:
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        members = {name: archive.read(name) for name in archive.namelist()}

    row = row_of(store)
    assert f"sha256:{hashlib.sha256(members['run.json']).hexdigest()}" == row.digest
    for name, content in members.items():
        folder, _, digest = name.partition("/")
        if folder in {"series", "objects"}:
            assert hashlib.sha256(content).hexdigest() == digest
    assert json.loads(members["bundle.json"]) == {
        "digest": row.digest,
        "format": "0.1",
        "kind": "mlrun-bundle",
        "run_id": RUN,
    }


def test_an_import_is_the_run_as_it_was_and_the_second_changes_nothing(
    store: Store, file: Path, tmp_path: Path
) -> None:
    other = Store.open(tmp_path / "other", create=True)

    first, second = other.take_bundle(open_bundle(file)), other.take_bundle(open_bundle(file))

    assert (first.added, first.annotations, first.objects) == ((RUN,), 1, 3)
    assert (second.added, second.known, second.annotations, second.objects) == ((), 1, 0, 0)
    (run,), (expected,) = other.reader().runs(), store.reader().runs()
    assert repr(run) == repr(expected)
    assert list(verify_store(other)) == []


def test_an_artifact_that_was_left_out_is_no_damage_and_comes_with_the_store(
    store: Store, file: Path, tmp_path: Path
) -> None:
    other = Store.open(tmp_path / "other", create=True)
    other.take_bundle(open_bundle(file))
    (run,) = other.reader().runs()

    with pytest.raises(ArtifactError, match="an object was left out when its run was exported: sha256 9372c470eead…"):
        other.reader().read_artifact(run, "model.skops")

    further = Store.open(tmp_path / "further", create=True)
    further.merge(other)
    assert list(verify_store(further)) == []
    further.merge(store)
    assert further.reader().read_artifact(run, "model.skops") == b"model"


def test_a_bundle_of_another_record_of_the_run_is_refused(store: Store, file: Path, tmp_path: Path) -> None:
    other = Store.open(tmp_path / "other", create=True)
    writer = other.writer(session_id="s")
    writer.start(RunStart(RUN, "s", "churn", "other", "t.py::test", started_us=1))
    writer.finish(RUN, RunEnd("finished", "passed", ended_us=2))
    writer.close()

    with pytest.raises(StoreConflictError, match="nothing was taken over: 1 run contradicts what is here"):
        other.take_bundle(open_bundle(file))

    assert not (other.path / "objects").exists()


def test_a_run_that_cannot_be_exported_is_named(store: Store, tmp_path: Path) -> None:
    target = tmp_path / "x.mlrun"
    writer = store.writer(session_id="s")
    writer.start(RunStart(RUN[:-1] + "c", "s", "churn", "going", "t.py::test"))

    with pytest.raises(StoreError, match="run 000000ac has not ended: only what cannot change is exported"):
        export_run(store.path, RUN[:-1] + "c", target)
    with pytest.raises(RunNotFoundError, match=f"there is no run {RUN[:-1]}d"):
        export_run(store.path, RUN[:-1] + "d", target)
    with pytest.raises(ArtifactError, match="run 000000ab has no artifact 'x'"):
        export_run(store.path, RUN, target, also=("x",))
    with pytest.raises(StoreWriteError, match="the bundle cannot be written: No such file or directory"):
        export_run(store.path, RUN, tmp_path / "missing" / "x.mlrun")
    (segment,) = (store.path / "pts").iterdir()
    segment.write_bytes(segment.read_bytes()[:300])
    with pytest.raises(StoreDamagedError, match="run 000000ab cannot be exported: the points of 'loss' cannot be read"):
        export_run(store.path, RUN, target)

    assert not target.exists()
    writer.seal()


def test_what_a_bundle_lacks_is_named(file: Path) -> None:
    bundle = open_bundle(file)

    with pytest.raises(MetricError, match="metric 'x' was never logged; this run has: auc, loss"):
        bundle.series("x")
    with pytest.raises(ArtifactError, match=r"artifact 'model.skops' was left out of churn.mlrun"):
        bundle.read_artifact("model.skops")
    with pytest.raises(ArtifactError, match="run 000000ab has no artifact 'x'"):
        bundle.read_artifact("x")


# -- what somebody else may have written -------------------------------------------------------------------------------


def first_of(members: dict[str, bytes], folder: str) -> str:
    return next(name for name in members if name.startswith(f"{folder}/"))


def rewrite_run(members: dict[str, bytes], old: bytes, new: bytes) -> None:
    """Change the record, and everything that follows from it."""
    before = hashlib.sha256(members["run.json"]).hexdigest().encode()
    assert old in members["run.json"]
    members["run.json"] = members["run.json"].replace(old, new)
    after = hashlib.sha256(members["run.json"]).hexdigest().encode()
    members["bundle.json"] = members["bundle.json"].replace(before, after)


def rename_run(members: dict[str, bytes]) -> None:
    members["bundle.json"] = members["bundle.json"].replace(RUN.encode(), b"../x")
    rewrite_run(members, f'["run_id","{RUN}"]'.encode(), b'["run_id","../x"]')


def swap_last(members: dict[str, bytes]) -> None:
    members["run.json"] = members.pop("run.json")


HOSTILE: dict[str, tuple[Change, str]] = {
    "changed metric": (
        lambda m: m.update({"run.json": m["run.json"].replace(b"passed", b"failed")}),
        "bundle.json names another run, or run.json is not what was recorded",
    ),
    "wrong object": (lambda m: m.update({first_of(m, "objects"): b"l" * 299 + b"x"}), "is not"),
    "missing series": (lambda m: m.pop(first_of(m, "series")), "is missing"),
    "short series": (lambda m: m.update({first_of(m, "series"): b"x" * 24}), "is not as long as the run says"),
    "no record": (lambda m: m.pop("run.json"), "Expecting value"),
    "no about": (lambda m: m.pop("bundle.json"), "Expecting value"),
    "something else": (lambda m: m.update({"objects/" + "0" * 64: b""}), "belongs to nothing that the run names"),
    "something named otherwise": (lambda m: m.update({"zebra": b""}), "belongs to nothing that the run names"),
    "other order": (swap_last, "its members are not in their order"),
    "event of another name": (
        lambda m: m.update({f"annotations/{EVENT}.json": m.pop(first_of(m, "annotations"))}),
        "it calls itself",
    ),
    "record of later": (lambda m: rewrite_run(m, b'["v","1"]', b'["v","2"]'), "says what no record of this version"),
    "under way": (lambda m: rewrite_run(m, b'"finished"', b'"running"'), "not that of a run that has ended"),
    "spaces": (lambda m: rewrite_run(m, b'["v","1"]', b'["v", "1"]'), "not written in its canonical form"),
    "absurd number": (lambda m: rewrite_run(m, b'["attempt","1"]', b'["attempt","%s"]' % (b"9" * 999)), "too long"),
    "absurd count": (lambda m: rewrite_run(m, b'"4:sha256', b'"99999999:sha256'), "is not as long as the run says"),
    "digest that is a path": (
        lambda m: rewrite_run(
            m, b"sha256:" + hashlib.sha256(b"model").hexdigest().encode(), b"sha256:../../../../../../tmp/x"
        ),
        "an artifact has no digest",
    ),
    "run id that is a path": (
        rename_run,
        "not that of a run that has ended",
    ),
    "deep": (lambda m: rewrite_run(m, m["run.json"], b"[" * 100_000), "the record has not the form of one"),
    "not a list": (lambda m: rewrite_run(m, m["run.json"], b'{"a":1,"b":2}'), "of the form 'a' is not known"),
    "lone surrogate": (lambda m: rewrite_run(m, b'"churn"', b'"\\ud800"'), ""),
}


@pytest.mark.parametrize(("change", "reason"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_bundle_that_was_not_exported_is_refused(file: Path, change: Change, reason: str) -> None:
    members = unpack(file.read_bytes())
    change(members)
    file.write_bytes(pack(members))

    with pytest.raises(StoreDamagedError, match="not a bundle as it was exported: ") as refused:
        open_bundle(file)

    assert reason in refused.value.headline
    assert refused.value.where == str(file)


def zipped(**changes: object) -> bytes:
    """Write a member as Python's own zip module does, with something about it that no bundle has."""
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        about = zipfile.ZipInfo(str(changes.pop("name", "bundle.json")))
        about.create_system, about.external_attr = 3, 0o100644 << 16
        for name, value in changes.items():
            setattr(about, name, value)
        archive.writestr(about, b"{}")
    return memory.getvalue()


def bomb(*, declared: int) -> bytes:
    """A member of zeros that says how long it is, or lies about it."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(bytes(50 << 20)) + packer.flush()
    entry = bundle_form._Entry(b"bundle.json", 8, 0, len(packed), declared)
    return entry.local() + packed + bundle_form._directory([entry])


CONTAINERS: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "it is no bundle"),
    "text": (b"churn", "it is no bundle"),
    "empty zip": (struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 0, 0, 0, 0, 0), "it is no bundle"),
    "path traversal": (zipped(name="../../x"), "no member of a bundle has the name b'../../x'"),
    "absolute": (zipped(name="/etc/passwd"), "no member of a bundle has the name b'/etc/passwd'"),
    "windows": (zipped(name="c:\\x"), "no member of a bundle has the name"),
    "unicode": (zipped(name="bündle.json"), "no member of a bundle has the name"),
    "symbolic link": (zipped(external_attr=0o120777 << 16), "its directory is not that of its members"),
    "other time": (zipped(date_time=(2026, 1, 1, 0, 0, 0)), "the header of 'bundle.json' is not that of a bundle"),
    "encrypted": (zipped()[:6] + b"\1" + zipped()[7:], "the header of 'bundle.json' is not that of a bundle"),
    "comment": (zipped(comment=b"x"), "its directory is not that of its members"),
    "extra": (zipped(extra=b"\1\0\0\0"), "the header of 'bundle.json' is not that of a bundle"),
    "other packing": (
        bundle_form._Entry(b"bundle.json", 12, 0, 1, 1).local() + b"x",
        "'bundle.json' is packed in a way that no bundle is",
    ),
    "bomb": (bomb(declared=50 << 20), "'bundle.json' unpacks to more than 100 times its size"),
    "bomb that lies": (bomb(declared=1000), "'bundle.json' is not as long as it says"),
    "twice": (
        (local := bundle_form._Entry(b"bundle.json", 0, 0, 0, 0).local()) * 2,
        "member 'bundle.json' is there twice",
    ),
    "one header only": (local[:20], "it is cut short"),
    "no directory": (local, "its directory is not that of its members, or it is cut short"),
    "absurd length": (
        bundle_form._Entry(b"bundle.json", 0, 0, 2**32 - 1, 2**32 - 1).local() + b"x",
        "it is cut short",
    ),
    "data before": (b"x" + zipped(), "it is no bundle"),
    "data behind": (zipped() + b"x", "its directory is not that of its members"),
}


@pytest.mark.parametrize(("content", "reason"), CONTAINERS.values(), ids=CONTAINERS.keys())
def test_a_zip_file_that_is_laid_out_otherwise_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "x.mlrun").write_bytes(content)

    with pytest.raises(StoreDamagedError) as refused:
        open_bundle(tmp_path / "x.mlrun")

    assert reason in refused.value.headline


def test_a_bundle_of_too_many_members_or_bytes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    many = pack({f"objects/{number:x}": b"xx" for number in range(9)})

    monkeypatch.setattr(bundle_form, "MOST_MEMBERS", 8)
    with pytest.raises(ValueError, match="it holds more than a bundle may hold"):
        unpack(many)
    monkeypatch.setattr(bundle_form, "MOST_MEMBERS", 9)
    monkeypatch.setattr(bundle_form, "MOST_BYTES", 17)
    with pytest.raises(ValueError, match="it holds more than a bundle may hold"):
        unpack(many)
    with pytest.raises(ValueError, match="more than a bundle may hold"):
        pack({"objects/0": b"x" * 18})


def test_a_bundle_of_a_newer_format_asks_for_an_upgrade(file: Path) -> None:
    members = unpack(file.read_bytes())
    members["bundle.json"] = members["bundle.json"].replace(b'"0.1"', b'"1.0"')
    file.write_bytes(pack(members))

    with pytest.raises(StoreFormatError, match=r"the bundle has format 1.0; this version reads 0.2"):
        open_bundle(file)


def test_a_missing_bundle_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="the bundle cannot be read: No such file or directory"):
        open_bundle(tmp_path / "x.mlrun")


def test_a_record_is_read_back_from_the_text_of_its_digest(store: Store) -> None:
    row = row_of(store)

    assert repr(parse_run(canonical_text(row).encode())) == repr(row)
