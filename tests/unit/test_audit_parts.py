"""The parts of an audit: interpreters, lock files, installed files, distances between environments."""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from pytest_mlrun.audit.case import Case, describe_subject
from pytest_mlrun.audit.installing import describe_wanted
from pytest_mlrun.audit.interpreter import check_interpreter
from pytest_mlrun.audit.locks import Pins, read_pins
from pytest_mlrun.audit.rehash import find_edited
from pytest_mlrun.records.project import Project
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.store.store import Store
from tests.unit.conftest import run_maker

HASH = "sha256:" + "a" * 64
OTHER = "sha256:" + "b" * 64


def case_of(tmp_path: Path, **context: str) -> Case:
    run: RunRecord = run_maker()("run", context={name.replace("__", "."): text for name, text in context.items()})
    store = Store.open(tmp_path / "store", create=True)
    return Case("run", Project(tmp_path), store, describe_subject("run", run, None, None), run=run)


def pretend_python(path: Path, version: str, *, implementation: str = "cpython", works: bool = True) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    answer = json.dumps([implementation, version])
    command = f"echo '{answer}'" if works else "exit 127"
    path.write_text(f"#!/bin/sh\n{command}\n")
    path.chmod(0o755)


def home(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path / "home"), "PATH": str(tmp_path / "bin")}


def test_the_very_interpreter_is_found_in_pyenv_though_its_shims_fail(tmp_path: Path) -> None:
    pretend_python(tmp_path / "home/.pyenv/shims/python3.99", "", works=False)
    pretend_python(tmp_path / "home/.pyenv/versions/3.99.4/bin/python", "3.99.4")
    environ = home(tmp_path) | {"PATH": str(tmp_path / "home/.pyenv/shims")}

    pillar, found = check_interpreter(case_of(tmp_path, env__python='"3.99.4"'), environ)

    assert found is not None
    assert (pillar.status, found.version) == ("pass", "3.99.4")


def test_another_patch_is_a_finding_and_never_taken_silently(tmp_path: Path) -> None:
    pretend_python(tmp_path / "bin/python3.99", "3.99.5")

    pillar, found = check_interpreter(case_of(tmp_path, env__python='"3.99.4"'), home(tmp_path))

    assert found is not None
    assert pillar.findings == (
        "cpython 3.99.5 in place of 3.99.4: what is replayed can at best be consistent, or equal bit by bit",
    )


def test_another_minor_version_or_implementation_is_no_substitute(tmp_path: Path) -> None:
    pretend_python(tmp_path / "bin/python3.99", "3.99.4", implementation="pypy")
    pretend_python(tmp_path / "bin/python3", "3.98.4")

    pillar, found = check_interpreter(case_of(tmp_path, env__python='"3.99.4"'), home(tmp_path))

    assert found is None
    assert (pillar.status, pillar.said) == ("fail", "no cpython 3.99 is installed here; the record says 3.99.4")
    assert pillar.cure == "install it: uv python install 3.99.4, or pyenv install 3.99.4"


def test_the_auditors_own_interpreter_counts_if_it_is_the_very_one(tmp_path: Path) -> None:
    version = ".".join(map(str, sys.version_info[:3]))

    pillar, _ = check_interpreter(case_of(tmp_path, env__python=json.dumps(version)), home(tmp_path))

    assert pillar.status == "pass"


UV_LOCK = f"""
version = 1
[[package]]
name = "Scikit_Learn"
version = "1.7.2"
source = {{ registry = "https://pypi.org/simple" }}
sdist = {{ url = "https://x/s.tar.gz", hash = "{OTHER}" }}
wheels = [{{ url = "https://x/s.whl", hash = "{HASH}" }}]
[[package]]
name = "inner"
version = "1"
source = {{ registry = "https://wheels.example.org/simple" }}
wheels = [{{ url = "https://x/i.whl", hash = "{HASH}" }}]
[[package]]
name = "project"
version = "0"
source = {{ editable = "." }}
"""
PYLOCK = f"""
lock-version = "1.0"
[[packages]]
name = "scikit-learn"
version = "1.7.2"
index = "https://pypi.org/simple"
wheels = [{{ url = "https://x/s.whl", hashes = {{ sha256 = "{HASH[7:]}" }} }}]
sdist = {{ url = "https://x/s.tar.gz", hashes = {{ sha256 = "{OTHER[7:]}" }} }}
[[packages]]
name = "inner"
version = "1"
index = "https://wheels.example.org/simple"
archive = {{ url = "https://x/i.whl", hashes = {{ sha256 = "{HASH[7:]}" }} }}
"""
REQUIREMENTS = f"""
--extra-index-url=https://wheels.example.org/simple
scikit-learn==1.7.2 \\
    --hash={HASH} \\
    --hash={OTHER}  # via project
inner[extra] == 1 ; python_version > "3" --hash={HASH}
unpinned==2
"""


@pytest.mark.parametrize(
    ("name", "kind", "text"),
    [("uv.lock", "uv", UV_LOCK), ("pylock.toml", "pylock", PYLOCK), ("requirements.txt", "requirements", REQUIREMENTS)],
    ids=["uv", "pylock", "requirements"],
)
def test_each_kind_of_lock_says_which_bytes_a_distribution_may_have(
    tmp_path: Path, name: str, kind: str, text: str
) -> None:
    (tmp_path / name).write_text(text)

    pins = read_pins(tmp_path / name, kind)

    assert pins.hashes == {("scikit-learn", "1.7.2"): {HASH, OTHER}, ("inner", "1"): {HASH}}
    assert pins.options == ("--extra-index-url", "https://wheels.example.org/simple")


def test_a_lock_that_is_no_toml_is_named(tmp_path: Path) -> None:
    (tmp_path / "uv.lock").write_text("<<<<<<<")

    with pytest.raises(ValueError, match=r"^uv\.lock cannot be read$"):
        read_pins(tmp_path / "uv.lock", "uv")


@pytest.mark.parametrize(
    ("entry", "requirement", "pinned"),
    [
        ({"name": "scikit-learn", "version": "1.7.2"}, "scikit-learn==1.7.2", True),
        ({"name": "scikit-learn", "version": "1.7.3"}, "scikit-learn==1.7.3", False),
        (
            {"name": "tool", "version": "1", "url": "https://git.example.org/tool", "commit": "c" * 40},
            f"tool @ git+https://git.example.org/tool@{'c' * 40}",
            False,
        ),
        (
            {"name": "tool", "version": "1", "url": "https://x/tool.whl", "archive": {"sha256": HASH[7:]}},
            "tool @ https://x/tool.whl",
            True,
        ),
    ],
    ids=["locked", "another version", "git", "archive"],
)
def test_a_distribution_is_asked_for_as_it_was_installed(
    entry: Mapping[str, object], requirement: str, pinned: bool
) -> None:
    wanted = describe_wanted(entry, Pins({("scikit-learn", "1.7.2"): frozenset({HASH})}))

    assert (wanted.requirement, bool(wanted.hashes)) == (requirement, pinned)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A ``site-packages`` folder with one distribution, as an installer leaves it."""
    (tmp_path / "tool").mkdir()
    (tmp_path / "tool-1.dist-info").mkdir()
    files = {"tool/__init__.py": b"FIT = 1\n", "tool/data.json": b"{}", "tool-1.dist-info/METADATA": b"Name: tool\n"}
    lines = ["../../bin/tool,sha256=zzz,1", "tool-1.dist-info/RECORD,,", "tool-1.dist-info/INSTALLER,sha256=zzz,1"]
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
        lines.append(f"{name},sha256={digest},{len(content)}")
    (tmp_path / "tool-1.dist-info/RECORD").write_text("\n".join(lines))
    (tmp_path / "_virtualenv.pth").write_text("import _virtualenv")
    return tmp_path


def test_installed_files_as_their_wheel_said_raise_no_question(site: Path) -> None:
    assert find_edited(site) == []


@pytest.mark.parametrize("name", ["tool/__init__.py", "tool/data.json", "tool-1.dist-info/METADATA"])
def test_a_file_that_was_edited_by_hand_is_named(site: Path, name: str) -> None:
    (site / name).write_bytes((site / name).read_bytes() + b"#")

    assert find_edited(site) == [name]


def test_a_file_that_is_gone_and_one_that_no_wheel_brought_are_named(site: Path) -> None:
    (site / "tool/data.json").unlink()
    (site / "sitecustomize.py").write_text("import random; random.seed(1)")
    (site / "tool/notes.txt").write_text("nothing is loaded from here")

    assert find_edited(site) == ["sitecustomize.py", "tool/data.json"]
