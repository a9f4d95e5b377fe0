"""``pytest-mlrun compact`` rewrites small files and says what that changed."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_mlrun.cli import main
from pytest_mlrun.cli.console import Console
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.report.facts import show_size
from pytest_mlrun.store.locks import try_lock

MakeRun = Callable[..., RunRecord]
WriteRuns = Callable[..., Path]
MakeConsole = Callable[..., Console]


@pytest.fixture
def store(make_run: MakeRun, write_runs: WriteRuns) -> Path:
    """A store of three runs, sealed one by one."""
    return {write_runs([make_run(name)], curves={name: {"loss": [1.0, 0.5]}}) for name in ("a", "b", "c")}.pop()


def size_of(store: Path) -> int:
    return sum(path.stat().st_size for path in store.glob("*/*.arrow"))


def test_what_there_was_and_what_there_is_stand_beside_each_other(store: Path, make_console: MakeConsole) -> None:
    console = make_console(width=80)
    before = show_size(size_of(store))

    code = main(["compact"], console=console)

    after = show_size(size_of(store))
    assert code == 0
    assert _text(console.out).splitlines() == [
        f"{'':12}  {'before':>7}  {'after':>7}",
        f"{'segments':12}  {3:>7}  {1:>7}",
        f"{'series files':12}  {3:>7}  {1:>7}",
        f"{'size':12}  {before:>7}  {after:>7}",
    ]
    listed = make_console()
    assert main(["runs", "--json"], console=listed) == 0
    assert sorted(json.loads(line)["name"] for line in _text(listed.out).splitlines()) == ["a", "b", "c"]


def test_json_is_one_object(store: Path, make_console: MakeConsole) -> None:
    console, before = make_console(), size_of(store)

    assert main(["compact", "--json"], console=console) == 0

    assert json.loads(_text(console.out)) == {
        "before": {"segments": 3, "series_files": 3, "size_bytes": before},
        "after": {"segments": 1, "series_files": 1, "size_bytes": size_of(store)},
        "rewritten": 3,
    }


def test_a_second_time_there_is_nothing_to_do(store: Path, make_console: MakeConsole) -> None:
    main(["compact"], console=make_console())
    console = make_console()

    assert main(["compact"], console=console) == 0

    assert _text(console.out) == f"nothing to compact: 1 segment in {store}\n"


def test_beside_another_compaction_there_is_nothing_to_do(store: Path, make_console: MakeConsole) -> None:
    lock, console = try_lock(store / "compact.lock"), make_console()
    assert lock is not None

    assert main(["compact"], console=console) == 0

    lock.release()
    assert _text(console.out) == ""
    assert _text(console.err) == f"another process is compacting {store}: nothing to do here\n"


def test_damage_that_is_met_is_put_aside_and_named(store: Path, make_console: MakeConsole) -> None:
    damaged = min((store / "seg").iterdir())
    damaged.write_bytes(damaged.read_bytes()[:-1])
    console = make_console()

    code = main(["compact"], console=console)

    assert code == 3
    aside = store / "damaged" / "seg" / damaged.name
    lines = _text(console.err).splitlines()
    assert lines[:3] == [f"put aside: {aside}", f"  was:   {damaged}", "  lost:  run 00000001"]


def _text(stream: object) -> str:
    assert isinstance(stream, io.StringIO)
    return stream.getvalue()
