"""The patch of a dirty tree restores it byte for byte, and leaves the repository alone."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_mlrun.pillars.code import CodeState, find_code
from pytest_mlrun.pillars.patch import Limits, Omission

JPEG = bytes(range(256)) * 40


@pytest.fixture(autouse=True)
def isolated_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


def git(folder: Path, *arguments: str, stdin: bytes | None = None) -> str:
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "protocol.file.allow=always")
    command = ["git", *identity, "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, input=stdin).stdout.decode().strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    (root / "package").mkdir(parents=True)
    (root / "train.py").write_text("lr = 0.1\n")
    (root / "package" / "model.py").write_text("depth = 3\n")
    (root / "package" / "run.sh").write_text("echo 1\n")
    (root / "image.jpg").write_bytes(JPEG)
    (root / "old.py").write_text("gone = True\n")
    (root / "link").symlink_to("train.py")
    git(root, "init", "-q", "-b", "main")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "first")
    return root


def snapshot(folder: Path) -> dict[str, tuple[str, bytes]]:
    """Return each path's kind and bytes, ``.git`` left out."""
    found: dict[str, tuple[str, bytes]] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if ".git" in name.parts:
            continue
        if path.is_symlink():
            found[str(name)] = ("link", os.fsencode(path.readlink()))
        elif path.is_file():
            found[str(name)] = ("executable" if os.access(path, os.X_OK) else "file", path.read_bytes())
    return found


def restore(repository: Path, state: CodeState, folder: Path) -> dict[str, tuple[str, bytes]]:
    """Apply the patch to a fresh checkout of the commit and return what is there then."""
    assert state.patch is not None
    if state.commit is None:
        git(folder.parent, "init", "-q", str(folder))
    else:
        git(folder.parent, "clone", "-q", "--no-checkout", str(repository), str(folder))
        git(folder, "checkout", "-q", state.commit)
    git(folder, "apply", "--binary", "--whitespace=nowarn", stdin=state.patch)
    return snapshot(folder)


def change_everything(root: Path) -> None:
    (root / "train.py").write_bytes(b"lr = 0.2\r\nno newline at the end")
    (root / "package" / "run.sh").chmod(0o755)
    (root / "image.jpg").write_bytes(JPEG[::-1])
    (root / "old.py").unlink()
    (root / "link").unlink()
    (root / "link").symlink_to("package/model.py")
    (root / "new folder").mkdir()
    (root / "new folder" / 'nämé "quoted"\ttab.py').write_text("x = 1\n")
    (root / "empty.txt").write_bytes(b"")
    (root / "noise.bin").write_bytes(bytes(reversed(range(256))))
    (root / "tool").write_text("#!/bin/sh\n")
    (root / "tool").chmod(0o755)


def test_the_patch_restores_the_tree_byte_for_byte(repository: Path, tmp_path: Path) -> None:
    change_everything(repository)

    state = find_code(repository, own_files=())

    assert state.omitted == ()
    assert restore(repository, state, tmp_path / "fresh") == snapshot(repository)


def test_files_of_every_size_and_of_equal_content_are_restored(repository: Path, tmp_path: Path) -> None:
    for size_bytes in (0, 1, 15, 16, 2047, 2048, 300_000):
        (repository / f"{size_bytes}.bin").write_bytes(JPEG[:1] * size_bytes)
        (repository / f"{size_bytes} again.bin").write_bytes(JPEG[:1] * size_bytes)

    state = find_code(repository, own_files=())

    assert restore(repository, state, tmp_path / "fresh") == snapshot(repository)


def test_staged_changes_do_not_matter_only_the_files_do(repository: Path, tmp_path: Path) -> None:
    (repository / "train.py").write_text("staged and then changed again\n")
    git(repository, "add", "train.py")
    (repository / "train.py").write_text("lr = 0.9\n")
    git(repository, "rm", "-q", "--cached", "old.py")
    (repository / "added.py").write_text("x\n")
    git(repository, "add", "added.py")
    (repository / "added.py").unlink()
    (repository / "intended.py").write_text("y\n")
    git(repository, "add", "--intent-to-add", "intended.py")

    state = find_code(repository, own_files=())

    assert restore(repository, state, tmp_path / "fresh") == snapshot(repository)


def test_files_and_folders_that_take_each_others_place_are_restored(repository: Path, tmp_path: Path) -> None:
    shutil.rmtree(repository / "package")
    (repository / "package").write_text("a file now\n")
    (repository / "train.py").unlink()
    (repository / "train.py").mkdir()
    (repository / "train.py" / "inner.py").write_text("x = 1\n")

    state = find_code(repository, own_files=())

    assert restore(repository, state, tmp_path / "fresh") == snapshot(repository)


def test_a_folder_replaced_by_a_link_does_not_lend_its_files(repository: Path, tmp_path: Path) -> None:
    shutil.move(repository / "package", tmp_path / "elsewhere")
    (repository / "package").symlink_to(tmp_path / "elsewhere")

    state = find_code(repository, own_files=())

    assert state.changed == ("package", "package/model.py", "package/run.sh")
    assert restore(repository, state, tmp_path / "fresh") == snapshot(repository)


def test_line_ends_are_kept_where_git_would_rewrite_them(repository: Path, tmp_path: Path) -> None:
    (repository / ".gitattributes").write_text("* text=auto\n")
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "attributes")
    (repository / "train.py").write_bytes(b"lr = 0.1\r\nepochs = 3\r\n")
    (repository / "mixed.py").write_bytes(b"a\r\nb\nc\r\n")

    state = find_code(repository, own_files=())

    assert restore(repository, state, tmp_path / "fresh") == snapshot(repository)


def test_a_tree_before_the_first_commit_is_restored(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "new")
    (tmp_path / "new" / "train.py").write_text("lr = 0.1\n")
    (tmp_path / "new" / "a.bin").write_bytes(JPEG)

    state = find_code(tmp_path / "new", own_files=())

    assert restore(tmp_path / "new", state, tmp_path / "fresh") == snapshot(tmp_path / "new")


def test_a_repository_with_sha256_ids_is_restored(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--object-format=sha256", "new")
    (tmp_path / "new" / "train.py").write_text("lr = 0.1\n")
    git(tmp_path / "new", "add", "-A")
    git(tmp_path / "new", "commit", "-q", "-m", "first")
    change_only = tmp_path / "new" / "train.py"
    change_only.write_text("lr = 0.2\n")

    state = find_code(tmp_path / "new", own_files=())

    assert state.commit is not None
    assert len(state.commit) == 64
    assert restore(tmp_path / "new", state, tmp_path / "fresh") == snapshot(tmp_path / "new")


def test_a_repository_at_an_odd_path_is_restored(repository: Path, tmp_path: Path) -> None:
    odd = repository.rename(tmp_path / 'odd:"name" ü\\n')
    change_everything(odd)

    state = find_code(odd, own_files=())

    assert restore(odd, state, tmp_path / "fresh") == snapshot(odd)


def test_the_users_repository_is_left_byte_for_byte(repository: Path) -> None:
    change_everything(repository)
    git(repository, "add", "train.py")
    os.utime(repository / "package" / "model.py", (1, 1))
    before = {str(path): path.read_bytes() for path in sorted((repository / ".git").rglob("*")) if path.is_file()}
    tree_before = snapshot(repository)

    find_code(repository, own_files=())

    after = {str(path): path.read_bytes() for path in sorted((repository / ".git").rglob("*")) if path.is_file()}
    assert after == before
    assert snapshot(repository) == tree_before


def test_the_users_diff_settings_do_not_change_the_patch(repository: Path) -> None:
    change_everything(repository)
    before = find_code(repository, own_files=()).patch
    for setting in ("diff.noprefix=true", "color.ui=always", "diff.external=/bin/false", "diff.renames=copies"):
        git(repository, "config", *setting.split("=", 1))

    after = find_code(repository, own_files=()).patch

    assert after == before


@pytest.mark.parametrize("name", [".env", ".env.local", "prod.env", "server.pem", "id_rsa", "api.key", ".npmrc"])
def test_a_file_named_like_a_secret_is_named_and_not_read(repository: Path, name: str) -> None:
    (repository / name).write_text("PASSWORD=hunter2\n")

    state = find_code(repository, own_files=())

    assert state.changed == (name,)
    assert state.patch is None
    assert state.omitted == (Omission(name, "its name is that of a secret", 17),)


def test_a_tracked_secret_that_changed_stays_out_too(repository: Path) -> None:
    (repository / ".env").write_text("PASSWORD=example\n")
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "sample")
    (repository / ".env").write_text("PASSWORD=hunter2\n")
    (repository / "new.py").write_text("x = 1\n")

    state = find_code(repository, own_files=())

    assert state.patch is not None
    assert b"PASSWORD" not in state.patch
    assert [omission.path for omission in state.omitted] == [".env"]


@pytest.mark.parametrize("secret", ["-----BEGIN RSA PRIVATE KEY-----", "AKIA" + "ABCDEFGHIJKLMNOP", "ghp_" + "a1" * 18])
def test_a_file_that_holds_a_key_is_named_and_not_kept(repository: Path, secret: str) -> None:
    (repository / "settings.py").write_text(f"KEY = '{secret}'\n")

    state = find_code(repository, own_files=())

    assert state.patch is None
    assert [(omission.path, omission.reason) for omission in state.omitted] == [
        ("settings.py", "it holds a key or token")
    ]


def test_files_beyond_the_limit_are_named_with_size_and_digest(repository: Path, tmp_path: Path) -> None:
    (repository / "small.py").write_text("x = 1\n")
    (repository / "large.bin").write_bytes(b"\0" * 1000)

    state = find_code(repository, own_files=(), limits=Limits(size_bytes=500))

    digest = hashlib.sha256(b"\0" * 1000).hexdigest()
    assert state.omitted == (Omission("large.bin", "beyond the limit of 10000 files and 500 bytes", 1000, digest),)
    expected = snapshot(repository)
    del expected["large.bin"]
    assert restore(repository, state, tmp_path / "fresh") == expected


def test_a_large_change_of_a_tracked_file_is_named_too(repository: Path) -> None:
    (repository / "image.jpg").write_bytes(b"\0" * 1000)

    state = find_code(repository, own_files=(), limits=Limits(size_bytes=500))

    assert state.patch is None
    assert [omission.path for omission in state.omitted] == ["image.jpg"]


def test_more_files_than_the_limit_are_named(repository: Path) -> None:
    for name in ("a.py", "b.py", "c.py"):
        (repository / name).write_text("x = 1\n")

    state = find_code(repository, own_files=(), limits=Limits(files=2))

    assert [omission.path for omission in state.omitted] == ["c.py"]


def test_what_is_too_large_to_hash_is_named_without_a_digest(repository: Path) -> None:
    (repository / "a.bin").write_bytes(b"\0" * 1000)
    (repository / "b.bin").write_bytes(b"\0" * 1001)

    state = find_code(repository, own_files=(), limits=Limits(size_bytes=500, hashed_bytes=1500))

    assert [omission.sha256 is None for omission in state.omitted] == [False, True]


def test_content_that_a_filter_rewrites_is_named_and_no_filter_runs(repository: Path) -> None:
    (repository / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")
    git(repository, "config", "filter.lfs.clean", "touch ran; cat")
    git(repository, "add", ".gitattributes")
    git(repository, "commit", "-q", "-m", "lfs")
    (repository / "weights.bin").write_bytes(b"\1\2\3")

    state = find_code(repository, own_files=())

    digest = hashlib.sha256(b"\1\2\3").hexdigest()
    assert state.omitted == (Omission("weights.bin", "git rewrites its content (filter=lfs)", 3, digest),)
    assert not (repository / "ran").exists()


def test_a_changed_submodule_is_named_with_its_commit(repository: Path, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "library")
    (tmp_path / "library" / "lib.py").write_text("x = 1\n")
    git(tmp_path / "library", "add", "-A")
    git(tmp_path / "library", "commit", "-q", "-m", "first")
    git(repository, "submodule", "add", "-q", str(tmp_path / "library"), "library")
    git(repository, "commit", "-q", "-am", "submodule")
    clean = find_code(repository, own_files=())
    (repository / "library" / "lib.py").write_text("x = 2\n")

    state = find_code(repository, own_files=())

    commit = git(tmp_path / "library", "rev-parse", "HEAD")
    assert clean.dirty is False
    assert state.dirty is True
    assert state.omitted == (Omission("library", f"a repository of its own, at commit {commit}"),)


def test_a_repository_inside_the_repository_is_named(repository: Path) -> None:
    git(repository, "init", "-q", "inner")
    (repository / "inner" / "a.py").write_text("x = 1\n")

    state = find_code(repository, own_files=())

    assert state.omitted == (Omission("inner", "a repository of its own, at commit none"),)


def test_a_pipe_in_the_place_of_a_file_is_named(repository: Path) -> None:
    (repository / "train.py").unlink()
    os.mkfifo(repository / "train.py")

    state = find_code(repository, own_files=())

    assert state.omitted == (Omission("train.py", "not a regular file"),)


def test_a_file_that_vanishes_or_closes_while_it_is_read_is_named(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    (repository / "new.py").write_text("x = 1\n")
    monkeypatch.setattr(Path, "read_bytes", refuse)

    state = find_code(repository, own_files=())

    assert state.omitted == (Omission("new.py", "it could not be read: Permission denied", 6),)


def test_an_omitted_file_that_cannot_be_read_has_no_digest(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise PermissionError(13, "Permission denied")

    (repository / "large.bin").write_bytes(b"\0" * 1000)
    monkeypatch.setattr(Path, "open", refuse)

    state = find_code(repository, own_files=(), limits=Limits(size_bytes=500))

    assert [(omission.path, omission.size_bytes, omission.sha256) for omission in state.omitted] == [
        ("large.bin", 1000, None)
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_name_that_is_not_utf_8_is_restored(repository: Path, tmp_path: Path) -> None:
    (repository / os.fsdecode(b"latin-\xe9.py")).write_text("x = 1\n")

    state = find_code(repository, own_files=())

    assert restore(repository, state, tmp_path / "fresh") == snapshot(repository)
    assert state.context()["code.changed"] == "1"


def test_no_temporary_file_is_left_behind(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    change_everything(repository)
    git(repository, "update-index", "--assume-unchanged", "package/model.py")

    find_code(repository, own_files=())

    assert list((tmp_path / "temporary").iterdir()) == []
