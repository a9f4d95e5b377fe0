"""The lock file of a project is found where its tool puts it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from pytest_mlrun.pillars.dependency_locks import DependencyLock, find_dependency_locks


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("uv.lock", "uv"),
        ("pylock.toml", "pylock"),
        ("pylock.dev.toml", "pylock"),
        ("poetry.lock", "poetry"),
        ("conda-lock.yml", "conda"),
        ("requirements.txt", "requirements"),
        ("requirements-dev.txt", "requirements"),
    ],
)
def test_each_kind_of_lock_file_is_known(tmp_path: Path, name: str, kind: str) -> None:
    (tmp_path / name).write_text("x\n")

    found = find_dependency_locks(tmp_path)

    digest = f"sha256:{hashlib.sha256(b'x' + bytes([10])).hexdigest()}"
    assert found == (DependencyLock(name, kind, digest, hashed=kind != "requirements"),)


def test_the_strongest_lock_of_a_folder_comes_first(tmp_path: Path) -> None:
    for name in ("requirements-dev.txt", "requirements.txt", "poetry.lock", "uv.lock"):
        (tmp_path / name).write_text("x\n")

    found = find_dependency_locks(tmp_path)

    assert [lock.path for lock in found] == ["uv.lock", "poetry.lock", "requirements.txt", "requirements-dev.txt"]


def test_the_nearest_folder_with_a_lock_wins_up_to_the_repositorys_top(tmp_path: Path) -> None:
    project = tmp_path / "repository" / "services" / "churn"
    project.mkdir(parents=True)
    (tmp_path / "repository" / ".git").mkdir()
    (tmp_path / "uv.lock").write_text("outside\n")
    outside = find_dependency_locks(project)
    (tmp_path / "repository" / "uv.lock").write_text("top\n")
    top = find_dependency_locks(project)
    (project / "requirements.txt").write_text("near\n")
    near = find_dependency_locks(project)

    assert [[lock.path for lock in found] for found in (outside, top, near)] == [
        [],
        ["../../uv.lock"],
        ["requirements.txt"],
    ]


def test_without_a_repository_only_the_project_itself_is_searched(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("somebody else's\n")
    (tmp_path / "project").mkdir()

    assert find_dependency_locks(tmp_path / "project") == ()


def test_requirements_with_hashes_are_told_from_those_without(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("numpy==2.4.6 --hash=sha256:aa\n")

    (lock,) = find_dependency_locks(tmp_path)

    assert lock.hashed


def test_a_folder_named_like_a_lock_is_none(tmp_path: Path) -> None:
    (tmp_path / "uv.lock").mkdir()

    assert find_dependency_locks(tmp_path) == ()


def test_a_project_that_does_not_exist_has_no_lock(tmp_path: Path) -> None:
    assert find_dependency_locks(tmp_path / "nothing") == ()
