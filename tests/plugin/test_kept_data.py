"""Data with ``keep = "copy"`` lies in the store, once, and comes back bit by bit when its source is gone."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path

import pytest

import pytest_mlrun
from pytest_mlrun.cli import main
from pytest_mlrun.cli.console import Console
from pytest_mlrun.errors import StoreWriteError
from pytest_mlrun.records.run import Artifact
from pytest_mlrun.store.store import Store
from pytest_mlrun.store.verify import verify_store

Runs = Callable[[], list[pytest_mlrun.RunRecord]]

TEST = """
import pytest

@pytest.mark.mlrun(experiment="churn", data=["rows", "images"])
@pytest.mark.parametrize("depth", [1, 2])
def test_it(mlrun, depth):
    assert mlrun.data["rows"].path.read_text() == "a,b"
"""
TOML = """
[data.rows]
path = "data/rows.csv"
keep = "copy"

[data.images]
path = "data/images"
keep = "copy"
"""
FILES = {"rows.csv": b"a,b", "images/one.png": b"one", "images/deep/two.png": b"two", "images/again.png": b"one"}


@pytest.fixture
def project(pytester: pytest.Pytester) -> Path:
    """A project whose data is locked and kept."""
    for name, content in FILES.items():
        path = pytester.path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    pytester.makefile(".toml", mlrun=TOML)
    pytester.makepyfile(TEST)
    assert command(pytester.path, "data", "lock")[0] == 0
    return pytester.path


def command(folder: Path, *arguments: str) -> tuple[int, list[str]]:
    """Run the program in this process; return its exit code and its lines, those of an error last."""
    console = Console(
        out=io.StringIO(), err=io.StringIO(), width=None, colour=False, live=False, folder=folder, environ={}, now_us=0
    )
    code = main(list(arguments), console=console)
    assert isinstance(console.out, io.StringIO)
    assert isinstance(console.err, io.StringIO)
    return code, [*console.out.getvalue().splitlines(), *console.err.getvalue().splitlines()]


def objects_of(folder: Path) -> dict[bytes, int]:
    store = Store.open(folder / ".pytest_mlrun")
    return {store.objects.read(digest): store.objects.path(digest).stat().st_ino for digest in store.objects}


def files_below(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_file_is_one_object_and_the_run_names_the_listing(
    pytester: pytest.Pytester, project: Path, stored_runs: Runs
) -> None:
    pytester.runpytest("--mlrun").assert_outcomes(passed=2)

    assert set(FILES.values()) < set(objects_of(project))
    for run in stored_runs():
        roles = {artifact.name: artifact.role for artifact in run.artifacts if artifact.name.startswith("data/")}
        assert roles == {"data/rows.json": "snapshot", "data/images.json": "snapshot"}
        # What a policy that requires data_kept asks for.
        assert (run.context["data.rows.kept"], run.context["data.images.kept"]) == ('"copy"', '"copy"')
    assert list(verify_store(Store.open(project / ".pytest_mlrun"))) == []


def test_what_is_kept_already_is_not_copied_again_and_what_was_lost_is(
    pytester: pytest.Pytester, project: Path
) -> None:
    pytester.runpytest("--mlrun").assert_outcomes(passed=2)
    before = objects_of(project)
    lost = Store.open(project / ".pytest_mlrun").objects.path("sha256:" + hashlib.sha256(b"two").hexdigest())
    lost.unlink()

    pytester.runpytest("--mlrun").assert_outcomes(passed=2)

    after = objects_of(project)
    assert lost.read_bytes() == b"two"
    assert (after[b"a,b"], after[b"one"]) == (before[b"a,b"], before[b"one"])


def test_data_by_reference_is_not_copied(pytester: pytest.Pytester, project: Path, stored_runs: Runs) -> None:
    (project / "mlrun.toml").write_text(TOML.replace('keep = "copy"', 'keep = "reference"'))

    pytester.runpytest("--mlrun").assert_outcomes(passed=2)

    assert set(FILES.values()).isdisjoint(objects_of(project))
    roles = {artifact.role for run in stored_runs() for artifact in run.artifacts if artifact.name.startswith("data/")}
    assert roles == {"manifest"}
    assert not any(key.endswith(".kept") for run in stored_runs() for key in run.context)


def test_gc_keeps_the_files_of_a_run_that_it_keeps(pytester: pytest.Pytester, project: Path) -> None:
    pytester.runpytest("--mlrun").assert_outcomes(passed=2)
    before = objects_of(project)

    assert command(project, "gc", "--delete")[0] == 0

    assert objects_of(project) == before


def test_restoring_gives_back_every_file_when_the_source_is_gone(pytester: pytest.Pytester, project: Path) -> None:
    pytester.runpytest("--mlrun").assert_outcomes(passed=2)
    shutil.rmtree(project / "data")

    code, lines = command(project, "data", "restore", "test_it[1]", "-o", "again")

    assert code == 0
    assert sorted(line.split()[:2] for line in lines) == [["restored", "images"], ["restored", "rows"]]
    assert files_below(project / "again" / "images") == {
        name.removeprefix("images/"): content for name, content in FILES.items() if name.startswith("images/")
    }
    assert files_below(project / "again" / "rows") == {"rows.csv": b"a,b"}
    (project / "mlrun.toml").write_text(
        TOML.replace("data/rows.csv", "again/rows/rows.csv").replace("data/images", "again/images")
    )
    assert command(project, "data", "verify")[0] == 0
    assert os.access(project / "again" / "rows" / "rows.csv", os.W_OK)


def test_a_disk_that_is_full_leaves_no_half_kept_data_in_the_record(
    pytester: pytest.Pytester, project: Path, stored_runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise StoreWriteError("the run store cannot be written: no space is left")

    monkeypatch.setattr("pytest_mlrun.store.objects.Objects.stage_file", refuse)

    result = pytester.runpytest("--mlrun")

    result.assert_outcomes(errors=2)
    assert [artifact.role for run in stored_runs() for artifact in run.artifacts if "data/" in artifact.name] == []
    assert list(verify_store(Store.open(project / ".pytest_mlrun"))) == []


def test_one_of_several_is_restored_by_its_name(pytester: pytest.Pytester, project: Path) -> None:
    pytester.runpytest("--mlrun").assert_outcomes(passed=2)

    assert command(project, "data", "restore", "test_it[1]", "rows", "-o", "again")[0] == 0

    assert [path.name for path in (project / "again").iterdir()] == ["rows"]


def test_what_cannot_be_restored_is_said_before_anything_is_written(pytester: pytest.Pytester, project: Path) -> None:
    (project / "mlrun.toml").write_text(TOML[: TOML.rindex("keep")])
    (project / "again" / "rows").mkdir(parents=True)
    pytester.runpytest("--mlrun").assert_outcomes(passed=2)

    asked = (["-o", "again"], ["row", "-o", "new"], ["images", "-o", "new"])
    answers = [command(project, "data", "restore", "test_it[1]", *arguments) for arguments in asked]

    assert [code for code, _ in answers] == [2, 2, 2]
    there, misspelt, not_kept = (lines[0] for _, lines in answers)
    assert there == "error: rows is there already"
    assert fnmatch(misspelt, "error: run * was not trained on data 'row'; did you mean 'rows'[?]")
    assert fnmatch(not_kept, "error: run * kept no copy of data 'images': only its digest is known")
    assert not (project / "new").exists()
    assert files_below(project / "again") == {}


def test_a_damaged_copy_is_named_and_nothing_is_left(pytester: pytest.Pytester, project: Path) -> None:
    pytester.runpytest("--mlrun").assert_outcomes(passed=2)
    damaged = Store.open(project / ".pytest_mlrun").objects.path("sha256:" + hashlib.sha256(b"two").hexdigest())
    damaged.chmod(0o600)
    damaged.write_bytes(b"2wo")

    code, lines = command(project, "data", "restore", "test_it[1]", "images", "-o", "again")

    assert (code, lines[0]) == (3, "error: an object is damaged: deep/two.png is not what was kept")
    findings = list(verify_store(Store.open(project / ".pytest_mlrun")))
    assert [(finding.kind, finding.path, len(finding.run_ids)) for finding in findings] == [("object", str(damaged), 2)]
    assert list((project / "again").iterdir()) == []


def test_a_listing_cannot_write_outside_its_folder(project: Path) -> None:
    store = Store.open(project / ".pytest_mlrun", create=True)
    digest, _ = store.objects.put_bytes(b"evil")
    entry = ["../../evil.py", 4, digest[7:]]
    total = "sha256:" + hashlib.sha256(f"{entry[0]}\0{entry[1]}\0{entry[2]}\n".encode()).hexdigest()
    listing = json.dumps({"digest": total, "kind": "folder", "files": [entry]}).encode()
    with pytest_mlrun.record(experiment="hostile", store=store.path) as run:
        recording = run._recording
        objects = recording._recorder.store.objects
        recording.link(Artifact("data/rows.json", *objects.put_bytes(listing), role="snapshot"))

    code, lines = command(project, "data", "restore", run.id, "-o", "again/deeper")

    assert code == 2
    assert lines[0].startswith("error: artifact name '../../evil.py' must be a relative path")
    assert not list(project.rglob("evil.py"))
