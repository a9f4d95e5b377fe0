"""``mlrun.lock`` is written to be read in a git difference, and refused when anything but this program wrote it."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_mlrun.errors import ConfigError, DataError
from pytest_mlrun.pillars.snapshots.lockfile import read_lock, write_lock
from pytest_mlrun.pillars.snapshots.manifest import compute_listing_digest
from pytest_mlrun.records.snapshot import FileEntry, Manifest

A, B = (hashlib.sha256(text).hexdigest() for text in (b"a", b"b"))
FILE = Manifest(f"sha256:{A}", (FileEntry("churn.csv", 1, A),), "file")
FOLDER_FILES = (FileEntry("a.csv", 1, A), FileEntry("b/ä.csv", 1, B))
FOLDER = Manifest(compute_listing_digest(FOLDER_FILES), FOLDER_FILES, "folder")


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "mlrun.lock"


def test_what_was_written_is_read(lock: Path) -> None:
    write_lock(lock, {"churn": FILE, "images": FOLDER})

    assert read_lock(lock) == {"churn": FILE, "images": FOLDER}


def test_no_file_means_nothing_is_locked(lock: Path) -> None:
    assert read_lock(lock) == {}


def test_nothing_can_be_locked(lock: Path) -> None:
    write_lock(lock, {})

    assert lock.read_text() == '{\n  "version": 1,\n  "data": {}\n}\n'
    assert read_lock(lock) == {}


def test_the_file_is_sorted_with_one_line_a_file(lock: Path) -> None:
    write_lock(lock, {"images": FOLDER, "churn": FILE})

    assert lock.read_text(encoding="utf-8") == (
        "{\n"
        '  "version": 1,\n'
        '  "data": {\n'
        '    "churn": {\n'
        f'      "digest": "sha256:{A}",\n'
        '      "kind": "file",\n'
        '      "files": [\n'
        f'        {{"path": "churn.csv", "size_bytes": 1, "sha256": "{A}"}}\n'
        "      ]\n"
        "    },\n"
        '    "images": {\n'
        f'      "digest": "{FOLDER.digest}",\n'
        '      "kind": "folder",\n'
        '      "files": [\n'
        f'        {{"path": "a.csv", "size_bytes": 1, "sha256": "{A}"}},\n'
        f'        {{"path": "b/ä.csv", "size_bytes": 1, "sha256": "{B}"}}\n'
        "      ]\n"
        "    }\n"
        "  }\n"
        "}\n"
    )


def test_a_failed_write_keeps_the_old_file_and_leaves_no_other(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_lock(lock, {"churn": FILE})
    before = lock.read_bytes()

    def refuse(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)

    with pytest.raises(ConfigError, match=r"mlrun.lock cannot be written: No space left on device"):
        write_lock(lock, {"images": FOLDER})

    assert lock.read_bytes() == before
    assert list(lock.parent.iterdir()) == [lock]


def test_a_linked_lock_stays_a_link(lock: Path, tmp_path: Path) -> None:
    target = tmp_path / "shared.lock"
    lock.symlink_to(target)

    write_lock(lock, {"churn": FILE})

    assert lock.is_symlink()
    assert read_lock(target) == {"churn": FILE}


def test_merge_conflict_markers_are_found_with_their_line(lock: Path) -> None:
    write_lock(lock, {"churn": FILE})
    lines = lock.read_text().splitlines()
    lines[4:5] = ["<<<<<<< HEAD", lines[4], "=======", lines[4].replace("a", "b"), ">>>>>>> other"]
    lock.write_text("\n".join(lines))

    with pytest.raises(ConfigError, match=r"mlrun.lock has merge-conflict markers") as caught:
        read_lock(lock)

    assert caught.value.where == f"{lock}:5"
    assert caught.value.next_step == "take either side (git checkout --ours mlrun.lock), then: pytest-mlrun data lock"


def test_a_newer_version_says_upgrade(lock: Path) -> None:
    lock.write_text('{"version": 2, "datasets": []}')

    with pytest.raises(ConfigError, match=r"mlrun.lock has version 2; this program reads up to 1") as caught:
        read_lock(lock)

    assert caught.value.next_step == "upgrade: pip install --upgrade pytest-mlrun"


def test_text_that_is_no_json_is_found_with_its_line(lock: Path) -> None:
    lock.write_text('{\n  "version": 1,\n  "data": {,}\n}\n')

    with pytest.raises(ConfigError, match=r"mlrun.lock is not as it was written: Expecting property name") as caught:
        read_lock(lock)

    assert caught.value.where == f"{lock}:3"
    assert "pytest-mlrun data lock" in caught.value.next_step


def edit(document: dict[str, object], *path: str | int, to: object) -> None:
    place: object = document
    for part in path[:-1]:
        place = place[part]  # type: ignore[index]
    place[path[-1]] = to  # type: ignore[index]


MALFORMED: dict[str, Callable[[dict[str, object]], object]] = {
    "version missing": lambda d: d.pop("version"),
    "version true": lambda d: edit(d, "version", to=True),
    "version text": lambda d: edit(d, "version", to="1"),
    "version 0": lambda d: edit(d, "version", to=0),
    "data missing": lambda d: d.pop("data"),
    "data a list": lambda d: edit(d, "data", to=[]),
    "entry a text": lambda d: edit(d, "data", "x", to="sha256:…"),
    "entry with more": lambda d: edit(d, "data", "x", "note", to="hello"),
    "kind unknown": lambda d: edit(d, "data", "x", "kind", to="table"),
    "digest short": lambda d: edit(d, "data", "x", "digest", to="sha256:00"),
    "digest of another kind": lambda d: edit(d, "data", "x", "digest", to=f"md5:{A}"),
    "no files": lambda d: edit(d, "data", "x", "files", to=[]),
    "files a table": lambda d: edit(d, "data", "x", "files", to={}),
    "file a text": lambda d: edit(d, "data", "x", "files", 0, to="a.csv"),
    "file with more": lambda d: edit(d, "data", "x", "files", 0, "mode", to=1),
    "size a text": lambda d: edit(d, "data", "x", "files", 0, "size_bytes", to="1"),
    "size true": lambda d: edit(d, "data", "x", "files", 0, "size_bytes", to=True),
    "size negative": lambda d: edit(d, "data", "x", "files", 0, "size_bytes", to=-1),
    "size broken": lambda d: edit(d, "data", "x", "files", 0, "size_bytes", to=1.5),
    "sha256 in capitals": lambda d: edit(d, "data", "x", "files", 0, "sha256", to=A.upper()),
    "path up": lambda d: edit(d, "data", "x", "files", 0, "path", to="../a.csv"),
    "path absolute": lambda d: edit(d, "data", "x", "files", 0, "path", to="/a.csv"),
    "path with nul": lambda d: edit(d, "data", "x", "files", 0, "path", to="a\0"),
    "path empty": lambda d: edit(d, "data", "x", "files", 0, "path", to=""),
    "file twice": lambda d: edit(d, "data", "x", "files", 1, "path", to="a.csv"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_form_that_this_program_never_writes_is_refused(lock: Path, case: str) -> None:
    write_lock(lock, {"x": FOLDER})
    document = json.loads(lock.read_text())
    MALFORMED[case](document)
    lock.write_text(json.dumps(document))

    with pytest.raises(ConfigError, match=r"mlrun.lock is not as it was written: ") as caught:
        read_lock(lock)

    assert caught.value.where.startswith(str(lock))


@pytest.mark.parametrize("text", ["[]", "3", "null", '"mlrun"'])
def test_json_that_is_no_table_is_refused(lock: Path, text: str) -> None:
    lock.write_text(text)

    with pytest.raises(ConfigError, match="it holds no table"):
        read_lock(lock)


def test_a_name_that_is_there_twice_is_refused(lock: Path) -> None:
    write_lock(lock, {"churn": FILE})
    text = lock.read_text()
    start, end = text.index('    "churn"'), text.index("    }\n  }") + 5
    lock.write_text(text[:end] + ",\n" + text[start:end] + text[end:])

    with pytest.raises(ConfigError, match="'churn' is there twice"):
        read_lock(lock)


@pytest.mark.parametrize(
    "case",
    {
        "folder digest": lambda d: edit(d, "data", "x", "digest", to=f"sha256:{A}"),
        "file digest": lambda d: edit(d, "data", "x", "files", 0, "sha256", to=B),
        "file size": lambda d: edit(d, "data", "x", "files", 0, "size_bytes", to=2),
        "file path": lambda d: edit(d, "data", "x", "files", 0, "path", to="c.csv"),
        "file gone": lambda d: d["data"]["x"]["files"].pop(),
        "kind": lambda d: edit(d, "data", "x", "kind", to="file"),
    }.items(),
    ids=lambda case: case[0],
)
def test_a_digest_edited_by_hand_is_found_out(
    lock: Path, case: tuple[str, Callable[[dict[str, object]], object]]
) -> None:
    write_lock(lock, {"x": FOLDER})
    document = json.loads(lock.read_text())
    case[1](document)
    lock.write_text(json.dumps(document))

    with pytest.raises(DataError, match=r"mlrun.lock: the digest of 'x' does not fit its files") as caught:
        read_lock(lock)

    # Locking 'x' alone would have to read the broken file first.
    assert caught.value.next_step == "restore it (git checkout mlrun.lock), or remove it and: pytest-mlrun data lock"


def test_the_digest_of_a_single_file_must_be_its_own(lock: Path) -> None:
    write_lock(lock, {"x": Manifest(f"sha256:{B}", FILE.files, "file")})

    with pytest.raises(DataError, match=r"mlrun.lock: the digest of 'x' does not fit its files"):
        read_lock(lock)


def test_a_lock_that_is_not_text_is_refused(lock: Path) -> None:
    lock.write_bytes(b"\xff\xfe")

    with pytest.raises(ConfigError, match=r"mlrun.lock cannot be read: not UTF-8"):
        read_lock(lock)


def test_a_lock_that_is_a_folder_is_refused(lock: Path) -> None:
    lock.mkdir()

    with pytest.raises(ConfigError, match=r"mlrun.lock cannot be read: Is a directory"):
        read_lock(lock)
