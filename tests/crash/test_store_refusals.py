"""A write that the operating system refuses is one clear error; the store stays readable, and goes on from there."""

from __future__ import annotations

import errno
import shutil
from itertools import count
from pathlib import Path

import pytest

from pytest_mlrun.store.reader import Reader
from pytest_mlrun.store.store import Store
from pytest_mlrun.store.verify import verify_store
from tests.crash.store_jobs import REFUSED, Server, check_acks, check_recovered, copy_folder
from tests.crash.store_starts import Action, check_between, make_actions, tell

ACTIONS = ("recover", "compact", "gc", "merge", "import", "annotate", "quarantine")
DISKS = {
    "is full": (errno.ENOSPC, 1, "no space is left"),
    "was full for a moment": (errno.ENOSPC, 0, "no space is left"),
    "is broken": (errno.EIO, 1, "Input/output error"),
    "was broken for a moment": (errno.EIO, 0, "Input/output error"),
}


@pytest.fixture(scope="module")
def actions(server: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Action]:
    """What writes a store, each with the store that it starts from."""
    return make_actions(server, tmp_path_factory.mktemp("starts"))


def facts_of(disk: str) -> dict[str, str | int]:
    code, lasts, reason = DISKS[disk]
    return {"errno": code, "lasts": lasts, "headline": f"the run store cannot be written: {reason}"}


def was_refused(folder: Path) -> bool:
    """Say whether any call was refused: some are tried again, and some nothing depends on."""
    return (folder / "trace.refused").exists()


def check_recording(server: Server, folder: Path, disk: str, *, every: int) -> None:
    refused = 0
    for fail_at in count(1, every):
        one = folder / f"{fail_at}"
        one.mkdir()
        codes = server("everything", one, fail_at=fail_at, **facts_of(disk))
        assert codes in ([0], [REFUSED])
        if (one / "store" / "mlrun.json").exists():
            check_acks(one, Reader(one / "store").runs())
            check_recovered(one)
        refused += codes == [REFUSED]
        if not was_refused(one):
            break
        shutil.rmtree(one)
    assert refused * every > 40


def test_a_write_of_a_recording_that_is_refused_is_named_and_costs_nothing_acknowledged(
    server: Server, tmp_path: Path
) -> None:
    check_recording(server, tmp_path, "is full", every=31)


@pytest.mark.slow
@pytest.mark.parametrize("disk", DISKS)
def test_any_write_of_a_recording_that_is_refused_is_named_and_costs_nothing_acknowledged(
    server: Server, memory_path: Path, disk: str
) -> None:
    check_recording(server, memory_path, disk, every=1)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("disk", DISKS)
@pytest.mark.parametrize("name", ACTIONS)
def test_any_write_that_is_refused_is_named_and_the_next_try_ends_the_work(
    server: Server, actions: dict[str, Action], memory_path: Path, name: str, disk: str
) -> None:
    action = actions[name]
    before = tell(action.start)
    rehearsal = copy_folder(action.start, memory_path / "rehearsal")
    assert action.do(server, rehearsal) == [0]
    assert server("heal", rehearsal) == [0]
    after = tell(rehearsal)
    refused = 0

    for fail_at in count(1):
        folder = copy_folder(action.start, memory_path / f"{fail_at}")
        codes = action.do(server, folder, fail_at=fail_at, **facts_of(disk))
        assert codes in ([0], [REFUSED])
        refusing = was_refused(folder)
        check_between(tell(folder), before, after)
        assert action.do(server, folder) == [0]
        assert server("heal", folder) == [0]
        assert tell(folder) == after
        if not name.startswith("quarantine"):
            assert list(verify_store(Store.open(folder / "store"))) == []
        refused += codes == [REFUSED]
        if not refusing:
            break
        shutil.rmtree(folder)

    assert refused > 3
