"""Beside reruns, subtests, timeouts, random order and JUnit no run is lost, doubled or wrong."""

from __future__ import annotations

import random
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Runs

TWO_RUNS = """
    import pytest

    @pytest.mark.parametrize("i", range(2))
    def test_run(mlrun, i): mlrun.log_metric("loss", i)

    def test_plain(): pass
"""
INSTALLED = ("xdist", "rerunfailures", "randomly", "timeout", "asyncio", "hypothesispytest")
BUILT_IN = (
    *("cacheprovider", "junitxml", "doctest", "stepwise", "faulthandler", "unraisableexception", "threadexception"),
    *("warnings", "recwarn", "tmpdir", "unittest", "pastebin", "debugging", "setuponly", "setupplan", "subtests"),
    *("logging", "skipping", "monkeypatch", "legacypath"),
)
FLAKY = """
    import pathlib

    def test_flaky(mlrun):
        mlrun.log_metric("auc", 0.5)
        seen = pathlib.Path("seen")
        if not seen.exists():
            seen.touch()
            raise RuntimeError("first time")
"""


@pytest.mark.parametrize("arguments", [[], pytest.param(["-n", "2"], marks=pytest.mark.slow)], ids=["alone", "xdist"])
def test_a_rerun_adds_a_second_attempt_and_keeps_the_first(
    pytester: pytest.Pytester, stored_runs: Runs, arguments: list[str]
) -> None:
    pytester.makepyfile(FLAKY)

    result = pytester.runpytest_subprocess("--mlrun", "-p", "rerunfailures", "--reruns", "1", *arguments)

    assert result.ret == pytest.ExitCode.OK
    assert sorted((run.attempt, run.outcome) for run in stored_runs()) == [(1, "failed"), (2, "passed")]
    result.stdout.fnmatch_lines(["*2 runs*"])


@pytest.mark.usefixtures("only_ours")
def test_a_failing_subtest_fails_the_run_and_is_recorded_once(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makepyfile(
        """
        def test_run(mlrun, subtests):
            for i in range(3):
                with subtests.test(i=i):
                    mlrun.log_metric("i", i)
                    assert i != 1
        """
    )

    pytester.runpytest("--mlrun")

    (run,) = stored_runs()
    assert (run.outcome, run.metrics["i"]) == ("failed", 2.0)


def test_a_timeout_is_a_cause(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makepyfile(
        """
        import time, pytest

        @pytest.mark.timeout(0.5, method="signal", func_only=True)
        def test_run(mlrun):
            mlrun.log_metric("loss", 0.5)
            while True: time.sleep(0.01)
        """
    )

    result = pytester.runpytest_subprocess("--mlrun")

    result.assert_outcomes(failed=1)
    (run,) = stored_runs()
    assert (run.cause, run.metrics["loss"]) == ("timeout", 0.5)


@pytest.mark.usefixtures("only_ours")
@pytest.mark.parametrize("asked", [False, True])
def test_junit_gets_properties_only_when_asked(pytester: pytest.Pytester, asked: bool) -> None:
    pytester.makepyfile("def test_run(mlrun):\n    mlrun.log_metric('auc', 0.75)\n")

    pytester.runpytest("--mlrun", "--junitxml=out.xml", *(["--mlrun-junit"] if asked else []))

    found = {node.attrib["name"]: node.attrib["value"] for node in ET.parse(pytester.path / "out.xml").iter("property")}
    assert found.get("mlrun_metric_auc") == ("0.75" if asked else None)
    assert ("mlrun_id" in found) is asked


@pytest.mark.usefixtures("only_ours")
def test_stopping_at_the_first_failure_keeps_what_ran(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("i", range(5))
        def test_run(mlrun, i): assert i < 1
        """
    )

    pytester.runpytest("--mlrun", "-x")

    assert [(run.params["i"], run.outcome) for run in stored_runs()] == [("0", "passed"), ("1", "failed")]


@pytest.mark.usefixtures("only_ours")
def test_last_failed_selects_experiments_too(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("i", range(3))
        def test_run(mlrun, i): assert i != 1
        """
    )
    pytester.runpytest("--mlrun")

    pytester.runpytest("--mlrun", "--lf")

    assert [run.params["i"] for run in stored_runs()] == ["0", "1", "2", "1"]


@pytest.mark.usefixtures("only_ours")
def test_a_skipped_subtest_does_not_skip_the_run(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makepyfile(
        """
        import pytest

        def test_run(mlrun, subtests):
            with subtests.test("trained"):
                mlrun.log_metric("auc", 0.5)
            with subtests.test("skipped"):
                pytest.skip("no such slice")

        def test_skipped(mlrun, subtests):
            with subtests.test("looked"): pass
            pytest.skip("nothing to train on")
        """
    )

    pytester.runpytest("--mlrun")

    assert {run.name: run.outcome for run in stored_runs()} == {"test_run": "passed", "test_skipped": "skipped"}


def test_an_async_experiment_is_pinned_judged_and_recorded(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\naddopts = -p no:randomly\n")
    pytester.makepyfile(
        """
        import asyncio, random
        import pytest, pytest_asyncio

        pytestmark = [pytest.mark.asyncio, pytest.mark.mlrun(seed=3, floors={"auc": 0.5})]

        @pytest_asyncio.fixture
        async def drawn():
            await asyncio.sleep(0)
            return random.random()

        @pytest.mark.parametrize("auc", [0.9, 0.2])
        async def test_run(mlrun, drawn, auc):
            first = random.random()
            await asyncio.sleep(0)
            mlrun.log_metrics({"auc": auc, "first": first, "drawn": drawn})
        """
    )

    result = pytester.runpytest_subprocess("--mlrun")

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["floor not met: auc 0.2 < 0.5"])
    runs = stored_runs()
    assert [(run.outcome, run.cause, len(run.gates)) for run in runs] == [("passed", "", 1), ("failed", "gate", 1)]
    assert {run.metrics["first"] for run in runs} == {random.Random(3).random()}
    assert len({run.metrics["drawn"] for run in runs}) == 1


def test_a_timeout_that_ends_the_process_leaves_an_orphan_with_its_points(
    pytester: pytest.Pytester, stored_runs: Runs
) -> None:
    pytester.makepyfile(
        """
        import time, pytest

        def test_before(mlrun): mlrun.log_metric("loss", 0.25)

        @pytest.mark.timeout(0.5, method="thread", func_only=True)
        def test_run(mlrun):
            mlrun.log_metric("loss", 0.5, step=0)
            while True: time.sleep(0.01)
        """
    )

    result = pytester.runpytest_subprocess("--mlrun")

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert pytester.run("pytest-mlrun", "runs").ret == 0
    assert [(run.status, run.metrics["loss"]) for run in stored_runs()] == [("finished", 0.25), ("orphaned", 0.5)]


@pytest.mark.usefixtures("only_ours")
def test_a_selection_by_name_runs_what_it_selects(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("kind", ["ridge", "forest"])
        def test_fit(mlrun, kind): pass

        def test_other(mlrun): pass
        """
    )

    pytester.runpytest("--mlrun", "-k", "ridge").assert_outcomes(passed=1, deselected=2)
    pytester.runpytest(
        "--mlrun", "-m", "mlrun", "--deselect", "test_a_selection_by_name_runs_what_it_selects.py::test_fit"
    )
    pytester.runpytest("--mlrun", "-m", "not mlrun").assert_outcomes(deselected=3)

    assert [run.name for run in stored_runs()] == ["test_fit[ridge]", "test_other"]


@pytest.mark.usefixtures("only_ours")
@pytest.mark.parametrize(
    "flag",
    [
        "--ff",
        "--sw",
        *(
            pytest.param(flag, marks=pytest.mark.slow)
            for flag in ("--nf", "--setup-show", "-s", "--pdb", "--trace-config")
        ),
    ],
)
def test_an_option_of_pytest_itself_changes_no_run(pytester: pytest.Pytester, stored_runs: Runs, flag: str) -> None:
    pytester.makepyfile(TWO_RUNS)

    pytester.runpytest("--mlrun", flag).assert_outcomes(passed=3)

    assert [(run.params["i"], run.outcome) for run in stored_runs()] == [("0", "passed"), ("1", "passed")]


@pytest.mark.usefixtures("only_ours")
@pytest.mark.parametrize("flag", ["--collect-only", "--setup-plan", "--fixtures", "--markers"])
def test_what_runs_no_test_records_no_run(pytester: pytest.Pytester, flag: str) -> None:
    pytester.makepyfile(TWO_RUNS)

    assert pytester.runpytest("--mlrun", flag).ret == pytest.ExitCode.OK

    assert not (pytester.path / ".pytest_mlrun").exists()


@pytest.mark.parametrize(
    "plugins",
    [
        pytest.param(INSTALLED, id="all that are installed"),
        pytest.param(BUILT_IN, id="all that pytest brings"),
        *(pytest.param([name], id=name, marks=pytest.mark.slow) for name in (*INSTALLED, *BUILT_IN)),
    ],
)
def test_without_other_plugins_every_run_is_recorded(
    pytester: pytest.Pytester, stored_runs: Runs, plugins: Sequence[str]
) -> None:
    pytester.makeini("[pytest]\n")
    pytester.makepyfile(TWO_RUNS)

    result = pytester.runpytest_subprocess("--mlrun", *(f"-pno:{name}" for name in plugins))

    result.assert_outcomes(passed=3)
    assert sorted((run.params["i"], run.outcome) for run in stored_runs()) == [("0", "passed"), ("1", "passed")]


def test_an_interrupt_ends_the_run_under_way_as_killed_and_keeps_the_others(
    pytester: pytest.Pytester, stored_runs: Runs
) -> None:
    pytester.makepyfile(
        """
        import os, signal, pytest

        @pytest.mark.parametrize("i", range(3))
        def test_run(mlrun, i):
            mlrun.log_metric("loss", i, step=0)
            if i == 1:
                # A shell starts what runs in the background with this signal ignored.
                signal.signal(signal.SIGINT, signal.default_int_handler)
                os.kill(os.getpid(), signal.SIGINT)
        """
    )

    result = pytester.runpytest_subprocess("--mlrun", "-p", "xdist", "-n", "0")

    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert [(run.params["i"], run.status, run.cause) for run in stored_runs()] == [
        ("0", "finished", ""),
        ("1", "killed", "interrupted"),
    ]


@pytest.mark.slow
def test_an_interrupt_under_xdist_loses_no_run_that_began(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    # What a shell starts in the background ignores the signal, and so does everything below it.
    pytester.makeconftest("import signal; signal.signal(signal.SIGINT, signal.default_int_handler)")
    pytester.makepyfile(
        """
        import os, pathlib, signal, time, pytest

        @pytest.mark.parametrize("i", range(4))
        def test_run(mlrun, i):
            mlrun.log_metric("loss", i, step=0)
            pathlib.Path(f"began-{i}").touch()
            deadline = time.monotonic() + 30
            while len(list(pathlib.Path().glob("began-*"))) < 2 and time.monotonic() < deadline: time.sleep(0.01)
            if i == 0:
                os.kill(os.getppid(), signal.SIGINT)
            time.sleep(60)
        """
    )

    result = pytester.runpytest_subprocess("--mlrun", "-n", "2", "--dist", "load")

    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert pytester.run("pytest-mlrun", "runs").ret == 0
    began = {path.name.removeprefix("began-") for path in pytester.path.glob("began-*")}
    runs = stored_runs()
    assert {run.params["i"] for run in runs} == began
    assert len(runs) == len(began)
    assert {run.status for run in runs} <= {"killed", "orphaned"}
    assert all(run.metrics["loss"] == float(run.params["i"]) for run in runs)


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["-n", "2", "--dist", "load"], ["-n", "2", "--dist", "worksteal"], []])
def test_reruns_random_order_and_workers_together_record_every_attempt_once(
    pytester: pytest.Pytester, stored_runs: Runs, arguments: list[str]
) -> None:
    pytester.makepyfile(
        """
        import pathlib, pytest

        @pytest.mark.parametrize("i", range(6))
        def test_run(mlrun, i):
            mlrun.log_metric("loss", i)
            seen = pathlib.Path(f"seen-{i}")
            if i % 2 and not seen.exists():
                seen.touch()
                raise RuntimeError("first time")
        """
    )

    pytester.runpytest_subprocess("--mlrun", "--reruns", "2", "-p", "randomly", *arguments)

    found = sorted((run.params["i"], run.attempt, run.outcome, run.metrics["loss"]) for run in stored_runs())
    assert found == sorted(
        (str(i), attempt, "failed" if i % 2 and attempt == 1 else "passed", float(i))
        for i in range(6)
        for attempt in ((1, 2) if i % 2 else (1,))
    )
