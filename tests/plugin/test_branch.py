"""A session branches from a recorded run: the same case, seed and data, and the record says from where."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from pytest_mlrun import RunRecord

if TYPE_CHECKING:
    from tests.conftest import Runs

SWEEP = """
    import random, pytest
    pytestmark = pytest.mark.mlrun(experiment="q2", seed=42)

    @pytest.fixture
    def rows(): return random.random()

    @pytest.mark.parametrize("rate", [0.1, 0.2])
    @pytest.mark.parametrize("depth", [2, 3])
    def test_sweep(mlrun, rows, depth, rate):
        mlrun.log_param("rounds", 10)
        mlrun.log_metrics({"rows": rows, "drawn": random.random(), "auc": depth + rate})

    @pytest.mark.mlrun_select(by="auc")
    def test_winner(mlrun): pass

    def test_other(mlrun): pass
"""


@pytest.fixture
def swept(pytester: pytest.Pytester, stored_runs: Runs) -> list[RunRecord]:
    pytester.makepyfile(test_it=SWEEP, test_plain="def test_plain(): pass")
    pytester.runpytest_inprocess("--mlrun").assert_outcomes(passed=7)
    return stored_runs()


@pytest.fixture
def branched(swept: list[RunRecord], stored_runs: Runs) -> Callable[[], list[RunRecord]]:
    """The runs that came after those of the sweep."""
    return lambda: stored_runs()[len(swept) :]


def named(runs: list[RunRecord], name: str) -> RunRecord:
    return next(run for run in runs if run.name == name)


def said(run: RunRecord, fact: str) -> object:
    return json.loads(run.context[fact])


def test_the_same_case_runs_again_under_another_name_and_says_from_where(
    pytester: pytest.Pytester, swept: list[RunRecord], branched: Runs
) -> None:
    origin = named(swept, "test_sweep[2-0.2]")

    result = pytester.runpytest_inprocess("--mlrun", "--mlrun-from", origin.short_id, "--mlrun-experiment", "q4")

    result.assert_outcomes(passed=3, deselected=4)
    run, winner = branched()
    assert (run.name, run.experiment, dict(run.params)) == (origin.name, "q4", dict(origin.params))
    assert dict(run.metrics) == dict(origin.metrics)
    assert [said(run, f"branched_from.{fact}") for fact in ("run", "digest", "name", "experiment", "left_out")] == [
        origin.run_id,
        origin.digest,
        origin.name,
        "q2",
        4,
    ]
    assert said(winner, "selection.winner") == run.run_id
    result.stdout.fnmatch_lines(
        [f"branched from test_sweep[[]2-0.2] ({origin.short_id}) of q2, seed 42, 4 other experiments left out"]
    )
    shown = pytester.run("pytest-mlrun", "show", run.short_id)
    shown.stdout.fnmatch_lines([f"branched * from test_sweep[[]2-0.2] ({origin.short_id}) of q2  ·  {origin.digest}"])


def test_a_run_that_judged_a_winner_leads_to_the_winner(
    pytester: pytest.Pytester, swept: list[RunRecord], branched: Runs
) -> None:
    judge, best = named(swept, "test_winner"), named(swept, "test_sweep[3-0.2]")

    pytester.runpytest_inprocess("--mlrun", "--mlrun-from", "test_winner").assert_outcomes(passed=3, deselected=4)

    run = named(branched(), "test_sweep[3-0.2]")
    assert [said(run, f"branched_from.{fact}") for fact in ("run", "named")] == [best.run_id, judge.run_id]


def test_the_seed_is_the_runs_whatever_marker_and_configuration_say_now(
    pytester: pytest.Pytester, swept: list[RunRecord], branched: Runs
) -> None:
    origin = named(swept, "test_sweep[2-0.1]")
    pytester.makepyfile(test_it=SWEEP.replace("seed=42", "seed=43"))
    pytester.makeini("[pytest]\nmlrun_seed = 44\n")

    pytester.runpytest_inprocess("--mlrun", "--mlrun-from", origin.run_id, "-k", "sweep").assert_outcomes(passed=1)

    (run,) = branched()
    assert dict(run.metrics) == dict(origin.metrics)
    assert [said(run, f"rand.{fact}") for fact in ("seed", "seed_source")] == [42, "branch"]


@pytest.mark.parametrize("place", ["environment", pytest.param("configuration", marks=pytest.mark.slow)])
def test_the_run_is_named_where_any_option_can_be(
    pytester: pytest.Pytester, swept: list[RunRecord], branched: Runs, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    if place == "environment":
        monkeypatch.setenv("PYTEST_MLRUN_FROM", "test_other")
    else:
        pytester.makeini("[pytest]\nmlrun_from = test_other\n")

    pytester.runpytest_inprocess("--mlrun", "-k", "not winner").assert_outcomes(passed=2, deselected=5)

    assert [run.name for run in branched()] == ["test_other"]


@pytest.mark.parametrize("place", ["option", pytest.param("environment", marks=pytest.mark.slow)])
def test_a_seed_that_is_typed_with_it_is_the_change_one_branches_for(
    pytester: pytest.Pytester,
    swept: list[RunRecord],
    branched: Runs,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
) -> None:
    origin = named(swept, "test_sweep[2-0.1]")
    if place == "environment":
        monkeypatch.setenv("PYTEST_MLRUN_SEED", "7")
    options = ["--mlrun-seed", "7"] if place == "option" else []

    result = pytester.runpytest_inprocess("--mlrun", "--mlrun-from", origin.run_id, "-k", "sweep", *options)

    result.assert_outcomes(passed=1)
    (run,) = branched()
    assert [said(run, f"rand.{fact}") for fact in ("seed", "seed_source")] == [7, "option"]


def test_a_param_that_the_run_lacks_varies_and_one_that_it_has_is_held(
    pytester: pytest.Pytester, swept: list[RunRecord], branched: Runs
) -> None:
    origin = named(swept, "test_sweep[2-0.1]")
    pytester.makepyfile(
        test_it="""
        import pytest
        pytestmark = pytest.mark.mlrun(experiment="q2")

        @pytest.mark.parametrize("l2", [0, 1])
        @pytest.mark.parametrize("rate, depth", [(0.1, 2), (0.1, 3)])
        def test_sweep(mlrun, rate, depth, l2): pass
        """
    )

    pytester.runpytest_inprocess("--mlrun", "--mlrun-from", origin.run_id).assert_outcomes(passed=3, deselected=2)

    assert [dict(run.params) for run in branched()] == [
        {"rate": "0.1", "depth": "2", "l2": "0"},
        {"rate": "0.1", "depth": "2", "l2": "1"},
    ]


def test_a_test_that_moved_is_known_by_its_params(
    pytester: pytest.Pytester, swept: list[RunRecord], branched: Runs
) -> None:
    origin = named(swept, "test_sweep[2-0.1]")
    pytester.path.joinpath("test_it.py").unlink()
    pytester.makepyfile(
        test_moved="""
        import pytest

        @pytest.mark.parametrize("rate", [0.1, 0.2])
        def test_now(mlrun, rate): pass

        def test_no_params(mlrun): pass

        @pytest.mark.parametrize("size", [0.1])
        def test_other_params(mlrun, size): pass
        """
    )

    result = pytester.runpytest_inprocess("--mlrun", "--mlrun-from", origin.run_id)

    result.assert_outcomes(passed=2, deselected=3)
    assert [run.name for run in branched()] == ["test_now[0.1]"]


def test_a_run_without_params_is_known_by_its_test(
    pytester: pytest.Pytester, swept: list[RunRecord], branched: Runs
) -> None:
    pytester.runpytest_inprocess("--mlrun", "--mlrun-from", "test_other", "-k", "not winner").assert_outcomes(passed=2)

    assert [run.name for run in branched()] == ["test_other"]


def test_data_that_is_locked_to_other_content_is_refused_with_both_digests(
    pytester: pytest.Pytester, stored_runs: Runs
) -> None:
    pytester.path.joinpath("mlrun.toml").write_text('[data.rows]\npath = "rows.csv"\n')
    pytester.path.joinpath("rows.csv").write_text("1\n")
    pytester.makepyfile("import pytest\n\n@pytest.mark.mlrun(data='rows')\ndef test_it(mlrun): pass")
    pytester.run("pytest-mlrun", "data", "lock")
    pytester.runpytest_inprocess("--mlrun").assert_outcomes(passed=1)
    (origin,) = stored_runs()
    pytester.runpytest_inprocess("--mlrun", "--mlrun-from", "test_it").assert_outcomes(passed=1)
    pytester.path.joinpath("rows.csv").write_text("2\n")
    pytester.run("pytest-mlrun", "data", "lock")

    result = pytester.runpytest_inprocess("--mlrun", "--mlrun-from", origin.run_id)

    result.assert_outcomes(errors=1)
    locked = json.loads(stored_runs()[0].context["data.rows.digest"])
    result.stdout.fnmatch_lines(
        [
            f"data 'rows' is not what test_it ({origin.short_id}) was trained on",
            f"  recorded: {locked}",
            "  locked:   sha256:*",
            "  where: *mlrun.lock",
            "  next: *leave out --mlrun-from",
        ],
        consecutive=True,
    )
    assert (stored_runs()[-1].cause, stored_runs()[-1].outcome) == ("data_snapshot", "error")


# -- mistakes ----------------------------------------------------------------------------------------------------------


def test_what_cannot_be_a_start_is_a_usage_error(pytester: pytest.Pytester, swept: list[RunRecord]) -> None:
    pytester.runpytest_inprocess("--mlrun", "-k", "other").assert_outcomes(passed=1)

    for options, text in [
        (["--mlrun-from", "test_winner"], "--mlrun-from trains a recorded run again, and training was not asked for"),
        (["--mlrun", "--mlrun-from", "nobody"], "--mlrun-from: no run answers to 'nobody'"),
        (["--mlrun", "--mlrun-from", "test_other"], "--mlrun-from: 2 runs answer to 'test_other'"),
        (["--mlrun", "--mlrun-from", "x", "--mlrun-store", "none"], "--mlrun-from: there is no run store in none"),
    ]:
        result = pytester.runpytest_inprocess(*options)

        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines([f"ERROR: {text}", "  next: *"])


def test_a_trial_inside_a_run_and_a_run_that_failed_are_no_start(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makepyfile(
        """
        def test_search(mlrun):
            with mlrun.child(depth=3): pass

        def test_fails(mlrun): raise RuntimeError
        """
    )
    pytester.runpytest_inprocess("--mlrun").assert_outcomes(passed=1, failed=1)
    parent = named(stored_runs(), "test_search")

    trial = pytester.runpytest_inprocess("--mlrun", "--mlrun-from", "test_search/depth=3")
    failed = pytester.runpytest_inprocess("--mlrun", "--mlrun-from", "test_fails")

    trial.stderr.fnmatch_lines(
        ["ERROR: --mlrun-from: run ???????? is a trial inside another run, and no test of its own"]
    )
    trial.stderr.fnmatch_lines([f"  next:  branch from the run around it: --mlrun-from {parent.short_id}"])
    failed.stderr.fnmatch_lines(["ERROR: --mlrun-from: run ???????? did not finish: it is failed"])
    assert (trial.ret, failed.ret) == (pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.USAGE_ERROR)


def test_no_matching_case_is_a_usage_error_that_shows_the_nearest(
    pytester: pytest.Pytester, swept: list[RunRecord], branched: Runs
) -> None:
    origin = named(swept, "test_sweep[2-0.2]")
    pytester.makepyfile(test_it=SWEEP.replace("[0.1, 0.2]", "[0.1, 0.3]"))

    result = pytester.runpytest_inprocess("--mlrun", "--mlrun-from", origin.run_id)
    elsewhere = pytester.runpytest_inprocess("--mlrun", "--mlrun-from", origin.run_id, "test_plain.py")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            f"ERROR: --mlrun-from: no collected experiment has the params of test_sweep[[]2-0.2] ({origin.short_id})",
            "  its params: depth=2, rate=0.2, rounds=10",
            "  test_sweep[[]2-0.1] has rate=0.1",
            "  test_sweep[[]2-0.3] has rate=0.3",
            "  test_sweep[[]3-0.1] has depth=3, rate=0.1",
            "  and 1 more",
            "  where: test_it.py::test_sweep",
            "  next:  add the case to its parametrization, or name the run of another case",
        ]
    )
    elsewhere.stderr.fnmatch_lines(
        [f"  next:  collect its test: pytest --mlrun --mlrun-from {origin.short_id} test_it.py"]
    )
    assert branched() == []


def test_what_cannot_be_collected_or_read_is_the_error(pytester: pytest.Pytester, swept: list[RunRecord]) -> None:
    pytester.path.joinpath("mlrun.toml").write_text("[data")

    collected = pytester.runpytest_inprocess("--mlrun", "--mlrun-from", "test_other")
    pytester.makepyfile(test_it="def test_other(mlrun): pass")
    read = pytester.runpytest_inprocess("--mlrun", "--mlrun-from", "test_other")

    collected.assert_outcomes(errors=1)
    assert collected.ret == pytest.ExitCode.INTERRUPTED
    assert read.ret == pytest.ExitCode.USAGE_ERROR
    read.stderr.fnmatch_lines(["ERROR: --mlrun-from: mlrun.toml is not TOML: *"])
