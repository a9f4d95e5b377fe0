"""Installed distributions are known by what their wheels hold, not by who installed them, or where."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_mlrun.pillars.distributions import find_distributions

RECORD = """\
churn/__init__.py,sha256=aaa,10
churn/__pycache__/__init__.cpython-311.pyc,,
"churn/odd,name.py",sha256=bbb,11
churn-1.0.dist-info/METADATA,sha256=ccc,12
churn-1.0.dist-info/RECORD,,
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site-packages"
    folder.mkdir()
    return folder


def install(site: Path, name: str = "churn", version: str = "1.0", *, record: str | None = RECORD) -> Path:
    folder = site / f"{name}-{version}.dist-info"
    folder.mkdir(parents=True)
    if record is not None:
        (folder / "RECORD").write_text(record)
    return folder


def record_of(site: Path) -> object:
    (distribution,) = find_distributions(site.parent, path=[str(site)])
    return distribution["record"]


def test_distributions_are_named_and_sorted(site: Path) -> None:
    install(site, "Zoo_Keeper.Plus", "2.0+cpu")
    install(site, "churn")

    found = find_distributions(site.parent, path=[str(site)])

    assert [(entry["name"], entry["version"]) for entry in found] == [("churn", "1.0"), ("zoo-keeper-plus", "2.0+cpu")]


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text + "churn-1.0.dist-info/INSTALLER,sha256=uv,2\nchurn-1.0.dist-info/REQUESTED,,\n",
        lambda text: text + "churn-1.0.dist-info/direct_url.json,sha256=x,2\nchurn-1.0.dist-info/uv_cache.json,,\n",
        lambda text: text + "../../../bin/churn,sha256=shebang,2\n",
        lambda text: "".join(sorted(text.splitlines(keepends=True), reverse=True)),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace(",10\n", ",\n"),
    ],
    ids=["installer", "origin", "script", "order", "line-ends", "size"],
)
def test_what_installers_add_does_not_change_the_digest(
    site: Path, tmp_path: Path, change: Callable[[str], str]
) -> None:
    install(site)
    install(tmp_path / "b" / "site-packages", record=change(RECORD))

    assert record_of(site) == record_of(tmp_path / "b" / "site-packages")


@pytest.mark.parametrize(("old", "new"), [("aaa", "aab"), ("churn/__init__", "churn/init"), ("bbb", "bbc")])
def test_another_file_changes_the_digest(site: Path, tmp_path: Path, old: str, new: str) -> None:
    install(site)
    install(tmp_path / "b" / "site-packages", record=RECORD.replace(old, new))

    assert record_of(site) != record_of(tmp_path / "b" / "site-packages")


def test_without_a_record_there_is_no_digest(site: Path) -> None:
    install(site, record=None)

    assert record_of(site) is None


def test_the_first_folder_on_the_path_wins(site: Path, tmp_path: Path) -> None:
    install(site, version="1.0")
    install(tmp_path / "later", version="2.0")
    install(tmp_path / "later", "other")

    found = find_distributions(tmp_path, path=[str(site), str(tmp_path / "later"), str(site), str(tmp_path / "none")])

    assert [(entry["name"], entry["version"]) for entry in found] == [("churn", "1.0"), ("other", "1.0")]


def test_an_egg_counts_in_a_system_folder_and_not_in_a_source_folder(site: Path, tmp_path: Path) -> None:
    for folder in (site, tmp_path / "source"):
        (folder / "old.egg-info").mkdir(parents=True)
        (folder / "old.egg-info" / "PKG-INFO").write_text("Metadata-Version: 1.0\nName: old\nVersion: 0.9\n")
    (site / "flat-0.1.egg-info").write_text("Name: flat\nVersion: 0.1\n")
    (site / "bare.egg-info").mkdir()

    found = find_distributions(tmp_path, path=[str(tmp_path / "source"), str(site)])

    assert [(entry["name"], entry["version"]) for entry in found] == [("bare", ""), ("flat", "0.1"), ("old", "0.9")]


@pytest.mark.parametrize(
    ("written", "origin"),
    [
        (
            {
                "url": "https://me:hunter2@host/churn.git",
                "vcs_info": {"vcs": "git", "commit_id": "c0", "requested_revision": "main"},
            },
            {"url": "https://host/churn.git", "commit": "c0"},
        ),
        (
            {"url": "https://host/churn.whl?sig=hunter2", "archive_info": {"hashes": {"sha256": "aa"}}},
            {"url": "https://host/churn.whl", "archive": {"sha256": "aa"}},
        ),
        ({"url": "file:///srv/churn", "dir_info": {}}, {"url": "/srv/churn"}),
        (
            {"url": "file:///home/me/my%20churn", "dir_info": {"editable": True}},
            {"url": "~/my churn", "editable": True},
        ),
    ],
    ids=["git", "archive", "folder", "editable"],
)
def test_an_installation_from_elsewhere_says_from_where(
    site: Path, written: dict[str, object], origin: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    (install(site, record=None) / "direct_url.json").write_text(json.dumps(written))

    (found,) = find_distributions(site.parent, path=[str(site)])

    assert found == {"name": "churn", "version": "1.0", "record": None} | origin


def test_an_installation_from_the_repository_is_named_relative_to_the_project(site: Path, tmp_path: Path) -> None:
    project = tmp_path / "repository" / "services" / "churn"
    project.mkdir(parents=True)
    (tmp_path / "repository" / ".git").mkdir()
    url = (tmp_path / "repository" / "libs" / "shared").as_uri()
    (install(site) / "direct_url.json").write_text(json.dumps({"url": url, "dir_info": {"editable": True}}))

    (found,) = find_distributions(project, path=[str(site)])

    assert found["url"] == "../../libs/shared"


def test_the_place_of_an_editable_installation_does_not_change_its_digest(site: Path, tmp_path: Path) -> None:
    other = tmp_path / "b" / "site-packages"
    for number, folder in enumerate((site, other)):
        metadata = install(
            folder, record=f"_churn.pth,sha256=path{number},9\n__editable___churn_finder.py,sha256={number},1\n"
        )
        (metadata / "direct_url.json").write_text('{"url": "file:///a", "dir_info": {"editable": true}}')

    assert record_of(site) == record_of(other)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"url": "https://h/a", "dir_info": null}'])
def test_an_origin_that_cannot_be_read_is_no_origin(site: Path, content: str) -> None:
    (install(site, record=None) / "direct_url.json").write_text(content)

    (found,) = find_distributions(site.parent, path=[str(site)])

    assert "editable" not in found


def test_this_environments_distributions_are_found(tmp_path: Path) -> None:
    found = {entry["name"]: entry for entry in find_distributions(tmp_path)}

    assert {"numpy", "pyarrow", "pytest", "scikit-learn"} <= set(found)
    assert str(found["numpy"]["record"]).startswith("sha256:")
