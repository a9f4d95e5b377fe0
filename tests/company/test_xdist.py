"""Beside pytest-xdist no run is lost, doubled or wrong."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from pytest_mlrun.pillars.threads import VARIABLES, usable_cores

if TYPE_CHECKING:
    from tests.conftest import Runs

SWEEP = """
    import pytest

    @pytest.mark.parametrize("i", range({count}))
    def test_run(mlrun, i):
        mlrun.log_metrics({{"loss": i / 10}}, step=0)
"""


@pytest.mark.parametrize(
    "dist", ["load", *(pytest.param(dist, marks=pytest.mark.slow) for dist in ("loadscope", "worksteal"))]
)
def test_every_run_is_recorded_once(pytester: pytest.Pytester, stored_runs: Runs, dist: str) -> None:
    pytester.makepyfile(SWEEP.format(count=20))

    result = pytester.runpytest_subprocess("--mlrun", "-n", "2", "--dist", dist)

    result.assert_outcomes(passed=20)
    runs = stored_runs()
    assert Counter(run.params["i"] for run in runs) == Counter(str(i) for i in range(20))
    assert {run.outcome for run in runs} == {"passed"}
    assert len({run.session_id for run in runs}) == 1


@pytest.mark.slow
def test_four_workers_on_a_new_store_record_800_rows(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makepyfile(SWEEP.format(count=800))

    result = pytester.runpytest_subprocess("--mlrun", "-n", "4", "-q")

    result.assert_outcomes(passed=800)
    assert sorted(int(run.params["i"]) for run in stored_runs()) == list(range(800))


@pytest.mark.slow
def test_the_summary_is_written_once_by_the_controller(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(SWEEP.format(count=4))

    result = pytester.runpytest_subprocess("--mlrun", "-n", "2")

    assert sum("4 runs" in line for line in result.stdout.lines) == 1


def test_a_dead_worker_leaves_an_orphan_that_the_summary_counts(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makepyfile(
        """
        import os, signal, pytest

        @pytest.mark.parametrize("i", range(4))
        def test_run(mlrun, i):
            mlrun.log_metric("loss", 0.5, step=0)
            if i == 1:
                os.kill(os.getpid(), signal.SIGKILL)
        """
    )

    result = pytester.runpytest_subprocess("--mlrun", "-n", "2")

    result.assert_outcomes(passed=3, failed=1)
    assert Counter(run.status for run in stored_runs()) == {"finished": 3, "orphaned": 1}
    result.stdout.fnmatch_lines(["*1 orphaned*"])


@pytest.mark.slow
def test_the_facts_of_the_session_are_found_once(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makepyfile(
        """
        import pathlib, pytest

        @pytest.mark.parametrize("i", range(8))
        def test_run(mlrun, i): pathlib.Path(f"written-{i}.py").touch()
        """
    )

    pytester.runpytest_subprocess("--mlrun", "-n", "2").assert_outcomes(passed=8)

    assert len({run.context["code.tree"] for run in stored_runs()}) == 1


@pytest.mark.slow
def test_hooks_of_a_conftest_hear_of_every_run_in_the_controller(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        def pytest_mlrun_run_finished(config, run):
            assert not hasattr(config, "workerinput")
            with open("heard.txt", "a") as file:
                file.write(f"{run.name} {run.metrics['loss']}\\n")
        """
    )
    pytester.makepyfile(SWEEP.format(count=3))

    pytester.runpytest_subprocess("--mlrun", "-n", "2").assert_outcomes(passed=3)

    heard = sorted((pytester.path / "heard.txt").read_text().splitlines())
    assert heard == ["test_run[0] 0.0", "test_run[1] 0.1", "test_run[2] 0.2"]


@pytest.mark.slow
def test_workers_of_a_session_that_records_nothing_are_left_alone(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import random

        def test_plain(): pass
        def test_experiment(mlrun): pass
        def test_pinned(mlrun_seed): assert random.random() == random.Random(mlrun_seed).random()
        """
    )

    result = pytester.runpytest_subprocess("-n", "2")

    result.assert_outcomes(passed=2, skipped=1)
    assert not (pytester.path / ".pytest_mlrun").exists()


POOLS = """
    import os, pathlib
    import numpy
    import pytest
    from threadpoolctl import threadpool_info

    @pytest.mark.parametrize("i", range(4))
    def test_run({argument}):
        import sklearn.ensemble
        most = max(pool["num_threads"] for pool in threadpool_info())
        pathlib.Path(f"seen-{{i}}").write_text(f"{{most}} {{os.environ.get('OMP_NUM_THREADS')}}")
"""


@pytest.fixture
def undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def seen(pytester: pytest.Pytester) -> set[str]:
    return {path.read_text() for path in pytester.path.glob("seen-*")}


@pytest.mark.slow
@pytest.mark.usefixtures("undecided")
def test_the_threads_of_a_worker_are_its_share_of_the_cores(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    share = max(1, usable_cores() // 2)
    pytester.makepyfile(POOLS.format(argument="mlrun, i"))

    pytester.runpytest_subprocess("--mlrun", "-n", "2").assert_outcomes(passed=4)

    assert seen(pytester) == {f"{share} {share}"}
    assert {(run.context["threads"], run.context["env.threads"]) for run in stored_runs()} == {(f"{share}", f"{share}")}


@pytest.mark.slow
@pytest.mark.usefixtures("undecided")
def test_who_decides_how_many_threads_there_are_is_obeyed(
    pytester: pytest.Pytester, stored_runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    pytester.makepyfile(POOLS.format(argument="mlrun, i"))

    pytester.runpytest_subprocess("--mlrun", "-n", "2").assert_outcomes(passed=4)

    assert {text.split()[1] for text in seen(pytester)} == {"3"}
    assert {run.context["threads"] for run in stored_runs()} == {"null"}


@pytest.mark.slow
@pytest.mark.usefixtures("undecided")
@pytest.mark.parametrize(
    ("argument", "arguments"),
    [("i", ["--mlrun", "-n", "2"]), ("mlrun_seed, i", ["--mlrun", "-n", "2"]), ("mlrun, i", ["--mlrun"])],
    ids=["no experiment", "pins alone", "one process"],
)
def test_threads_are_left_alone_where_no_workers_run_experiments(
    pytester: pytest.Pytester, argument: str, arguments: list[str]
) -> None:
    pytester.makepyfile(POOLS.format(argument=argument))

    pytester.runpytest_subprocess(*arguments).assert_outcomes(passed=4)

    assert {text.split()[1] for text in seen(pytester)} == {"None"}
