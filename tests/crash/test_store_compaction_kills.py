"""A compaction or a quarantine that is killed anywhere, and healed by one that is killed too, costs nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pytest_mlrun.errors import StoreDamagedError
from pytest_mlrun.store.layout import list_segments, list_series
from pytest_mlrun.store.reader import Reader
from pytest_mlrun.store.store import Store
from pytest_mlrun.store.verify import verify_store
from tests.crash.store_jobs import (
    KILLED,
    Server,
    check_acks,
    check_recovered,
    copy_folder,
    read_trace,
    steps_worth_a_kill,
)


@pytest.fixture(scope="module")
def crashed(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of two segments, and of two logs whose segments were published by processes that died right then."""
    rehearsal = tmp_path_factory.mktemp("rehearsal")
    assert server("seal", rehearsal, nonce=1) == [0]
    (rehearsal / "trace").write_text("")  # a store that exists already is opened in fewer steps
    assert server("seal", rehearsal, nonce=2) == [0]
    published = read_trace(rehearsal).index("install.seg.after-rename") + 1
    folder = tmp_path_factory.mktemp("crashed")
    assert server("finish", folder, nonce=1) == [0]
    assert server("seal", folder, nonce=2, last=published) == KILLED
    assert server("seal", folder, nonce=3) == [0]
    assert server("seal", folder, nonce=4, last=published) == KILLED
    assert len(list_segments(folder / "store")) == 4
    assert len(list((folder / "store" / "live").glob("*.arrows"))) == 2
    return folder


def check_healed(server: Server, folder: Path) -> None:
    assert server("heal", folder) == [0]
    assert server("heal", folder) == [0]
    check_recovered(folder)
    store = folder / "store"
    assert (len(list_segments(store)), len(list_series(store))) == (1, 1)
    assert list((store / "tmp").iterdir()) == []


def check_readable(folder: Path) -> None:
    check_acks(folder, Reader(folder / "store").runs())
    assert verify_store(Store.open(folder / "store")) == []


def rehearse(server: Server, verb: str, dead: Path, folder: Path) -> list[str]:
    rehearsal = copy_folder(dead, folder)
    assert server(verb, rehearsal) == [0]
    return read_trace(rehearsal)


@pytest.mark.slow
def test_a_kill_at_any_step_of_compaction_loses_and_doubles_nothing(
    server: Server, crashed: Path, tmp_path: Path
) -> None:
    trace = rehearse(server, "compact", crashed, tmp_path / "rehearsal")

    for last in steps_worth_a_kill(trace):
        folder = copy_folder(crashed, tmp_path / f"{last}")
        assert server("compact", folder, last=last) == KILLED
        check_readable(folder)
        check_healed(server, folder)

    assert {"compact.begin", "install.pts.after-rename", "install.seg.after-rename"} <= set(trace)
    assert [trace.count(f"compact.removed-{what}") for what in ("segment", "series")] == [4, 4]


def kill_twice(server: Server, crashed: Path, folder: Path, first: int, second: int) -> bool:
    """Kill a compaction, then the recovery and compaction that come after it; say whether the second kill came."""
    copy_folder(crashed, folder)
    assert server("compact", folder, last=first) == KILLED
    (folder / "trace").write_text("")
    killed = server("heal", folder, last=second) == KILLED
    check_readable(folder)
    if killed:
        check_healed(server, folder)
    shutil.rmtree(folder)
    return killed


@pytest.mark.slow
def test_a_kill_while_a_killed_compaction_is_healed_is_healed_as_well(
    server: Server, crashed: Path, tmp_path: Path
) -> None:
    trace = rehearse(server, "compact", crashed, tmp_path / "rehearsal")

    # One second kill for each first; the nightly has them all.
    for first in steps_worth_a_kill(trace):
        assert kill_twice(server, crashed, tmp_path / f"{first}", first, 1 + first % 6)


@pytest.mark.slow
def test_every_pair_of_kills_of_a_compaction_and_its_healing_is_healed(
    server: Server, crashed: Path, tmp_path: Path
) -> None:
    steps = len(rehearse(server, "compact", crashed, tmp_path / "rehearsal"))
    kills = 0

    for first in range(1, steps + 1):
        for second in range(1, 100):
            if not kill_twice(server, crashed, tmp_path / f"{first}-{second}", first, second):
                break
            kills += 1

    assert kills > 10 * steps


@pytest.fixture(scope="module")
def damaged(server: Server, crashed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store healed into one segment, of which a text of one run was changed, and a bit of its series."""
    folder = copy_folder(crashed, tmp_path_factory.mktemp("damaged") / "one")
    assert server("heal", folder) == [0]
    (segment,) = (folder / "store" / "seg").iterdir()
    content = bytearray(segment.read_bytes())
    content[content.rindex(b"run-2")] ^= 1
    segment.write_bytes(content)
    (series,) = (folder / "store" / "pts").iterdir()
    content = bytearray(series.read_bytes())
    content[len(content) // 2] ^= 1
    series.write_bytes(content)
    return folder


def read_everything(folder: Path) -> dict[str, object]:
    reader = Reader(folder / "store")
    found: dict[str, object] = {}
    for run in reader.runs():
        found[run.run_id] = run.digest
        for name in run.series:
            try:
                found[f"{run.run_id} {name}"] = reader.series(run.run_id, name).values.tolist()
            except StoreDamagedError:
                found[f"{run.run_id} {name}"] = "lost"
    return found


def aside(folder: Path) -> dict[str, bytes]:
    place = folder / "store" / "damaged"
    return {path.relative_to(place).as_posix(): path.read_bytes() for path in place.glob("*/*.arrow")}


@pytest.mark.slow
def test_a_kill_at_any_step_of_quarantine_keeps_all_that_was_readable_and_the_damaged_files(
    server: Server, damaged: Path, tmp_path: Path
) -> None:
    readable = read_everything(damaged)
    whole = {
        f"{kind}/{path.name}": path.read_bytes() for kind in ("seg", "pts") for path in damaged.glob(f"store/{kind}/*")
    }
    trace = rehearse(server, "quarantine", damaged, tmp_path / "rehearsal")

    for last in range(1, len(trace) + 1):
        folder = copy_folder(damaged, tmp_path / f"{last}")
        assert server("quarantine", folder, last=last) == KILLED
        assert read_everything(folder) == readable
        server("quarantine", folder, last=last)
        assert read_everything(folder) == readable
        assert server("quarantine", folder) == [0]
        assert server("heal", folder) == [0]
        assert read_everything(folder) == readable
        assert aside(folder) == whole
        assert Store.open(folder / "store").quarantine() == ()

    assert len(readable) > 20
    assert "lost" in readable.values()
    assert {"quarantine.before-link", "quarantine.after-link", "install.seg.after-rename"} <= set(trace)
