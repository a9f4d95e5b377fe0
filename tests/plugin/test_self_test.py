"""A gate proves on what was recorded that it can fail, and that it does not when nothing is wrong; nothing trains."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Runs

MODEL = """
import pathlib
import numpy as np

def evaluate(run, noise, *, seed=1, n=600, metrics=("brier", "accuracy"), **more):
    with pathlib.Path("trained").open("a") as file:
        file.write("x")
    rng = np.random.default_rng(20261130)
    truth = (rng.random(n) < 0.4).astype(int)
    logit = 2.0 * truth - 1 + rng.standard_normal(n)
    logit = logit + noise * np.random.default_rng(seed).standard_normal(n)
    run.evaluate("val", truth, 1 / (1 + np.exp(-logit)), metrics=metrics, **more)
"""
BASE = """
import pytest
from model import evaluate

@pytest.mark.mlrun(floors={"val_accuracy": 0.7})
def test_base(mlrun):
    evaluate(mlrun, 0.0)
"""
AGAINST = 'mlrun.assert_no_regression("val_brier", against="test_base", margin=0.02)'


@pytest.fixture(autouse=True)
def project(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(model=MODEL)
    pytester.makeini("[pytest]\npythonpath = .\n")


def record(pytester: pytest.Pytester, *bodies: str, marker: str = "@pytest.mark.mlrun") -> None:
    """Record a baseline, then a test for each body; what became of their gates does not matter."""
    tests = [f"\n{marker}\ndef test_new{place}(mlrun):\n    {body}\n" for place, body in enumerate(bodies)]
    pytester.makepyfile(test_it=BASE + "\n".join(tests))
    pytester.runpytest("--mlrun", "-q", "-W", "ignore")
    (pytester.path / "trained").unlink()


def self_test(pytester: pytest.Pytester, *options: str) -> pytest.RunResult:
    result = pytester.runpytest("--mlrun", "--mlrun-selftest", *options)
    assert not (pytester.path / "trained").exists()
    return result


def test_gates_that_work_pass_without_training_and_are_told_the_same_twice(
    pytester: pytest.Pytester, stored_runs: Runs
) -> None:
    record(
        pytester,
        f"evaluate(mlrun, 0.1); {AGAINST}",
        'evaluate(mlrun, 0.1); mlrun.assert_floor("val_accuracy", 0.8, require="evidence")',
        "mlrun.log_metric('seconds', 3)",
    )
    before = stored_runs()

    results = [self_test(pytester, "-v", "--junitxml=out.xml") for _ in range(2)]

    for result in results:
        result.assert_outcomes(passed=3, skipped=1)
        assert result.ret == 0
    tables = [[line for line in result.outlines if line.startswith(("test_base", "test_new"))] for result in results]
    assert tables[0] == tables[1]
    results[0].stdout.fnmatch_lines(
        [
            "*test_it.py::test_new2 SKIPPED (its last run recorded no gate)*",
            "*gate self-test*",
            "mlrun: 3 gates, 200 samples of each: 3 work",
            "run *gate *metric *bound  planted *caught *alarms  finding",
            "test_base *floor *val_accuracy *0.7  past it *yes *-  ok",
            "test_new0  no-regression  val_brier *0.02 *0.0* 1??/200 */200  ok",
            "test_new1  floor *val_accuracy *0.8 *0.0* 1??/200 */200  ok",
        ]
    )
    properties = {one.get("name"): one.get("value") for one in ET.parse(pytester.path / "out.xml").iter("property")}
    told = json.loads(str(properties["mlrun_selftest_no-regression_val_brier"]))
    assert (told["tried"], told["problem"]) == (200, "")
    assert stored_runs() == before


CANNOT_FAIL = {
    'mlrun.assert_no_regression("val_accuracy", against="test_base", margin=0.95)': (
        "val_accuracy no-regression cannot fail: even the worst predictions keep to it, so a margin of 0.95 allows*"
    ),
    'mlrun.assert_floor("val_accuracy", 0)': (
        "val_accuracy floor cannot fail: no value of val_accuracy is beyond it, so a floor of 0 allows everything"
    ),
    'mlrun.assert_floor("val_brier", 0.01)': (
        "val_brier floor a worse model passes: less val_brier is better; a floor stops that"
    ),
    'mlrun.log_metric("gain", 1); mlrun.judge(mlrun.floor("gain", 0.5, require="evidence"))': (
        "gain floor cannot fail: no rows are behind it"
    ),
    'mlrun.judge(mlrun.no_regression("val_brier", against="test_base", margin=0.02, must_detect=0.021))': (
        "val_brier no-regression blind: a drop of 0.021 turned it red in * of 200 samples; it states 0.0*"
    ),
}


def test_a_gate_that_cannot_fail_turns_red_and_says_why(pytester: pytest.Pytester) -> None:
    record(pytester, *(f"evaluate(mlrun, 0.1); {gate}" for gate in CANNOT_FAIL))

    result = self_test(pytester)

    result.assert_outcomes(passed=1, failed=len(CANNOT_FAIL))
    assert result.ret == 1
    for text in CANNOT_FAIL.values():
        result.stdout.fnmatch_lines([text, "*next:*"])
    result.stdout.fnmatch_lines(["mlrun: 6 gates, 200 samples of each: 1 works, 5 do not"])
    result.stdout.no_fnmatch_line("*pytest_mlrun/*")


def test_children_are_tested_and_what_no_samples_can_be_drawn_for_is_named(pytester: pytest.Pytester) -> None:
    more = """
def test_same(mlrun):
    evaluate(mlrun, 0.0, metrics=["log_loss"])

def test_folds(mlrun):
    for fold in mlrun.folds(HALVES, range(600)):
        evaluate(fold, 0.0, metrics=["log_loss"])
    if against:
        mlrun.assert_no_regression("val_log_loss", against="test_folds", margin=9, claim="data")

def test_child(mlrun):
    with mlrun.child(noise=0) as child:
        evaluate(child, 0.0, metrics=["log_loss"])
        child.assert_no_regression("val_log_loss", against="test_same", margin=0.05)

def test_again(mlrun):
    evaluate(mlrun, 0.0, metrics=["log_loss"])
    mlrun.assert_reproduces("test_same")

def test_mean(mlrun):
    for run in mlrun.seeds(until=mlrun.floor("val_accuracy", 0.7)):
        evaluate(run, 0.0)
"""
    halves = """
import pathlib

class HALVES:
    @staticmethod
    def split(X, y=None, groups=None):
        yield from [(range(300), range(300, 600)), (range(300, 600), range(300))]

against = pathlib.Path("trained").exists()
"""
    pytester.makepyfile(test_it=BASE + halves + more)
    for _ in range(2):
        pytester.runpytest("--mlrun", "-q", "-W", "ignore").assert_outcomes(passed=6)
    (pytester.path / "trained").unlink()

    result = self_test(pytester, "-v")

    result.assert_outcomes(passed=2, skipped=4)
    result.stdout.fnmatch_lines(
        [
            "*test_same SKIPPED (its last run recorded no gate)*",
            "*test_folds SKIPPED (cannot be sampled: folds)*",
            "*test_again SKIPPED (cannot be sampled: reproduces)*",
            "mlrun: 2 gates, 200 samples of each: 2 work",
            "*noise=0  no-regression  val_log_loss * 200/200   0/200  ok",
            "gates not tested, for which no samples can be drawn: folds (test_folds);*",
        ]
    )
    told = " ".join(line.strip() for line in result.outlines)
    assert "folds (test_folds); reproduces (test_again); bounds of seeds (test_mean)" in told


@pytest.mark.slow
def test_a_run_that_became_the_baseline_leaves_the_gate_to_the_one_before(pytester: pytest.Pytester) -> None:
    (pytester.path / "mlrun.toml").touch()
    gate = 'mlrun.assert_no_regression("val_brier", against="churn@production", margin=0.02)'
    pytester.makepyfile(test_it=f"from model import evaluate\ndef test_new(mlrun): evaluate(mlrun, 0.1); {gate}\n")
    for options, code in (("--mlrun-update-baselines", 1), ("-q", 0), ("--mlrun-update-baselines", 1)):
        assert pytester.runpytest("--mlrun", options).ret == code
    (pytester.path / "trained").unlink()

    result = self_test(pytester)

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["mlrun: 1 gate, 200 samples of each: 1 works"])


@pytest.mark.slow
def test_a_goal_turned_round_in_the_project_is_found(pytester: pytest.Pytester) -> None:
    (pytester.path / "mlrun.toml").write_text('[metrics.val_brier]\ngoal = "max"\n')
    record(pytester, f"evaluate(mlrun, 0.1); {AGAINST}")

    result = self_test(pytester, "-k", "test_new0")

    result.assert_outcomes(failed=1, deselected=1)
    result.stdout.fnmatch_lines(
        [
            'val_brier no-regression cannot fail: the project says goal = "max" of val_brier, whose goal is "min"',
            '*next:  write goal = "min" under [[]metrics.val_brier] in mlrun.toml, or leave it out',
        ]
    )


@pytest.mark.slow
def test_too_few_rows_are_found(pytester: pytest.Pytester) -> None:
    record(pytester, f"evaluate(mlrun, 0.1, n=12); {AGAINST.replace('test_base', 'test_few')}")
    few = (
        "\ndef test_few(mlrun):\n    evaluate(mlrun, 0.3, n=12)\n\ndef test_z(mlrun):\n    evaluate(mlrun, 0.1, n=12)\n"
    )
    gate = 'mlrun.assert_no_regression("val_accuracy", against="test_few", margin=0.2, must_detect=0.3)'
    pytester.makepyfile(test_it=BASE + few + f"    {gate}\n")
    pytester.runpytest("--mlrun", "-q", "-W", "ignore")
    (pytester.path / "trained").unlink()

    result = self_test(pytester, "-k", "test_z")

    result.assert_outcomes(failed=1, deselected=2)
    result.stdout.fnmatch_lines(["val_accuracy no-regression blind: a drop of 0.3 turned it red in * of 200 samples*"])


def test_a_gate_with_nothing_recorded_is_an_error_with_the_cure(pytester: pytest.Pytester) -> None:
    record(pytester, f"evaluate(mlrun, 0.1); {AGAINST}")
    source = (pytester.path / "test_it.py").read_text().replace('"val_accuracy": 0.7', '"val_brier": 0.7')
    pytester.makepyfile(test_it=source + "\ndef test_later(mlrun):\n    mlrun.assert_floor('auc', 0.9)\n")

    result = self_test(pytester)

    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(
        [
            "nothing is recorded of the floor of val_brier",
            "*next:  record it once: pytest --mlrun 'test_it.py::test_base'",
            "nothing is recorded of the gates of test_later",
            "*next:  record it once: pytest --mlrun 'test_it.py::test_later'",
        ]
    )


def test_without_a_store_or_with_a_training_it_says_what_to_do(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=BASE)

    self_test(pytester).stdout.fnmatch_lines(["*there is no run store in .pytest_mlrun", "*next:*pytest --mlrun"])
    for options in (["--mlrun-selftest"], ["--mlrun", "--mlrun-selftest", "--mlrun-register"]):
        assert pytester.runpytest(*options).ret == pytest.ExitCode.USAGE_ERROR


def test_the_environment_and_the_configuration_can_ask_for_it(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makepyfile(test_it=BASE)
    pytester.makeini("[pytest]\npythonpath = .\nmlrun_selftest = true\n")

    assert pytester.runpytest().ret == pytest.ExitCode.USAGE_ERROR
    monkeypatch.setenv("PYTEST_MLRUN_SELFTEST", "false")
    pytester.runpytest().assert_outcomes(skipped=1)


@pytest.mark.slow
def test_seeds_patients_and_workers_are_tested_like_one_model(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_PLUGINS", "pytest_mlrun.plugin,xdist.plugin")
    pytester.makepyfile(
        test_it=BASE
        + """
def test_many(mlrun):
    for run in mlrun.seeds(10):
        evaluate(run, 0.1, seed=run.seed, metrics=["brier"])

def test_seeds(mlrun):
    for run in mlrun.seeds(3):
        evaluate(run, 0.1, seed=run.seed, metrics=["brier"])
    mlrun.assert_no_regression("val_brier", against="test_many", margin=0.02, claim="procedure")

def test_patients(mlrun):
    evaluate(mlrun, 0.1, groups=[row // 3 for row in range(600)])
    mlrun.assert_floor("val_accuracy", 0.75, require="proof")

def test_module(mlrun_module):
    evaluate(mlrun_module, 0.1)
    mlrun_module.assert_ceiling("val_brier", 0.25)

def test_module_again(mlrun_module):
    pass
"""
    )
    pytester.runpytest("--mlrun", "-q").assert_outcomes(passed=6)
    (pytester.path / "trained").unlink()

    alone, shared = (self_test(pytester, "-v", *options) for options in ((), ("-n2",)))

    alone.assert_outcomes(passed=4, skipped=1, deselected=1)
    shared.assert_outcomes(passed=4, skipped=1)
    tables = [sorted(line for line in found.outlines if line.endswith("  ok")) for found in (alone, shared)]
    assert tables[0] == tables[1]
    assert len(tables[0]) == 4
