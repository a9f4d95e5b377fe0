"""A merge that is killed anywhere leaves every run once, and done again it is complete."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytest_mlrun.records.run import Artifact, RunEnd, RunStart
from pytest_mlrun.store.store import Store
from pytest_mlrun.store.verify import verify_store
from tests.crash.store_jobs import run_server

Server = Callable[..., list[int]]
RUN = "01900000-0000-7000-8000-{:012x}"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Send merges to processes that may die."""
    with run_server() as send_job:

        def send(store: Path, other: Path, *, last: int = 0) -> list[int]:
            beside = {"trace": f"{store}.trace", "acks": f"{store}.acks"}
            return send_job("union", store, store=str(store), other=str(other), last=last, **beside)

        yield send


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
