"""A disk that is full, or may not be written, is one clear failure; nothing recorded before is lost."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import pytest_mlrun
from pytest_mlrun.errors import StoreWriteError
from pytest_mlrun.records.run import RunEnd, RunStart
from pytest_mlrun.store.store import Store
from pytest_mlrun.store.verify import verify_store
from tests.crash import session_child

ROOT = os.geteuid() == 0
SMALL = """
import pytest

@pytest.mark.mlrun(experiment="disk")
@pytest.mark.parametrize("number", range(3))
def test_small(mlrun, number):
    mlrun.log_metric("loss", number / 7, step=0)
    mlrun.log_text(f"note {number}", "note.txt")
"""
GREEDY = """
import itertools, pytest

@pytest.mark.mlrun(experiment="disk")
def test_greedy(mlrun):
    for step in itertools.count():
        mlrun.log_metric("loss", step / 7, step=step)

@pytest.mark.mlrun(experiment="disk")
def test_artifact(mlrun):
    mlrun.log_text("x" * 3_000_000, "large.txt")
"""


def prepare(folder: Path) -> dict[str, str]:
    """Make the tests, and three runs that must survive; return their digests."""
    (folder / "test_small.py").write_text(SMALL)
    (folder / "test_greedy.py").write_text(GREEDY)
    done = session_child.run_session(folder, "test_small.py")
    assert done.returncode == 0, done.stdout
    return {run.run_id: run.digest for run in pytest_mlrun.open_store(folder / ".pytest_mlrun").runs()}


def check_refused(done: subprocess.CompletedProcess[str], reason: str) -> None:
    assert done.returncode == 1, done.stdout + done.stderr
    assert "INTERNALERROR" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    summary = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    assert summary != []
    for line in summary:
        assert reason in line


def check_intact(store: Path, before: dict[str, str]) -> None:
    reader = pytest_mlrun.open_store(store)
    runs = {run.run_id: run for run in reader.runs()}
    assert {run_id: runs[run_id].digest for run_id in before} == before
    for run_id in before:
        (note,) = [artifact.name for artifact in runs[run_id].artifacts if artifact.name == "note.txt"]
        assert reader.read_artifact(runs[run_id], note).startswith(b"note ")
        assert len(reader.series(run_id, "loss")) == 1
    assert reader.damaged() == ()


def check_usable(folder: Path, before: dict[str, str]) -> None:
    """The next session works, and seals what was left."""
    store = folder / ".pytest_mlrun"
    done = session_child.run_session(folder, "test_small.py")
    assert done.returncode == 0, done.stdout
    check_intact(store, before)
    runs = pytest_mlrun.open_store(store).runs()
    assert Counter(run.status for run in runs)["finished"] == 6
    assert {run.status for run in runs} <= {"finished", "failed", "orphaned"}
    assert session_child.verify(store).stdout.startswith("every digest holds")
    assert list((store / "live").iterdir()) == []
    assert list((store / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    "limit", [pytest.param(limit, marks=pytest.mark.slow) for limit in (120_000, 400_000, 1_500_000)]
)
def test_a_file_size_limit_fails_the_test_that_meets_it(tmp_path: Path, limit: int) -> None:
    before = prepare(tmp_path)

    done = session_child.run_session(tmp_path, "test_greedy.py", MLRUN_CRASH_FILE_BYTES=str(limit))

    check_refused(done, "the run store cannot be written: the file-size limit is reached")
    check_intact(tmp_path / ".pytest_mlrun", before)
    check_usable(tmp_path, before)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    if not ROOT or not mount("-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)):
        pytest.skip("needs the right to mount")
    yield folder
    unmount(folder)


def mount(*arguments: str) -> bool:
    try:
        return subprocess.run(["mount", *arguments], check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def unmount(folder: Path) -> None:
    subprocess.run(["umount", "--lazy", str(folder)], check=True, capture_output=True)


@pytest.mark.skipif(not Path("/proc").exists(), reason="needs Linux")
@pytest.mark.parametrize("left", [0, *(pytest.param(left, marks=pytest.mark.slow) for left in (50_000, 1_000_000))])
def test_a_full_disk_fails_the_test_that_meets_it(small_disk: Path, left: int) -> None:
    before = prepare(small_disk)
    fill(small_disk, left)

    done = session_child.run_session(small_disk, "test_greedy.py", PYTHONDONTWRITEBYTECODE="1")

    check_refused(done, "the run store cannot be written: no space is left")
    check_intact(small_disk / ".pytest_mlrun", before)
    (small_disk / "ballast").unlink()
    check_usable(small_disk, before)


def fill(folder: Path, left_bytes: int) -> None:
    about = os.statvfs(folder)
    (folder / "ballast").write_bytes(bytes(max(about.f_bavail * about.f_frsize - left_bytes, 0)))


def test_a_store_path_that_is_a_file_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "test_small.py").write_text(SMALL)
    (tmp_path / "taken").write_text("precious")

    done = session_child.run_session(tmp_path, "--mlrun-store=taken")

    check_refused(done, "the run store must be a folder: taken is a file")
    assert (tmp_path / "taken").read_text() == "precious"


@pytest.fixture
def locked_store(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "seed").mkdir()
    yield tmp_path / "locked"
    # Path.is_mount does not see a bind mount of the same device: try in any case, or it would outlive the test.
    subprocess.run(["umount", "--lazy", str(tmp_path / "locked")], check=False, capture_output=True)


def test_a_read_only_store_is_one_clear_error_and_stays_readable(locked_store: Path) -> None:
    locked_store.mkdir()
    before = prepare(locked_store)
    if not (ROOT and mount("--bind", str(locked_store), str(locked_store))):
        pytest.skip("needs the right to mount")
    subprocess.run(["mount", "-o", "remount,ro,bind", str(locked_store)], check=True)

    done = session_child.run_session(locked_store, "test_small.py")

    check_refused(done, "the run store cannot be written: the file system is read-only")
    check_intact(locked_store / ".pytest_mlrun", before)
    assert session_child.verify(locked_store / ".pytest_mlrun").returncode == 0


def test_a_store_without_write_permission_is_one_clear_error_and_stays_readable(tmp_path: Path) -> None:
    # Root may write anywhere, unless it gives up the right to.
    under = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search") if ROOT else ()
    if under and shutil.which(under[0]) is None:
        pytest.skip("needs setpriv")
    before = prepare(tmp_path)
    folders = [tmp_path / ".pytest_mlrun", *(tmp_path / ".pytest_mlrun").rglob("*/")]
    for folder in folders:
        folder.chmod(0o500)

    done = session_child.run_session(tmp_path, "test_small.py", under=under)

    check_refused(done, "the run store cannot be written: permission denied")
    check_intact(tmp_path / ".pytest_mlrun", before)
    for folder in folders:
        folder.chmod(0o700)
    check_usable(tmp_path, before)


@pytest.mark.skipif(not Path("/proc").exists(), reason="needs Linux")
def test_a_compaction_that_meets_a_full_disk_leaves_the_store_as_it_is(small_disk: Path) -> None:
    path = small_disk / "store"
    for number in range(9):
        writer = Store.open(path, create=True).writer(session_id="s")
        run_id = f"01800000-0000-7000-8000-{number:012x}"
        writer.start(RunStart(run_id, "s", "disk", f"run-{number}", "t", params={"note": json.dumps("x" * 50_000)}))
        writer.append(writer.channel(run_id, "loss"), number / 7, 0)
        writer.finish_and_seal(run_id, RunEnd("finished", "passed"))
    before = {run.run_id: run.digest for run in pytest_mlrun.open_store(path).runs()}
    fill(small_disk, 100_000)

    with pytest.raises(StoreWriteError, match="the run store cannot be written: no space is left"):
        Store.open(path).compact()

    reader = pytest_mlrun.open_store(path)
    assert {run.run_id: run.digest for run in reader.runs()} == before
    assert [reader.series(run_id, "loss").values.tolist() for run_id in before] == [[at / 7] for at in range(9)]
    assert list((path / "tmp").iterdir()) == []
    (small_disk / "ballast").unlink()
    done = Store.open(path).compact()
    assert done is not None
    assert (done.after.segments, done.after.series_files) == (1, 1)
    assert verify_store(Store.open(path)) == []
