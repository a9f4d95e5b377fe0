"""Beside reruns, subtests, timeouts, random order and JUnit no run is lost, doubled or wrong."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Runs

FLAKY = """
    import pathlib

    def test_flaky(mlrun):
        mlrun.log_metric("auc", 0.5)
        seen = pathlib.Path("seen")
        if not seen.exists():
            seen.touch()
            raise RuntimeError("first time")
"""


@pytest.mark.parametrize("arguments", [[], ["-n", "2"]], ids=["alone", "xdist"])
def test_a_rerun_adds_a_second_attempt_and_keeps_the_first(
    pytester: pytest.Pytester, stored_runs: Runs, arguments: list[str]
) -> None:
    pytester.makepyfile(FLAKY)

    result = pytester.runpytest_subprocess("--mlrun", "-p", "rerunfailures", "--reruns", "1", *arguments)

    assert result.ret == pytest.ExitCode.OK
    assert sorted((run.attempt, run.outcome) for run in stored_runs()) == [(1, "failed"), (2, "passed")]
    result.stdout.fnmatch_lines(["*2 runs*"])


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


@pytest.mark.parametrize("asked", [False, True])
def test_junit_gets_properties_only_when_asked(pytester: pytest.Pytester, asked: bool) -> None:
    pytester.makepyfile("def test_run(mlrun):\n    mlrun.log_metric('auc', 0.75)\n")

    pytester.runpytest("--mlrun", "--junitxml=out.xml", *(["--mlrun-junit"] if asked else []))

    found = {node.attrib["name"]: node.attrib["value"] for node in ET.parse(pytester.path / "out.xml").iter("property")}
    assert found.get("mlrun_metric_auc") == ("0.75" if asked else None)
    assert ("mlrun_id" in found) is asked


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
