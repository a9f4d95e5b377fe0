"""A recorded run is made again: the same test, params, seed and data; and a verdict on every number decides."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from pytest_mlrun import RunRecord
from pytest_mlrun.cli import main

if TYPE_CHECKING:
    from tests.conftest import Runs

SWEEP = """
    import random, pytest
    pytestmark = pytest.mark.mlrun(experiment="q2", seed=42)
    BIAS = 0.0

    @pytest.fixture
    def rows(): return random.random()

    @pytest.mark.parametrize("rate", [0.1, 0.2])
    def test_sweep(mlrun, rows, rate):
        for step in range(5):
            mlrun.log_metric("loss", random.random() + rate + (BIAS if step > 2 else 0), step=step)
        mlrun.log_metrics({"rows": rows, "auc": rate})
        mlrun.register("churn")
        mlrun.assert_floor("auc", 0.15)

    @pytest.mark.mlrun_select(by="auc")
    def test_winner(mlrun):
        mlrun.log_metric("won", mlrun.winner.metrics["auc"])

    @pytest.fixture(scope="module")
    def trained(mlrun_module): mlrun_module.log_metric("drawn", random.random())

    def test_one(trained, mlrun_module): mlrun_module.assert_floor("drawn", 0)
    def test_two(trained, mlrun_module): pass
    def test_plain(): pass
"""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep that was recorded once, for all tests to copy."""
    folder = tmp_path_factory.mktemp("recorded")
    (folder / "test_it.py").write_text(dedent(SWEEP))
    (folder / "mlrun.toml").touch()
    command = [sys.executable, "-m", "pytest", "-q", "-p", "pytest_mlrun.plugin", "-p", "no:cacheprovider", "--mlrun"]
    environ = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=120, check=False)
    assert "1 failed, 5 passed" in done.stdout
    return folder


@pytest.fixture
def swept(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, recorded: Path, stored_runs: Runs
) -> list[RunRecord]:
    """The runs of the sweep, in this test's folder; what replays them is already a process of its own."""
    monkeypatch.setenv("PYTEST_MLRUN_FRESH", "1")
    shutil.copytree(recorded, pytester.path, dirs_exist_ok=True)
    return stored_runs()


@pytest.fixture
def replayed(swept: list[RunRecord], stored_runs: Runs) -> Callable[[], list[RunRecord]]:
    """The runs that came after those of the sweep."""
    return lambda: stored_runs()[len(swept) :]


def named(runs: list[RunRecord], name: str) -> RunRecord:
    return next(run for run in runs if run.name == name)


def change(pytester: pytest.Pytester, old: str, new: str) -> None:
    file = pytester.path / "test_it.py"
    file.write_text(file.read_text().replace(old, new))


def test_the_case_runs_again_as_a_run_of_its_own_and_every_bit_is_the_same(
    pytester: pytest.Pytester, swept: list[RunRecord], replayed: Runs
) -> None:
    origin = named(swept, "test_sweep[0.2]")

    result = pytester.runpytest_inprocess("--mlrun", "--mlrun-replay", origin.short_id)

    result.assert_outcomes(passed=1, deselected=5)
    assert result.ret == 0
    (run,) = replayed()
    assert (run.name, run.experiment, run.test) == ("replay of test_sweep[0.2]", "replay/q2", origin.test)
    assert dict(run.metrics) == dict(origin.metrics)
    assert {key: json.loads(run.context[key]) for key in ("replay.of", "replay.digest", "rand.seed_source")} == {
        "replay.of": origin.run_id,
        "replay.digest": origin.digest,
        "rand.seed_source": "replay",
    }
    result.stdout.fnmatch_lines(
        [
            f"REPRODUCED_EXACTLY  test_sweep[[]0.2[]] ({origin.short_id}), replayed as {run.short_id}",
            "every number that was recorded has the same bits",
            "level        L0, the recorded environment",
            "randomness   as recorded",
            "  auc          0.2       0.2           0  2.000e-10 (L0*)  exact",
            "series       1 of 1 exact",
        ]
    )


def test_another_number_diverges_and_the_step_is_named(pytester: pytest.Pytester, swept: list[RunRecord]) -> None:
    change(pytester, "BIAS = 0.0", "BIAS = 0.001")

    result = pytester.runpytest_inprocess("--mlrun", "--mlrun-replay", "test_sweep[0.2]")

    result.assert_outcomes(passed=1, deselected=5)
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "DIVERGED  test_sweep[[]0.2[]] *",
            "loss differs",
            "divergence   the curves part at step 3: loss",
            "  loss * DIFFERS",
            "series       loss DIFFERS from step 3 by 0.001, allowed *",
        ]
    )


@pytest.mark.slow
def test_a_gate_that_fails_as_it_did_does_not_decide(pytester: pytest.Pytester, swept: list[RunRecord]) -> None:
    result = pytester.runpytest_inprocess("--mlrun", "--mlrun-replay", "test_sweep[0.1]")

    result.assert_outcomes(failed=1, deselected=5)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["REPRODUCED_EXACTLY  test_sweep[[]0.1[]] *"])


@pytest.mark.slow
def test_a_replay_that_raises_where_the_run_did_not_is_not_reproducible(
    pytester: pytest.Pytester, swept: list[RunRecord]
) -> None:
    change(pytester, 'mlrun.log_metrics({"rows"', 'raise KeyError("age"); mlrun.log_metrics({"rows"')

    result = pytester.runpytest_inprocess("--mlrun", "--mlrun-replay", "test_sweep[0.2]")

    assert result.ret == 1
    result.stdout.fnmatch_lines(["NOT_REPRODUCIBLE  test_sweep[[]0.2[]] *", "the replay failed (*"])


@pytest.mark.slow
def test_a_missing_and_a_new_metric_diverge_and_nan_equals_nan(
    pytester: pytest.Pytester, swept: list[RunRecord], stored_runs: Runs
) -> None:
    change(pytester, '{"rows": rows, "auc": rate}', '{"auc": rate, "new": float("nan")}')
    pytester.runpytest_inprocess("--mlrun")

    first = pytester.runpytest_inprocess("--mlrun", "--mlrun-replay", named(swept, "test_sweep[0.2]").short_id)
    newest = [run for run in stored_runs() if run.name == "test_sweep[0.2]"][-1]
    second = pytester.runpytest_inprocess("--mlrun", "--mlrun-replay", newest.short_id)

    assert (first.ret, second.ret) == (1, 0)
    first.stdout.fnmatch_lines(["new was never recorded, rows is missing in the replay"])
    second.stdout.fnmatch_lines(["REPRODUCED_EXACTLY *", "  new * nan * nan * exact"])


@pytest.mark.slow
def test_a_test_that_is_skipped_proves_nothing(pytester: pytest.Pytester, swept: list[RunRecord]) -> None:
    change(pytester, "def test_sweep", "@pytest.mark.skipif(True, reason='no GPU')\ndef test_sweep")

    result = pytester.runpytest_inprocess("--mlrun", "--mlrun-replay", "test_sweep[0.2]")

    result.assert_outcomes(skipped=1, deselected=5)
    assert result.ret == 4
    result.stdout.fnmatch_lines(["INCONCLUSIVE  test_sweep*", "nothing was trained: the test was skipped"])


@pytest.mark.slow
def test_another_seed_is_a_finding_that_explains_what_differs(
    pytester: pytest.Pytester, swept: list[RunRecord]
) -> None:
    result = pytester.runpytest_inprocess("--mlrun", "--mlrun-replay", "test_sweep[0.2]", "--mlrun-seed", "7")

    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["DIVERGED *", "randomness   differs; seed 42 → 7", "  - replayed under seed 7, and not under the recorded 42"]
    )


@pytest.mark.slow
def test_the_hash_seed_and_the_threads_are_those_of_the_record(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, stored_runs: Runs
) -> None:
    """Acceptance A3: they are read when an interpreter starts, so the replay is a process of its own."""
    pytester.makepyfile(
        """
        import os, sys
        def test_hash(mlrun):
            mlrun.log_metric("hash", hash("abc") % 1000)
            mlrun.log_text("seen.txt", f"{sys.flags.hash_randomization} {os.environ.get('OMP_NUM_THREADS')}")
        """
    )
    monkeypatch.setenv("PYTHONHASHSEED", "0")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    pytester.runpytest_subprocess("--mlrun").assert_outcomes(passed=1)
    monkeypatch.delenv("PYTHONHASHSEED")
    monkeypatch.delenv("OMP_NUM_THREADS")

    result = pytester.runpytest_subprocess("--mlrun", "--mlrun-replay", "test_hash")

    assert result.ret == 0
    result.stdout.fnmatch_lines(["REPRODUCED_EXACTLY *", "environment  as recorded", "randomness   as recorded"])
    first, second = stored_runs()
    assert first.artifacts[-1].digest == second.artifacts[-1].digest


@pytest.mark.slow
def test_a_replay_that_the_environment_asks_for_is_asked_of_the_fresh_process_too(
    pytester: pytest.Pytester, swept: list[RunRecord], replayed: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTEST_MLRUN_FRESH")
    monkeypatch.setenv("PYTEST_MLRUN", "true")
    monkeypatch.setenv("PYTEST_MLRUN_REPLAY", "test_sweep[0.2]")

    result = pytester.runpytest_subprocess()

    result.assert_outcomes(passed=1, deselected=5)
    assert result.ret == 0
    assert [run.name for run in replayed()] == ["replay of test_sweep[0.2]"]


@pytest.mark.slow
def test_inside_a_process_that_was_not_started_for_it_what_cannot_be_set_is_a_finding(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makepyfile("def test_it(mlrun): mlrun.log_metric('a', 1)")
    monkeypatch.setenv("PYTHONHASHSEED", "5")
    pytester.runpytest_inprocess("--mlrun").assert_outcomes(passed=1)
    monkeypatch.setenv("PYTHONHASHSEED", "6")
    monkeypatch.setenv("PYTEST_MLRUN_FRESH", "1")

    result = pytester.runpytest_inprocess("--mlrun", "--mlrun-replay", "test_it")

    assert result.ret == 0
    result.stdout.fnmatch_lines(["randomness   differs; hash seed 5 → 6", "  - PYTHONHASHSEED is 6, and was 5"])


# -- which test --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_test_that_moved_is_found_by_its_name_and_params_and_that_is_a_finding(
    pytester: pytest.Pytester, swept: list[RunRecord]
) -> None:
    (pytester.path / "test_it.py").rename(pytester.path / "test_moved.py")

    result = pytester.runpytest_inprocess("--mlrun", "--mlrun-replay", "test_sweep[0.2]", "test_moved.py")

    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["REPRODUCED_EXACTLY *", "  - the test was test_it.py::test_sweep, and is test_moved.py::test_sweep"]
    )


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        (
            "[0.1, 0.2]",
            "[0.1, 0.3]",
            [
                "ERROR: --mlrun-replay: no case of test_sweep has the params of run * any more",
                "  its params: rate=0.2",
                "  test_it.py::test_sweep[[]0.1[]] has rate=0.1",
                "  test_it.py::test_sweep[[]0.3[]] has rate=0.3",
                "  where: test_it.py::test_sweep",
                "  next:  add the case to its parametrization",
            ],
        ),
        (
            "def test_sweep",
            "def test_renamed",
            [
                "ERROR: --mlrun-replay: there is no test_sweep in test_it.py any more",
                "  where: *.pytest_mlrun",
                "  next:  if it moved: pytest --mlrun --mlrun-replay * FILE",
            ],
        ),
    ],
)
def test_a_test_that_is_gone_is_refused_with_what_to_do(
    pytester: pytest.Pytester, swept: list[RunRecord], replayed: Runs, old: str, new: str, lines: list[str]
) -> None:
    change(pytester, old, new)

    result = pytester.runpytest_inprocess("--mlrun", "--mlrun-replay", "test_sweep[0.2]")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(lines)
    assert replayed() == []


@pytest.mark.slow
def test_a_run_that_a_module_shares_is_made_again_by_all_its_tests(
    pytester: pytest.Pytester, swept: list[RunRecord], replayed: Runs
) -> None:
    result = pytester.runpytest_inprocess("--mlrun", "--mlrun-replay", "test_it")

    result.assert_outcomes(passed=2, deselected=4)
    assert result.ret == 0
    assert [run.name for run in replayed()] == ["replay of test_it"]
    result.stdout.fnmatch_lines(["REPRODUCED_EXACTLY  test_it *"])


@pytest.mark.slow
def test_a_run_that_judged_a_winner_is_given_the_same_one(
    pytester: pytest.Pytester, swept: list[RunRecord], replayed: Runs
) -> None:
    change(pytester, "[0.1, 0.2]", "[0.9]")
    pytester.runpytest_inprocess("--mlrun")
    judge = named(swept, "test_winner")

    result = pytester.runpytest_inprocess("--mlrun", "--mlrun-replay", judge.short_id)

    assert result.ret == 0
    assert replayed()[-1].context["selection.winner"] == judge.context["selection.winner"]


# -- what a replay never is --------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_replay_is_no_baseline_no_candidate_and_no_model_version(
    pytester: pytest.Pytester, swept: list[RunRecord], replayed: Runs, capsys: pytest.CaptureFixture[str]
) -> None:
    origin = named(swept, "test_sweep[0.2]")
    result = pytester.runpytest_inprocess("--mlrun", "--mlrun-replay", origin.short_id)
    (replay,) = replayed()
    pytester.makepyfile(
        test_gate=f"def test_gate(mlrun):\n"
        f"    mlrun.log_metric('auc', 0.2)\n"
        f"    mlrun.assert_no_regression('auc', against='{replay.short_id}', margin=0.1)"
    )

    gate = pytester.runpytest_inprocess("--mlrun", "test_gate.py")
    registered = main(["register", replay.short_id, "--name", "churn"])
    told = capsys.readouterr()
    main(["top", "q2", "--by", "auc"])

    result.stdout.no_fnmatch_line("*not registered*")
    gate.assert_outcomes(failed=1)
    gate.stdout.fnmatch_lines(["*no baseline: no run answers to *"])
    assert registered == 2
    assert f"run {replay.short_id} cannot be registered: it is a replay" in told.err
    assert f"register the run that it made again: {origin.short_id}" in told.err
    ranked = capsys.readouterr().out
    assert origin.short_id in ranked
    assert replay.short_id not in ranked


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ["--mlrun-replay", "test_it"],
            "ERROR: --mlrun-replay trains a recorded run again*",
        ),
        (["--mlrun", "--mlrun-replay", "x"], "ERROR: --mlrun-replay: no run answers to 'x'*"),
        (
            ["--mlrun", "--mlrun-replay", "test_it", "--mlrun-from", "test_it"],
            "ERROR: *--mlrun-from exclude each*",
        ),
        (["--mlrun", "--mlrun-replay", "test_it", "--mlrun-register"], "ERROR: *--mlrun-register exclude each*"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(
    pytester: pytest.Pytester, swept: list[RunRecord], arguments: list[str], line: str
) -> None:
    result = pytester.runpytest_inprocess(*arguments)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([line])


@pytest.mark.slow
def test_a_replay_of_a_replay_names_the_run_that_was_meant(
    pytester: pytest.Pytester, swept: list[RunRecord], replayed: Runs
) -> None:
    pytester.runpytest_inprocess("--mlrun", "--mlrun-replay", "test_winner")

    result = pytester.runpytest_inprocess("--mlrun", "--mlrun-replay", replayed()[0].short_id)

    result.stderr.fnmatch_lines(
        [
            "ERROR: --mlrun-replay: run * is itself a replay",
            f"  next:  name the run that it replayed: {named(swept, 'test_winner').short_id}",
        ]
    )


# -- where it comes from, where it goes --------------------------------------------------------------------------------


@pytest.mark.slow
def test_an_exported_run_is_replayed_without_the_store_that_recorded_it(
    pytester: pytest.Pytester, swept: list[RunRecord], stored_runs: Runs
) -> None:
    assert main(["export", "test_sweep[0.2]", "-o", "run.mlrun"]) == 0
    (pytester.path / ".pytest_mlrun").rename(pytester.path / "elsewhere")

    result = pytester.runpytest_inprocess("--mlrun", "--mlrun-replay", "run.mlrun")

    assert result.ret == 0
    assert [run.name for run in stored_runs()] == ["replay of test_sweep[0.2]"]


@pytest.mark.slow
def test_the_junit_report_has_the_verdict(pytester: pytest.Pytester, swept: list[RunRecord]) -> None:
    pytester.runpytest_inprocess("--mlrun", "--mlrun-replay", "test_sweep[0.2]", "--junitxml=out.xml")

    found = ET.parse(pytester.path / "out.xml").iter("property")
    properties = {each.get("name"): each.get("value") for each in found}
    assert properties["mlrun_replay_verdict"] == "REPRODUCED_EXACTLY"
    assert properties["mlrun_replay_level"] == "L0"
    assert properties["mlrun_replay_of"] == named(swept, "test_sweep[0.2]").run_id


@pytest.mark.slow
def test_a_tolerance_of_the_project_counts_and_is_a_finding_where_it_is_looser(
    pytester: pytest.Pytester, swept: list[RunRecord]
) -> None:
    change(pytester, "BIAS = 0.0", "BIAS = 0.001")
    pytester.makefile(".toml", mlrun='[replay.tolerances]\n"lo*" = { abs = 0.01 }')

    result = pytester.runpytest_inprocess("--mlrun", "--mlrun-replay", "test_sweep[0.2]")

    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "REPRODUCED  test_sweep*",
            "  loss * 0.01 (mlrun.toml)  within",
            "  - the tolerance of loss (mlrun.toml) is looser than that of L0: 0.01*",
        ]
    )


@pytest.mark.slow
def test_a_time_that_differs_says_what_to_write_and_what_is_written_holds_it_to_nothing(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_MLRUN_FRESH", "1")
    pytester.makepyfile(
        test_it="""
        import time, pytest
        @pytest.mark.mlrun(experiment="q2", seed=1)
        def test_it(mlrun): mlrun.log_metrics({"loss": 0.5, "train_s": time.perf_counter()})
        """
    )
    pytester.makefile(".toml", mlrun='[metrics.train_s]\nunit = "s"\n')
    pytester.runpytest_inprocess("--mlrun").assert_outcomes(passed=1)

    diverged = pytester.runpytest_inprocess("--mlrun", "--mlrun-replay", "test_it")
    pytester.makefile(".toml", mlrun='[metrics.train_s]\nunit = "s"\n[replay.tolerances]\ntrain_s = { abs = inf }\n')
    reproduced = pytester.runpytest_inprocess("--mlrun", "--mlrun-replay", "test_it")

    assert (diverged.ret, reproduced.ret) == (1, 0)
    diverged.stdout.fnmatch_lines(["DIVERGED  test_it *", "train_s differs", "  - train_s is a time (s), another one*"])
    reproduced.stdout.fnmatch_lines(["REPRODUCED  test_it *", "  - train_s is not held to anything (mlrun.toml)*"])


# -- data --------------------------------------------------------------------------------------------------------------

DATA = """
    import pytest
    @pytest.mark.mlrun(experiment="q2", data="rows")
    def test_data(mlrun): mlrun.log_metric("sum", sum(map(int, mlrun.data["rows"].path.read_text().split())))
"""


def record_data(pytester: pytest.Pytester, *, keep: str) -> None:
    pytester.makepyfile(test_it=DATA)
    pytester.makefile(".toml", mlrun=f'[data.rows]\npath = "rows.txt"\n{keep}')
    (pytester.path / "rows.txt").write_text("1 2 3")
    assert main(["data", "lock"]) == 0
    pytester.runpytest_inprocess("--mlrun").assert_outcomes(passed=1)


@pytest.mark.slow
@pytest.mark.parametrize("lost", ["gone", "changed and locked"])
def test_data_that_was_kept_is_restored_for_the_replay(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    monkeypatch.setenv("PYTEST_MLRUN_FRESH", "1")
    record_data(pytester, keep='keep = "copy"')
    (pytester.path / "rows.txt").unlink()
    if lost != "gone":
        (pytester.path / "rows.txt").write_text("4 5 6")
        assert main(["data", "lock"]) == 0

    result = pytester.runpytest_inprocess("--mlrun", "--mlrun-replay", "test_data")

    assert result.ret == 0
    why = "data 'rows' was not found: rows.txt" if lost == "gone" else "mlrun.lock names other content"
    result.stdout.fnmatch_lines(
        ["REPRODUCED_EXACTLY *", "data         as recorded", f"  - data 'rows' was restored from the store: {why}"]
    )
    assert (pytester.path / "rows.txt").exists() == (lost != "gone")


def test_data_that_cannot_be_had_is_not_reproducible_and_nothing_trains(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_MLRUN_FRESH", "1")
    record_data(pytester, keep="")
    (pytester.path / "rows.txt").write_text("4 5 6")
    assert main(["data", "lock"]) == 0

    result = pytester.runpytest_inprocess("--mlrun", "--mlrun-replay", "test_data")

    result.assert_outcomes(errors=1)
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "data 'rows' of run * cannot be had any more",
            "  mlrun.lock names other content",
            "  no copy of it is in this store",
            "NOT_REPRODUCIBLE  test_data *",
        ]
    )


MARKED = """
    import numpy as np
    RATE = 1.0

    def test_train(mlrun):
        weights = np.zeros(3)
        for step in range(6):
            batch = np.random.rand(3)
            mlrun.fingerprint("batch", batch, step)
            weights = weights + (RATE if step > 3 else 1.0) * batch
            mlrun.fingerprint("weights", weights, step)
        mlrun.log_metric("size", float(len(weights)))
"""


def test_fingerprints_say_where_a_replay_parts_even_where_no_metric_does_and_diff_says_the_same(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PYTEST_MLRUN_FRESH", "1")
    pytester.makepyfile(test_it=dedent(MARKED))
    pytester.runpytest_inprocess("--mlrun").assert_outcomes(passed=1)

    same = pytester.runpytest_inprocess("--mlrun", "--mlrun-replay", "test_train")
    change(pytester, "RATE = 1.0", "RATE = 1.5")
    other = pytester.runpytest_inprocess("--mlrun", "--mlrun-replay", "test_train")

    same.stdout.fnmatch_lines(["REPRODUCED_EXACTLY  test_train *"])
    other.stdout.fnmatch_lines(
        [
            "REPRODUCED  test_train *",
            "divergence   same until step 3; then: weights (by 0.*, not growing) *",
            "*fingerprints differ from step 4 on: weights",
        ]
    )
    same.stdout.no_fnmatch_line("divergence *")
    said = next(line for line in other.outlines if line.startswith("divergence")).removeprefix("divergence").strip()
    capsys.readouterr()
    assert main(["diff", "test_train", "replay of test_train"]) == 1
    assert said in capsys.readouterr().out
