"""A store is a folder that says what it is, or an error that says what to do."""

from __future__ import annotations

import errno
import json
import os
import platform
import subprocess
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from filelock import FileLock

from pytest_mlrun.errors import StoreDamagedError, StoreError, StoreFormatError, StoreWriteError
from pytest_mlrun.store.files import Steps, publish, read_bytes, remove
from pytest_mlrun.store.layout import LogFiles, list_leftovers, list_logs, list_segments
from pytest_mlrun.store.locks import describe_writer, find_boot_id, hold, try_lock
from pytest_mlrun.store.store import Store


def refuse(code: int) -> object:
    def raise_error(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    return raise_error


def test_a_new_store_says_its_format_and_keeps_out_of_git(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "a" / "store", create=True)

    about = json.loads((store.path / "mlrun.json").read_text())
    crc = zlib.crc32(f"0.1 {store.store_id}".encode())
    assert about == {"format": "0.1", "store_id": store.store_id, "crc": f"{crc:08x}"}
    assert (store.path / ".gitignore").read_text() == "*\n"


def test_a_store_is_the_same_when_it_is_opened_again(tmp_path: Path) -> None:
    first = Store.open(tmp_path / "store", create=True)

    again = Store.open(tmp_path / "store", create=True)

    assert again.store_id == first.store_id


def test_a_missing_store_is_an_error_with_the_first_command(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no run store in store") as caught:
        Store.open(tmp_path / "store")

    assert caught.value.next_step == "record a first run: pytest --mlrun"
    assert not (tmp_path / "store").exists()


def test_a_file_in_the_place_of_the_store_is_named(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("")

    with pytest.raises(StoreError, match="the run store must be a folder: store is a file") as caught:
        Store.open(tmp_path / "store", create=True)

    assert caught.value.where == str(tmp_path / "store")


@pytest.mark.parametrize("version", ["0.2", "1.0", "2.0"])
def test_a_newer_format_is_refused_with_both_numbers(tmp_path: Path, version: str) -> None:
    (tmp_path / "mlrun.json").write_text(json.dumps({"format": version, "store_id": "x"}))

    with pytest.raises(
        StoreFormatError, match=f"the run store has format {version}; this version reads up to 0.1"
    ) as caught:
        Store.open(tmp_path)

    assert caught.value.next_step == "upgrade: pip install --upgrade pytest-mlrun"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '{"format": "x", "store_id": "y"}',
        '{"format": "0.1"}',
        '{"format": "0.1", "store_id": "y", "crc": "0"}',
    ],
)
def test_an_unreadable_description_is_damage(tmp_path: Path, text: str) -> None:
    (tmp_path / "mlrun.json").write_text(text)

    with pytest.raises(StoreDamagedError, match=r"the run store's mlrun\.json cannot be read"):
        Store.open(tmp_path, create=True)


def test_a_folder_without_write_permission_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Forced: the tests may run as root, whom permissions do not stop.
    monkeypatch.setattr(Path, "mkdir", refuse(errno.EACCES))

    with pytest.raises(StoreWriteError, match="the run store cannot be written: permission denied") as caught:
        Store.open(tmp_path / "store", create=True)

    assert caught.value.where == str(tmp_path / "store")
    assert caught.value.next_step == "choose a folder you may write: pytest --mlrun --mlrun-store PATH"


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not stop root")
def test_a_store_without_write_permission_stays_readable(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store", create=True)
    (store.path / "live").chmod(0o555)

    with pytest.raises(StoreWriteError, match="permission denied"):
        store.writer(session_id="s")

    assert Store.open(store.path).reader().runs() == []


def test_reading_needs_no_write_permission_and_writes_nothing(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store", create=True)
    before = sorted(str(path) for path in store.path.rglob("*"))

    assert store.reader().runs() == []

    assert sorted(str(path) for path in store.path.rglob("*")) == before


def test_a_store_in_a_locked_folder_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "exists", refuse(errno.EACCES))

    with pytest.raises(StoreError, match="the run store cannot be read: Permission denied") as caught:
        Store.open(tmp_path / "store")

    assert caught.value.next_step == "check the permissions of the folders above it"


def test_a_store_that_another_process_made_a_moment_earlier_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids: list[str] = []

    @contextmanager
    def overtaken(path: Path, *, timeout_s: float) -> Iterator[None]:
        monkeypatch.undo()
        ids.append(Store.open(path.parent, create=True).store_id)
        with hold(path, timeout_s=timeout_s):
            yield

    monkeypatch.setattr("pytest_mlrun.store.locks.hold", overtaken)

    assert [Store.open(tmp_path / "store", create=True).store_id] == ids


def test_a_file_that_cannot_be_made_durable_does_not_appear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(path: Path) -> None:
        path.write_text("x")

    monkeypatch.setattr(os, "fsync", refuse(errno.ENOSPC))

    with pytest.raises(StoreWriteError, match="no space is left"):
        publish(tmp_path / "a", write, temporary=tmp_path / "t", steps=Steps())

    assert list(tmp_path.iterdir()) == []


def test_a_published_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    seen: list[tuple[str, bool]] = []

    class Looking(Steps):
        def reach(self, step: str) -> None:
            seen.append((step, (tmp_path / "out" / "a").exists()))

    def write(path: Path) -> None:
        path.write_text("x")

    publish(tmp_path / "out" / "a", write, temporary=tmp_path / "t", steps=Looking())

    assert seen == [("install.out.before-rename", False), ("install.out.after-rename", True)]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_failed_write_leaves_no_temporary_file(tmp_path: Path) -> None:
    def write(path: Path) -> None:
        path.write_text("half")
        raise OSError(errno.ENOSPC, "full")

    with pytest.raises(StoreWriteError, match="no space is left"):
        publish(tmp_path / "a", write, temporary=tmp_path / "t", steps=Steps())

    assert list(tmp_path.iterdir()) == []


def test_an_unreadable_file_is_a_store_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="the run store cannot be read: Is a directory"):
        read_bytes(tmp_path)


def test_removing_what_is_gone_is_fine(tmp_path: Path) -> None:
    remove(tmp_path / "gone")

    with pytest.raises(StoreWriteError, match="the run store cannot be written"):
        remove(tmp_path)


def test_logs_segments_and_leftovers_are_listed_by_id(tmp_path: Path) -> None:
    for name in (
        "live/b.arrows",
        "live/a.arrows",
        "live/a.lock",
        "live/c.lock",
        "live/d.points",
        "seg/e.arrow",
        "seg/f.tmp",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    assert (list_logs(tmp_path), list_segments(tmp_path), list_leftovers(tmp_path)) == (["a", "b"], ["e"], ["c", "d"])
    assert list_segments(tmp_path / "nowhere") == []


def test_a_log_and_its_segment_share_one_name(tmp_path: Path) -> None:
    files = LogFiles(tmp_path, "x")

    names = [files.lock, files.events, files.points, files.segment, files.series, files.damaged, files.temporary("seg")]

    assert [str(name.relative_to(tmp_path)) for name in names] == [
        "live/x.lock",
        "live/x.arrows",
        "live/x.points",
        "seg/x.arrow",
        "pts/x.arrow",
        "damaged/x.arrows",
        "tmp/x.seg",
    ]


def test_a_held_lock_is_not_given_twice(tmp_path: Path) -> None:
    lock = try_lock(tmp_path / "a.lock")

    assert lock is not None
    assert try_lock(tmp_path / "a.lock") is None
    lock.release()
    again = try_lock(tmp_path / "a.lock")
    assert again is not None
    again.release()


def test_a_lock_that_stays_held_is_an_error_that_names_it(tmp_path: Path) -> None:
    with (
        hold(tmp_path / "a.lock", timeout_s=1),
        pytest.raises(StoreError, match=r"a lock of the run store was not free within 0\.01 s") as caught,
        hold(tmp_path / "a.lock", timeout_s=0.01),
    ):
        pytest.fail("held twice")

    assert caught.value.where == str(tmp_path / "a.lock")


@pytest.mark.parametrize(
    ("code", "kind", "headline"),
    [
        (errno.ENOSYS, StoreError, "the run store needs file locks; this file system has none"),
        (errno.ENOLCK, StoreError, "the run store needs file locks; this file system has none"),
        (errno.EROFS, StoreWriteError, "the run store cannot be written: the file system is read-only"),
    ],
)
def test_a_file_system_that_cannot_lock_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, kind: type[StoreError], headline: str
) -> None:
    monkeypatch.setattr(FileLock, "acquire", refuse(code))

    with pytest.raises(kind, match=headline):
        try_lock(tmp_path / "a.lock")


def test_the_writer_of_a_log_is_described() -> None:
    facts = describe_writer("session")

    assert facts["pid"] == os.getpid()
    assert facts["session_id"] == "session"
    assert facts["host"] == platform.node()
    assert facts["boot"] == find_boot_id() != ""


def test_without_a_boot_id_the_host_stands_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", refuse(errno.ENOENT))
    monkeypatch.setattr("sys.platform", "freebsd")

    assert find_boot_id() == f"host:{platform.node()}"


def test_on_a_mac_the_kernel_names_the_boot(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 0, stdout="ABC-1\n")

    monkeypatch.setattr(Path, "read_text", refuse(errno.ENOENT))
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.setattr(subprocess, "run", answer)

    assert find_boot_id() == "abc-1"


def test_a_source_tree_that_is_not_installed_writes_an_unknown_version(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(_: str) -> str:
        raise PackageNotFoundError

    monkeypatch.setattr("importlib.metadata.version", absent)

    assert describe_writer("s")["version"] == "unknown"
