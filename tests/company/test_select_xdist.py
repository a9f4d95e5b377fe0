"""Beside pytest-xdist a winner is chosen when every run is there, in whichever worker, and nobody waits for ever."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from pytest_mlrun import RunRecord

if TYPE_CHECKING:
    from tests.conftest import Runs

# In the file that comes first, and beside experiments of its own scope: wherever a scheduler would start it early.
WINNER = """
    import pytest

    @pytest.mark.mlrun_select(experiment="sweep", by="auc")
    @pytest.mark.mlrun(experiment="sweep")
    def test_winner(mlrun):
        mlrun.set_tag("won", mlrun.winner.name)

    @pytest.mark.mlrun(experiment="sweep")
    def test_early(mlrun): mlrun.log_metric("auc", 0.5)
"""
SWEEP = """
    import pytest

    @pytest.mark.mlrun(experiment="sweep")
    @pytest.mark.parametrize("i", range({first}, {end}))
    def test_run(mlrun, i): mlrun.log_metric("auc", 0.6 + i / 100)
"""


def said(runs: list[RunRecord], fact: str) -> object:
    (run,) = (run for run in runs if run.name == "test_winner")
    return json.loads(run.context[f"selection.{fact}"])


@pytest.fixture
def sweep(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makepyfile(
        test_a=WINNER,
        test_b=SWEEP.format(first=0, end=5),
        test_c=SWEEP.format(first=5, end=6),
        test_d="def test(): pass",
    )
    return pytester


@pytest.mark.parametrize(
    "options",
    [
        ["-n", "2", "--dist", "load"],
        pytest.param(["-n", "2", "--dist", "loadfile"], marks=pytest.mark.slow),
        *(
            pytest.param(["-n", count, "--dist", dist], marks=pytest.mark.slow)
            for count in ("1", "3")
            for dist in ("load", "loadscope", "loadfile", "loadgroup", "worksteal")
        ),
        pytest.param(["-n", "2", "-p", "randomly", "-p", "no:cacheprovider"], marks=pytest.mark.slow),
        pytest.param(["-n", "2", "--ff"], marks=pytest.mark.slow),
    ],
    ids=" ".join,
)
def test_every_run_of_the_session_is_a_candidate(sweep: pytest.Pytester, stored_runs: Runs, options: list[str]) -> None:
    result = sweep.runpytest_subprocess("--mlrun", *options, timeout=60)

    result.assert_outcomes(passed=9)
    runs = stored_runs()
    assert Counter(run.name.partition("[")[0] for run in runs) == {"test_run": 6, "test_early": 1, "test_winner": 1}
    assert [said(runs, name) for name in ("source", "candidates", "eligible", "winner_name")] == [
        "session",
        7,
        7,
        "test_run[5]",
    ]
    assert list(sweep.path.glob(".pytest_mlrun/shared/*selections*")) == []


@pytest.mark.slow
def test_a_run_whose_worker_died_cannot_win_and_holds_nobody_up(sweep: pytest.Pytester, stored_runs: Runs) -> None:
    sweep.makepyfile(
        test_e="""
        import os, signal, pytest

        @pytest.mark.mlrun(experiment="sweep")
        def test_dies(mlrun):
            mlrun.log_metric("auc", 0.99)
            os.kill(os.getpid(), signal.SIGKILL)
        """
    )

    result = sweep.runpytest_subprocess("--mlrun", "-n", "2", timeout=60)

    result.assert_outcomes(passed=9, failed=1)
    runs = stored_runs()
    assert [said(runs, name) for name in ("candidates", "eligible", "winner_name")] == [8, 7, "test_run[5]"]


@pytest.mark.slow
@pytest.mark.parametrize("dist", ["load", "loadscope"])
def test_a_session_that_stops_early_judges_no_winner(sweep: pytest.Pytester, stored_runs: Runs, dist: str) -> None:
    sweep.makepyfile(
        test_aa="""
        import pytest

        @pytest.mark.mlrun(experiment="sweep")
        def test_fails(mlrun): raise RuntimeError
        """
    )

    result = sweep.runpytest_subprocess("--mlrun", "-n", "2", "-x", "--dist", dist, timeout=60)

    assert result.parseoutcomes()["failed"] == 1
    assert [run.name for run in stored_runs() if run.name == "test_winner"] == []


@pytest.mark.slow
def test_the_last_attempt_of_a_rerun_is_waited_for(sweep: pytest.Pytester, stored_runs: Runs) -> None:
    sweep.makepyfile(
        test_e="""
        import pathlib, pytest

        @pytest.mark.mlrun(experiment="sweep")
        def test_flaky(mlrun):
            mlrun.log_metric("auc", 0.9)
            first = not pathlib.Path("tried").exists()
            pathlib.Path("tried").touch()
            assert not first
        """
    )

    result = sweep.runpytest_subprocess("--mlrun", "-n", "2", "-p", "rerunfailures", "--reruns", "1", timeout=60)

    assert result.parseoutcomes() == {"passed": 10, "rerun": 1}
    runs = stored_runs()
    (winner,) = (run for run in runs if run.run_id == said(runs, "winner"))
    assert (winner.name, winner.attempt) == ("test_flaky", 2)


@pytest.mark.slow
def test_a_session_of_selections_alone_chooses_from_the_store(sweep: pytest.Pytester, stored_runs: Runs) -> None:
    sweep.runpytest_subprocess("--mlrun", "-n", "2", "-k", "not winner", timeout=60).assert_outcomes(passed=8)

    result = sweep.runpytest_subprocess("--mlrun", "-n", "2", "-k", "winner", timeout=60)

    result.assert_outcomes(passed=1)
    assert [said(stored_runs(), name) for name in ("source", "candidates")] == ["store", 7]


@pytest.mark.slow
def test_without_mlrun_workers_announce_nothing(sweep: pytest.Pytester) -> None:
    result = sweep.runpytest_subprocess("-n", "2", timeout=60)

    result.assert_outcomes(passed=1, skipped=8)
    assert not sweep.path.joinpath(".pytest_mlrun").exists()


@pytest.mark.slow
def test_workers_branch_from_the_run_that_the_controller_found(sweep: pytest.Pytester, stored_runs: Runs) -> None:
    sweep.runpytest_subprocess("--mlrun", timeout=60).assert_outcomes(passed=9)
    (origin,) = (run for run in stored_runs() if run.name == "test_run[2]")

    # Its own runs will answer to the name too.
    result = sweep.runpytest_subprocess("--mlrun", "-n", "2", "--mlrun-from", "test_run[2]", timeout=60)
    refused = sweep.runpytest_subprocess("--mlrun", "-n", "2", "--mlrun-from", origin.run_id, "test_d.py", timeout=60)

    result.assert_outcomes(passed=3)
    branched = [run for run in stored_runs() if "branched_from.run" in run.context]
    assert {run.name for run in branched} == {"test_run[2]", "test_winner"}
    assert {json.loads(run.context["branched_from.run"]) for run in branched} == {origin.run_id}
    assert refused.ret == pytest.ExitCode.TESTS_FAILED
    refused.stdout.fnmatch_lines(["--mlrun-from: no collected experiment has the params of test_run[[]2] (*)"])
