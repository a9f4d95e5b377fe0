"""A merge that is killed anywhere leaves every run once, and done again it is complete."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytest_mlrun.records.run import Artifact, RunEnd, RunStart
from pytest_mlrun.store.store import Store
from pytest_mlrun.store.verify import verify_store

Server = Callable[..., list[int]]
RUN = "01900000-0000-7000-8000-{:012x}"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Send merges to processes that may die."""
    command = [sys.executable, str(Path(__file__).with_name("store_child.py"))]
    # Not measured: a killed process leaves a coverage file that spoils the others when they are combined.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        stdin, stdout = process.stdin, process.stdout
        if stdin is None or stdout is None:
            pytest.fail("the server has no pipes")

        def send(store: Path, other: Path, *, last: int = 0) -> list[int]:
            trace = {"trace": str(store) + ".trace", "acks": str(store) + ".acks"}
            stdin.write(
                json.dumps({"verb": "union", "store": str(store), "other": str(other), "last": last, **trace}) + "\n"
            )
            stdin.flush()
            codes: list[int] = json.loads(stdout.readline())
            return codes

        yield send
        stdin.close()
        process.wait(timeout=30)


@pytest.fixture
def stores(tmp_path: Path) -> tuple[Path, Path]:
    """A store with a run, and an orphaned one; another with both whole, one more, objects and a tag."""
    mine = Store.open(tmp_path / "mine", create=True)
    writer = mine.writer(session_id="s")
    for number in (1, 2):
        writer.start(RunStart(RUN.format(number), "s", "crash", f"run-{number}", "test_crash.py::test", started_us=1))
        writer.append(writer.channel(RUN.format(number), "loss"), 0.5, 0)
    shutil.copytree(mine.path, tmp_path / "other", ignore=shutil.ignore_patterns("*.lock"))
    writer.finish(RUN.format(1), RunEnd("finished", "passed"))
    writer.append(writer.channel(RUN.format(2), "loss"), 0.25, 1)
    writer.finish(RUN.format(2), RunEnd("finished", "passed"))
    writer.start(RunStart(RUN.format(3), "s", "crash", "run-3", "test_crash.py::test"))
    for content in (b"model", b"figure"):
        staged = mine.objects.stage_bytes(content)
        writer.artifact(RUN.format(3), Artifact(content.decode(), staged.digest, staged.size_bytes))
        mine.objects.publish(staged)
    writer.append(writer.channel(RUN.format(3), "loss"), 0.125, 0)
    writer.finish(RUN.format(3), RunEnd("finished", "passed"))
    writer.close()
    mine.annotate(RUN.format(3), tags={"stage": "x"}, note="", who="ada")
    part = Store.open(tmp_path / "other")
    assert [run.status for run in part.recover()] == ["orphaned", "orphaned"]
    return part.path, mine.path


def show(path: Path) -> list[tuple[str, str, list[float]]]:
    reader = Store.open(path).reader()
    return [(run.run_id, run.status, reader.series(run.run_id, "loss").values.tolist()) for run in reader.runs()]


def test_a_kill_at_any_step_of_a_merge_is_healed_by_the_next(
    server: Server, stores: tuple[Path, Path], tmp_path: Path
) -> None:
    part, whole = stores
    before, after = show(part), show(whole)
    rehearsal = Path(shutil.copytree(part, tmp_path / "rehearsal"))
    assert server(rehearsal, whole) == [0]
    assert show(rehearsal) == after
    files = names(rehearsal)
    steps = Path(f"{rehearsal}.trace").read_text().splitlines()

    for last in range(1, len(steps) + 1):
        killed = Path(shutil.copytree(part, tmp_path / f"{last}"))
        assert server(killed, whole, last=last) == [-9]
        for run in show(killed):
            assert run in before or run in after
        assert len({run_id for run_id, _, _ in show(killed)}) == len(show(killed))
        assert list(verify_store(Store.open(killed))) == []
        assert server(killed, whole) == [0]
        assert show(killed) == after
        assert list(verify_store(Store.open(killed))) == []
        # What a process killed after its last commit did not remove is ignored, and waits for a compaction.
        # Half a copy stays in tmp/ for a collection.
        left = {name for name in names(killed) - files if not name.startswith("tmp/object-")}
        assert left <= names(part)
        assert {path.name[:7] for path in (killed / "tmp").iterdir()} <= {"object-"}

    assert {"merge.locked", "merge.object", "install.seg.before-rename", "merge.removed"} <= set(steps)
    assert len(steps) > 12


def names(store: Path) -> set[str]:
    return {str(path.relative_to(store)) for path in store.rglob("*") if path.is_file()}
