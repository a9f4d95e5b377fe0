"""A session tidies the store at its end, briefly, and no test pays for what hinders it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_mlrun.store import compaction

if TYPE_CHECKING:
    from tests.conftest import Runs

ONE = "def test_a(mlrun): mlrun.log_metric('auc', 0.5, step=1)\n"


def leave_segments(pytester: pytest.Pytester, count: int) -> Path:
    """Leave what so many sessions of one run leave."""
    from pytest_mlrun.records.run import RunEnd, RunStart
    from pytest_mlrun.store.store import Store

    for number in range(count):
        writer = Store.open(pytester.path / ".pytest_mlrun", create=True).writer(session_id="s")
        run_id = f"01800000-0000-7000-8000-{number:012x}"
        writer.start(RunStart(run_id, "s", "churn", "run", "t"))
        writer.finish_and_seal(run_id, RunEnd("finished", "passed"))
    return pytester.path / ".pytest_mlrun" / "seg"


def record(pytester: pytest.Pytester) -> pytest.RunResult:
    pytester.makepyfile(ONE)
    result = pytester.runpytest("--mlrun", "-q")
    result.assert_outcomes(passed=1)
    return result


def test_eight_sessions_leave_one_segment(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    segments = leave_segments(pytester, 6)
    record(pytester)
    before = len(list(segments.iterdir()))

    result = record(pytester)

    assert (before, len(list(segments.iterdir()))) == (7, 1)
    assert len(stored_runs()) == 8
    result.stdout.no_fnmatch_line("*compact*")


def test_a_store_that_cannot_be_compacted_is_told_and_fails_no_session(
    pytester: pytest.Pytester, stored_runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pytest_mlrun.errors import StoreWriteError

    def refuse(*_: object, **__: object) -> None:
        raise StoreWriteError(
            "the run store cannot be written: no space is left", where="tmp", next_step="free some space"
        )

    monkeypatch.setattr(compaction, "compact", refuse)

    result = record(pytester)

    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(
        [
            "the store was not compacted: the run store cannot be written: no space is left",
            "  where: tmp",
            "  next:  free some space",
        ]
    )
    assert len(stored_runs()) == 1


def test_damage_that_the_end_of_a_session_meets_is_told(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    damaged = min(leave_segments(pytester, 7).iterdir())
    damaged.write_bytes(damaged.read_bytes()[:-1])

    result = record(pytester)

    result.stdout.fnmatch_lines([f"damaged: {damaged} was put aside. See: pytest-mlrun verify"])
