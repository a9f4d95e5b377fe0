"""Objects are kept by their content's digest: once, whole, and never outside their folder."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path
from typing import Self

import pytest

from pytest_mlrun.errors import ArtifactError, StoreDamagedError, StoreError, StoreWriteError
from pytest_mlrun.store.objects import Objects

HELLO = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    folder.mkdir()
    return folder


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_bytes_are_stored_under_their_sha256(store: Path) -> None:
    objects = Objects(store)

    stored = objects.put_bytes(b"hello")

    assert stored == (HELLO, 5)
    assert (store / "objects" / "2c" / HELLO[9:]).read_bytes() == b"hello"
    assert objects.read(HELLO) == b"hello"


def test_a_file_is_copied_and_the_original_stays(store: Path, tmp_path: Path) -> None:
    source = tmp_path / "model.bin"
    source.write_bytes(b"x" * 3_000_001)

    digest, size_bytes = Objects(store).put_file(source)

    assert digest == f"sha256:{hashlib.sha256(source.read_bytes()).hexdigest()}"
    assert size_bytes == 3_000_001
    assert Objects(store).path(digest).read_bytes() == source.read_bytes()


def test_an_object_can_be_read_by_all_and_written_by_none(store: Path) -> None:
    digest, _ = Objects(store).put_bytes(b"hello")

    assert stat.S_IMODE(Objects(store).path(digest).stat().st_mode) == 0o444


def test_the_same_content_is_one_file(store: Path, tmp_path: Path) -> None:
    objects = Objects(store)
    source = tmp_path / "hello.txt"
    source.write_bytes(b"hello")
    first = objects.put_bytes(b"hello")
    inode = objects.path(HELLO).stat().st_ino

    assert objects.put_bytes(b"hello") == first
    assert objects.put_file(source) == first
    assert objects.path(HELLO).stat().st_ino == inode
    assert files_below(store) == [objects.path(HELLO)]


def test_storing_damaged_content_again_repairs_it(store: Path) -> None:
    objects = Objects(store)
    objects.put_bytes(b"hello")
    objects.path(HELLO).chmod(0o644)
    objects.path(HELLO).write_bytes(b"hellO")

    objects.put_bytes(b"hello")

    assert objects.read(HELLO) == b"hello"


def test_staged_content_is_no_object_until_it_is_published(store: Path) -> None:
    objects = Objects(store)
    staged = objects.stage_bytes(b"hello")

    assert (staged.digest, staged.size_bytes) == (HELLO, 5)
    assert HELLO not in objects

    objects.publish(staged)

    assert HELLO in objects
    assert files_below(store) == [objects.path(HELLO)]


def test_discarded_content_leaves_nothing(store: Path) -> None:
    objects = Objects(store)

    objects.discard(objects.stage_bytes(b"hello"))

    assert files_below(store) == []


def test_content_staged_beside_an_equal_object_survives_that_object_s_collection(store: Path) -> None:
    objects = Objects(store)
    objects.put_bytes(b"hello")
    staged = objects.stage_bytes(b"hello")
    objects.path(HELLO).unlink()

    objects.publish(staged)

    assert objects.read(HELLO) == b"hello"


def test_an_object_collected_between_staging_and_publishing_a_file_is_written_anew(store: Path, tmp_path: Path) -> None:
    objects = Objects(store)
    source = tmp_path / "hello.txt"
    source.write_bytes(b"hello")
    objects.put_file(source)
    staged = objects.stage_file(source)
    objects.path(HELLO).unlink()

    objects.publish(staged)

    assert objects.read(HELLO) == b"hello"


@pytest.mark.parametrize(
    "digest",
    [
        "",
        "../../etc/passwd",
        "sha256:../../../../etc/passwd",
        f"sha256:{'0' * 63}",
        f"sha256:{'0' * 65}",
        f"sha256:{'A' * 64}",
        f"sha256:{'0' * 64}\n",
        f"sha512:{'0' * 64}",
        f"sha256:{chr(0x660) * 64}",
        f"sha256:..{'/' * 62}",
    ],
)
def test_a_text_that_is_no_digest_never_becomes_a_path(store: Path, digest: str) -> None:
    objects = Objects(store)

    with pytest.raises(StoreDamagedError, match="not the digest of an object"):
        objects.path(digest)
    assert digest not in objects
    with pytest.raises(StoreDamagedError, match="pytest-mlrun verify"):
        objects.read(digest)


def test_reading_a_missing_object_says_which_and_where(store: Path) -> None:
    objects = Objects(store)

    with pytest.raises(StoreDamagedError, match=r"an object is missing: sha256 2cf24dba5fb0…") as caught:
        objects.read(HELLO)

    assert caught.value.where == str(objects.path(HELLO))
    assert "pytest-mlrun verify" in caught.value.next_step
    assert not objects.verify(HELLO)


@pytest.mark.parametrize("content", [b"hellO", b"hell", b"hello!", b""])
def test_reading_a_damaged_object_fails(store: Path, content: bytes) -> None:
    objects = Objects(store)
    objects.put_bytes(b"hello")
    objects.path(HELLO).chmod(0o644)
    objects.path(HELLO).write_bytes(content)

    assert not objects.verify(HELLO)
    with pytest.raises(StoreDamagedError, match=r"an object is damaged: expected sha256 2cf24dba5fb0…, found sha256 "):
        objects.read(HELLO)


def test_an_intact_object_verifies(store: Path) -> None:
    objects = Objects(store)
    objects.put_bytes(b"hello")

    assert objects.verify(HELLO)


def test_an_object_that_cannot_be_read_is_an_error_of_the_store(store: Path) -> None:
    objects = Objects(store)
    objects.path(HELLO).mkdir(parents=True)

    with pytest.raises(StoreError, match="an object cannot be read: Is a directory"):
        objects.read(HELLO)
    assert HELLO not in objects


def test_iterating_yields_every_digest_sorted_and_passes_over_foreign_files(store: Path) -> None:
    objects = Objects(store)
    digests = [objects.put_bytes(content)[0] for content in (b"hello", b"", b"b", b"c")]
    (store / "objects" / "2c" / "README").write_text("hi")
    (store / "objects" / "notes.txt").write_text("hi")
    (store / "objects" / "2cf").mkdir()
    (store / "objects" / "2cf" / HELLO[10:]).write_text("hi")

    assert list(objects) == sorted(digests)


def test_a_store_without_objects_has_none(store: Path) -> None:
    assert list(Objects(store)) == []


@pytest.mark.parametrize("name", ["missing.bin", "."])
def test_a_source_that_cannot_be_read_is_named(store: Path, tmp_path: Path, name: str) -> None:
    source = tmp_path / name

    with pytest.raises(ArtifactError, match="a file cannot be stored: ") as caught:
        Objects(store).put_file(source)

    assert caught.value.where == str(source)
    assert files_below(store) == []


def test_a_source_that_breaks_off_is_no_error_of_the_store(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Breaking:
        def __init__(self) -> None:
            self.reads = 0

        def readinto(self, buffer: memoryview) -> int:
            self.reads += 1
            if self.reads > 1:
                raise OSError(errno.EIO, "Input/output error")
            buffer[:4] = b"half"
            return 4

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *args: object) -> None:
            return None

    monkeypatch.setattr(Path, "open", _open_with(Path.open, tmp_path / "broken.bin", Breaking()))

    with pytest.raises(ArtifactError, match=r"a file cannot be stored: Input/output error \(broken.bin\)"):
        Objects(store).put_file(tmp_path / "broken.bin")
    assert files_below(store) == []


def _open_with(real: object, path: Path, instead: object) -> object:
    def open_file(self: Path, *args: object, **kwargs: object) -> object:
        return instead if self == path else real(self, *args, **kwargs)  # type: ignore[operator]

    return open_file


def test_a_full_disk_leaves_no_half_object_and_says_so(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)

    with pytest.raises(StoreWriteError, match="no space is left"):
        Objects(store).put_bytes(b"hello")
    assert files_below(store) == []


def test_a_publication_that_fails_leaves_no_staged_file(store: Path) -> None:
    (store / "objects").write_text("not a folder")

    with pytest.raises(StoreWriteError, match="the run store cannot be written"):
        Objects(store).put_bytes(b"hello")

    assert files_below(store) == [store / "objects"]


def test_a_publication_survives_a_power_loss(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    happened: list[str] = []
    real_fsync, real_replace = os.fsync, Path.replace

    def fsync(descriptor: int) -> None:
        happened.append("sync folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "sync file")
        real_fsync(descriptor)

    def replace(self: Path, target: Path) -> Path:
        happened.append("rename")
        return real_replace(self, target)

    (store / "tmp").mkdir()
    (store / "objects" / "2c").mkdir(parents=True)
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)

    Objects(store).put_bytes(b"hello")

    assert happened == ["sync file", "rename", "sync folder"]


def test_no_name_of_a_staged_file_is_used_twice(store: Path) -> None:
    objects = Objects(store)

    staged = [objects.stage_bytes(b"hello") for _ in range(20)]

    assert len({item.temporary for item in staged}) == 20
    assert all(item.temporary is not None and item.temporary.parent == store / "tmp" for item in staged)


def test_a_linked_file_becomes_the_object_itself_and_read_only(store: Path, tmp_path: Path) -> None:
    objects = Objects(store)
    source = tmp_path / "model.bin"
    source.write_bytes(b"hello")

    staged = objects.stage_link(source)
    objects.publish(staged)

    assert (staged.digest, staged.size_bytes) == (HELLO, 5)
    assert objects.path(HELLO).stat().st_ino == source.stat().st_ino
    assert stat.S_IMODE(source.stat().st_mode) == 0o444
    assert files_below(store) == [objects.path(HELLO)]


def test_a_linked_file_that_somebody_changes_all_the_same_is_told(store: Path, tmp_path: Path) -> None:
    objects = Objects(store)
    source = tmp_path / "model.bin"
    source.write_bytes(b"hello")
    objects.publish(objects.stage_link(source))
    source.chmod(0o644)
    source.write_bytes(b"HELLO")

    assert not objects.verify(HELLO)
    with pytest.raises(StoreDamagedError, match="an object is damaged"):
        objects.read(HELLO)


def test_a_file_that_cannot_be_linked_is_copied(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    objects = Objects(store)
    source = tmp_path / "model.bin"
    source.write_bytes(b"hello")
    source.chmod(0o644)

    objects.publish(objects.stage_link(source))

    assert objects.read(HELLO) == b"hello"
    assert objects.path(HELLO).stat().st_ino != source.stat().st_ino
    assert stat.S_IMODE(source.stat().st_mode) == 0o644


def test_a_disk_that_shares_blocks_is_asked_to_and_the_clone_is_what_is_hashed(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "model.bin"
    source.write_bytes(b"hello")

    def clone(target: int, request: int, origin: int) -> int:
        assert request == 0x40049409
        os.pwrite(target, os.pread(origin, 100, 0), 0)
        source.write_bytes(b"changed in the meantime")
        return 0

    monkeypatch.setattr("fcntl.ioctl", clone)
    objects = Objects(store)

    assert objects.put_file(source) == (HELLO, 5)
    assert objects.read(HELLO) == b"hello"


def test_a_copy_does_not_change_with_the_file_it_was_made_of(store: Path, tmp_path: Path) -> None:
    source = tmp_path / "model.bin"
    source.write_bytes(b"hello")
    objects = Objects(store)
    objects.put_file(source)

    with source.open("r+b") as file:
        file.write(b"HELLO")

    assert objects.read(HELLO) == b"hello"
