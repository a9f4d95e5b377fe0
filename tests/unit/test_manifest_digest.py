"""The digest of data is its content's, and a shell can compute it."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_mlrun.errors import DataError
from pytest_mlrun.pillars.snapshots.manifest import compute_listing_digest, hash_source
from pytest_mlrun.records.snapshot import FileEntry

SHELL = r"""
find . -type f -printf '%P\0' | LC_ALL=C sort -z | while IFS= read -r -d '' f; do
  printf '%s\0%s\0%s\n' "$f" "$(stat -c %s -- "$f")" "$(sha256sum < "$f" | cut -c1-64)"; done | sha256sum
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    source = tmp_path / "churn"
    source.mkdir()
    return source


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_the_digest_of_a_file_is_what_sha256sum_prints(tmp_path: Path) -> None:
    file = tmp_path / "churn.csv"
    file.write_bytes(b"hello")

    manifest = hash_source(file)

    assert manifest.digest == "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    assert manifest.kind == "file"
    assert manifest.files == (FileEntry("churn.csv", 5, manifest.digest.removeprefix("sha256:")),)


def test_an_empty_file_is_data(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()

    assert hash_source(tmp_path / "empty").digest == f"sha256:{sha256(b'')}"


def test_the_digest_of_a_folder_is_over_its_canonical_listing(folder: Path) -> None:
    (folder / "b").mkdir()
    (folder / "b" / "2.csv").write_bytes(b"22")
    (folder / "a.csv").write_bytes(b"1")
    listing = f"a.csv\x001\x00{sha256(b'1')}\nb/2.csv\x002\x00{sha256(b'22')}\n"

    manifest = hash_source(folder)

    assert manifest.digest == f"sha256:{sha256(listing.encode())}"
    assert manifest.kind == "folder"
    assert manifest.files == (FileEntry("a.csv", 1, sha256(b"1")), FileEntry("b/2.csv", 2, sha256(b"22")))
    assert manifest.size_bytes == 3


@pytest.mark.skipif(sys.platform != "linux", reason="the docstring's command is for GNU tools")
def test_a_shell_computes_the_same_digest(folder: Path) -> None:
    (folder / "z").mkdir()
    for name in ("a b", "ä", "-n", ".hidden", "z/\U0001f600", "z/\ue000", "a\nb", "A", "z.x", "back\\slash"):
        (folder / name).write_text(name)

    printed = subprocess.run(["bash", "-c", SHELL], cwd=folder, capture_output=True, text=True, check=True).stdout

    assert hash_source(folder).digest == f"sha256:{printed[:64]}"
    assert SHELL.split() == (hash_source.__doc__ or "").partition("GNU tools::")[2].partition("Hidden files")[0].split()


def test_files_are_sorted_by_the_bytes_of_their_whole_paths(folder: Path) -> None:
    (folder / "a").mkdir()
    for name in ("a/b", "a.b", "a-b", "a0", "\U0001f600", "\uffee"):
        (folder / name).write_text("x")

    paths = [entry.path for entry in hash_source(folder).files]

    assert paths == ["a-b", "a.b", "a/b", "a0", "\uffee", "\U0001f600"]


def test_where_a_folder_lies_and_when_it_was_written_do_not_matter(tmp_path: Path) -> None:
    for name, mode in (("here", 0o600), ("there", 0o444)):
        (tmp_path / name / "sub").mkdir(parents=True)
        (tmp_path / name / "sub" / "x").write_bytes(b"x")
        (tmp_path / name / "sub" / "x").chmod(mode)
    os.utime(tmp_path / "there" / "sub" / "x", (1, 1))

    assert hash_source(tmp_path / "here") == hash_source(tmp_path / "there")


def add_file(folder: Path) -> None:
    (folder / "new").touch()


def add_hidden(folder: Path) -> None:
    (folder / ".hidden").touch()


def rename(folder: Path) -> None:
    (folder / "a").rename(folder / "c")


def swap(folder: Path) -> None:
    (folder / "a").rename(folder / "t")
    (folder / "b").rename(folder / "a")
    (folder / "t").rename(folder / "b")


def move_boundary(folder: Path) -> None:
    (folder / "a").write_bytes(b"1")
    (folder / "b").write_bytes(b"12")


def flip(folder: Path) -> None:
    (folder / "a").write_bytes(b"10")


@pytest.mark.parametrize("change", [add_file, add_hidden, rename, swap, move_boundary, flip])
def test_every_change_of_content_or_names_changes_the_digest(folder: Path, change: Callable[[Path], None]) -> None:
    (folder / "a").write_bytes(b"11")
    (folder / "b").write_bytes(b"2")
    before = hash_source(folder)

    change(folder)

    assert hash_source(folder).digest != before.digest


def test_what_a_desktop_drops_and_empty_folders_do_not_change_the_digest(folder: Path) -> None:
    (folder / "a").write_bytes(b"1")
    before = hash_source(folder)

    (folder / ".DS_Store").write_bytes(b"junk")
    (folder / "Thumbs.db").symlink_to(".DS_Store")
    (folder / "empty").mkdir()

    assert hash_source(folder) == before


def test_version_control_and_caches_inside_the_data_count(folder: Path) -> None:
    for name in (".git", "__pycache__"):
        (folder / name).mkdir()
        (folder / name / "x").touch()

    assert [entry.path for entry in hash_source(folder).files] == [".git/x", "__pycache__/x"]


def test_a_link_counts_as_the_file_it_leads_to(folder: Path) -> None:
    (folder / "a").write_bytes(b"1")
    (folder / "link").symlink_to("a")

    entries = hash_source(folder).files

    assert entries == (FileEntry("a", 1, sha256(b"1")), FileEntry("link", 1, sha256(b"1")))


def test_a_link_to_a_folder_counts_as_that_folder(folder: Path) -> None:
    (folder / "v1").mkdir()
    (folder / "v1" / "a").write_bytes(b"1")
    (folder / "latest").symlink_to("v1")

    assert [entry.path for entry in hash_source(folder).files] == ["latest/a", "v1/a"]


def test_the_source_itself_may_be_a_link(tmp_path: Path, folder: Path) -> None:
    (folder / "a").write_bytes(b"1")
    (tmp_path / "data").symlink_to(folder)
    (tmp_path / "file").symlink_to(folder / "a")

    assert hash_source(tmp_path / "data") == hash_source(folder)
    assert hash_source(tmp_path / "file").digest == hash_source(folder / "a").digest


@pytest.mark.parametrize("target", ["../outside", "../outside/x", "/etc/hostname", "../churn2"])
def test_a_link_out_of_the_folder_is_refused(tmp_path: Path, folder: Path, target: str) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "x").touch()
    (tmp_path / "churn2").touch()
    (folder / "link").symlink_to(target)

    with pytest.raises(DataError, match=f"a link leaves the data folder: link → {target}") as caught:
        hash_source(folder)

    assert caught.value.where == str(folder / "link")
    assert caught.value.next_step


def test_a_link_into_a_folder_above_it_is_refused(folder: Path) -> None:
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / "up").symlink_to("..")

    with pytest.raises(DataError, match=r"a link leads back to a folder it lies in: a/b/up → \.\."):
        hash_source(folder)


def test_two_folders_that_link_to_each_other_are_refused(folder: Path) -> None:
    for here, there in (("a", "b"), ("b", "a")):
        (folder / here).mkdir()
        (folder / here / "other").symlink_to(f"../{there}")

    with pytest.raises(DataError, match="a link leads back to a folder it lies in: a/other/other"):
        hash_source(folder)


@pytest.mark.parametrize("target", ["nowhere", "link"])
def test_a_link_that_leads_nowhere_is_refused(folder: Path, target: str) -> None:
    (folder / "link").symlink_to(target)

    with pytest.raises(DataError, match=f"a link leads nowhere: link → {target}"):
        hash_source(folder)


def test_an_empty_folder_is_no_data(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / ".DS_Store").touch()

    with pytest.raises(DataError, match="a data folder has no files: churn"):
        hash_source(folder)


def test_a_pipe_is_no_data(tmp_path: Path, folder: Path) -> None:
    os.mkfifo(folder / "pipe")

    with pytest.raises(DataError, match="neither a file nor a folder: pipe"):
        hash_source(folder)
    with pytest.raises(DataError, match="neither a file nor a folder: pipe"):
        hash_source(folder / "pipe")


def test_a_socket_is_no_data(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")

    with pytest.raises(DataError, match="neither a file nor a folder: socket"):
        hash_source(folder)


def test_missing_data_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data cannot be read: No such file or directory \(missing.csv\)"):
        hash_source(tmp_path / "missing.csv")


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS stores no such name")
def test_a_name_that_is_not_utf8_is_refused(folder: Path) -> None:
    (folder / "caf\udce9").touch()

    with pytest.raises(DataError, match=r"a file's name is not UTF-8: 'caf\\udce9'"):
        hash_source(folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_read_permission_is_named(folder: Path) -> None:
    (folder / "secret").touch(mode=0o000)

    with pytest.raises(DataError, match=r"data cannot be read: Permission denied \(secret\)"):
        hash_source(folder)


def test_an_input_error_while_hashing_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "a").touch()

    def fail() -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(hashlib, "sha256", fail)

    with pytest.raises(DataError, match=r"data cannot be read: Input/output error \(a\)"):
        hash_source(folder)


def append(folder: Path) -> None:
    with (folder / "a").open("ab") as file:
        file.write(b"more")


def replace(folder: Path) -> None:
    (folder / "t").write_bytes((folder / "a").read_bytes())
    (folder / "t").rename(folder / "a")


def remove_other(folder: Path) -> None:
    (folder / "b").unlink()


@pytest.mark.parametrize(("change", "touched"), [(append, "a"), (replace, "a"), (add_file, "new"), (remove_other, "b")])
def test_data_that_changes_while_it_is_hashed_is_refused(
    folder: Path, change: Callable[[Path], None], touched: str
) -> None:
    (folder / "a").write_bytes(b"1")
    (folder / "b").write_bytes(b"2")
    left = [change]

    def meddle(entry: FileEntry) -> None:
        if entry.path == "b":
            left.pop()(folder)

    with pytest.raises(DataError, match=f"data changed while it was read: {touched}") as caught:
        hash_source(folder, progress=meddle)

    assert caught.value.where == str(folder)


def test_progress_is_told_after_each_file(folder: Path) -> None:
    (folder / "a").write_bytes(b"1")
    (folder / "b").write_bytes(b"22")
    told: list[FileEntry] = []

    manifest = hash_source(folder, progress=told.append)

    assert tuple(told) == manifest.files


def test_the_listing_digest_of_a_manifest_s_files_is_the_manifest_s(folder: Path) -> None:
    (folder / "a").write_bytes(b"1")
    manifest = hash_source(folder)

    assert compute_listing_digest(manifest.files) == manifest.digest


def test_files_hashed_at_once_stand_in_the_order_of_their_paths(tmp_path: Path) -> None:
    sizes = {number: number * 97_003 if number % 50 == 0 else number for number in range(200)}
    contents = {f"{number:03d}.bin": bytes([number]) * size for number, size in sizes.items()}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    told: list[str] = []

    manifest = hash_source(tmp_path, progress=lambda entry: told.append(entry.path))

    assert told == list(contents)
    assert [(entry.path, entry.sha256) for entry in manifest.files] == [
        (name, hashlib.sha256(content).hexdigest()) for name, content in contents.items()
    ]
