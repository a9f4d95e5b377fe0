"""Sources are hashed without git: what counts, what does not, and where it stops."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_mlrun.pillars.source_tree import Bounds, hash_source_tree


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    (root / "package").mkdir(parents=True)
    (root / "train.py").write_text("lr = 0.1\n")
    (root / "package" / "model.py").write_text("depth = 3\n")
    (root / "pyproject.toml").write_text("[project]\n")
    return root


def write(path: Path, text: str = "x = 1\n") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    "change",
    [
        lambda root: write(root / "train.py", "lr = 0.2\n"),
        lambda root: write(root / "package" / "new.py"),
        lambda root: (root / "package" / "model.py").unlink(),
        lambda root: (root / "train.py").rename(root / "fit.py"),
        lambda root: write(root / "pyproject.toml", "[tool]\n"),
        lambda root: write(root / "requirements-dev.txt", "numpy==2.4\n"),
    ],
    ids=["edited", "added", "removed", "renamed", "configuration", "requirements"],
)
def test_a_change_of_the_sources_changes_the_digest(project: Path, change: Callable[[Path], object]) -> None:
    before = hash_source_tree(project)

    change(project)

    assert hash_source_tree(project).digest != before.digest


@pytest.mark.parametrize(
    "name",
    [
        ".hidden/a.py",
        "__pycache__/a.py",
        "node_modules/a/b.py",
        "build/lib/a.py",
        "dist/a.py",
        "project.egg-info/a.cfg",
        ".pytest_mlrun/a.toml",
        "mlrun-registry/churn/1.yaml",
        "package/mlrun.lock",
        "data.csv",
        "notes.txt",
        "prod.env",
    ],
)
def test_what_is_not_source_does_not_change_the_digest(project: Path, name: str) -> None:
    own_files = ("mlrun.lock", "mlrun-registry/")
    before = hash_source_tree(project, own_files=own_files)

    write(project / name)

    assert hash_source_tree(project, own_files=own_files) == before


def test_a_virtual_environment_of_any_name_does_not_count(project: Path) -> None:
    before = hash_source_tree(project)

    write(project / "my-env" / "pyvenv.cfg", "home = /usr\n")
    write(project / "my-env" / "lib" / "a.py")

    assert hash_source_tree(project) == before


def test_equal_trees_in_two_places_have_equal_digests(project: Path, tmp_path: Path) -> None:
    for path in project.rglob("*.*"):
        write(tmp_path / "copy" / path.relative_to(project), path.read_text())

    assert hash_source_tree(tmp_path / "copy") == hash_source_tree(project)
    assert hash_source_tree(project).files == 3


@pytest.mark.parametrize(
    ("bounds", "note", "files"),
    [
        (Bounds(files=2), "stopped after 2 files", 2),
        (Bounds(size_bytes=12), "stopped after 12 bytes", 1),
        (Bounds(entries=2), "stopped after 2 folder entries", 1),
    ],
)
def test_hashing_stops_at_a_limit_and_says_so(project: Path, bounds: Bounds, note: str, files: int) -> None:
    tree = hash_source_tree(project, bounds=bounds)

    assert (tree.note, tree.files) == (note, files)
    assert tree.digest != hash_source_tree(project).digest


def test_a_link_back_to_the_root_does_not_go_round_in_circles(project: Path) -> None:
    before = hash_source_tree(project)

    (project / "package" / "loop").symlink_to(project)

    assert hash_source_tree(project) == before


def test_an_unreadable_file_counts_by_its_name(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise PermissionError(13, "Permission denied")

    before = hash_source_tree(project)
    monkeypatch.setattr(Path, "open", refuse)
    unreadable = hash_source_tree(project)
    (project / "train.py").rename(project / "fit.py")

    assert len({before.digest, unreadable.digest, hash_source_tree(project).digest}) == 3
    assert unreadable.files == 3


def test_a_folder_that_does_not_exist_holds_no_sources(tmp_path: Path) -> None:
    assert hash_source_tree(tmp_path / "nothing").files == 0
