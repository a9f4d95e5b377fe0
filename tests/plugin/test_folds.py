"""Folds of a cross-validation are runs, and their scores speak of new data."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from pytest_mlrun.cli import main

if TYPE_CHECKING:
    from tests.conftest import Runs

MODEL = """
import numpy as np

rng = np.random.default_rng(20261203)
X, NOISE = rng.random((200, 1)), rng.standard_normal(200)

class Shuffled:
    def __init__(self, seed, folds=10):
        self.order, self.folds = np.random.default_rng(seed).permutation(200), folds

    def split(self, X, y=None, groups=None):
        for test in np.array_split(self.order, self.folds):
            yield np.setdiff1d(self.order, test), test

def score(fold, *, worse=0.0):
    own = 0.01 * np.random.default_rng(fold.seed).standard_normal(len(fold.test))
    out = X[fold.test, 0] + (0.3 + worse) * NOISE[fold.test] + own
    fold.evaluate("test", X[fold.test, 0], out, metrics=["rmse"], row_ids=fold.test)
"""
TESTS = """
import pytest
from model import X, Shuffled, score

def test_base(mlrun):
    for fold in mlrun.folds(Shuffled(mlrun.seed), X): score(fold)
"""
GATE = 'mlrun.assert_no_regression("test_rmse", against="test_base", margin=0.05, claim="data")'
FOLDS = "for fold in mlrun.folds(Shuffled(mlrun.seed), X)"


@pytest.fixture(autouse=True)
def project(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(model=MODEL)
    pytester.makeini("[pytest]\npythonpath = .\nfilterwarnings = default\n")
    pytester.path.joinpath("mlrun.toml").touch()


def run(pytester: pytest.Pytester, *bodies: str, base: str = TESTS) -> pytest.RunResult:
    tests = [f"def test_new{place}(mlrun):\n    {body}\n" for place, body in enumerate(bodies)]
    pytester.makepyfile(test_it=base + "\n" + "\n".join(tests))
    return pytester.runpytest("--mlrun")


def test_folds_are_child_runs_and_are_compared_one_by_one(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    bodies = [f"[score(fold, worse={worse}) {FOLDS}]; {GATE}" for worse in (0.0, 0.5)]

    result = run(pytester, *bodies)

    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(
        [
            "E*GateFailure: test_rmse worse than its baseline: diff -0.*, 90% CI [[]-0.*, -0.*], margin 0.05",
            "E* new 0.* vs 0.* of *",
            "E*10 folds, Nadeau-Bengio, 180 rows to train and 20 to test, n=10; p(*",
        ]
    )
    runs = stored_runs()
    alike, worse = [one.gates[0] for one in runs if one.gates]
    assert (alike.decision, worse.decision, {alike.claim, worse.claim}) == ("PASS", "FAIL", {"new data"})
    assert (alike.method, worse.n, worse.calibrated) == ("10 folds, identical scores", 10, True)
    folds = [one for one in runs if one.parent_id == runs[0].run_id]
    assert [one.params["fold"] for one in folds] == [str(fold) for fold in range(10)]
    assert len({one.context["rand.seed"] for one in folds}) == 10
    assert {json.loads(one.context["split.train.rows"]) for one in folds} == {180}


REFUSED = {
    f"[score(fold) for fold in mlrun.folds(Shuffled(1), X)]; {GATE}": "test_rmse against *: the baseline has other *",
    f"[score(fold) for fold in mlrun.folds(Shuffled(mlrun.seed, 5), X)]; {GATE}": "test_rmse against *: the base*",
    f"[fold.seed {FOLDS}]; {GATE}": "claim='data' needs 'test_rmse' of every fold*",
    GATE: "claim='data' needs 'test_rmse' of every fold*",
    f"[score(fold) {FOLDS}]; {GATE.replace('test_rmse', 'test_mae')}": "baseline * holds no folds with 'test_mae'",
    "[score(fold) for fold in mlrun.folds(5, X)]": "folds needs a splitter, found 5 (int)",
    GATE.replace('"data"', '"date"'): "claim must be 'model', 'procedure' or 'data', found *",
}


def test_folds_that_cannot_be_compared_are_an_error_with_the_cure(pytester: pytest.Pytester) -> None:
    result = run(pytester, *REFUSED)

    result.assert_outcomes(passed=1, failed=len(REFUSED))
    result.stdout.fnmatch_lines([line for text in REFUSED.values() for line in (f"E*Error: {text}", "E*next:*")])
    result.stdout.no_fnmatch_line("*pytest_mlrun/*.py*")


@pytest.mark.slow
def test_folds_are_compared_with_a_committed_baseline(
    pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    run(pytester).assert_outcomes(passed=1)
    capsys.readouterr()
    assert main(["baseline", "init", "test_base", "--as", "x@cv"]) == 0
    assert "test_base, with 10 folds" in capsys.readouterr().out
    pytester.path.joinpath(".pytest_mlrun").rename(pytester.path / "elsewhere")
    gate, start = GATE.replace("test_base", "x@cv"), TESTS.partition("def test_base")[0]

    run(pytester, f"[score(fold, worse=0.5) {FOLDS}]; {gate}", base=start).assert_outcomes(failed=1)


@pytest.mark.slow
def test_a_splitter_of_scikit_learn_is_taken(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    splitter = "__import__('sklearn.model_selection').model_selection.RepeatedKFold(n_splits=4, n_repeats=2, "
    folds = f"for fold in mlrun.folds({splitter}random_state=mlrun.seed), X)"

    run(pytester, f"[score(fold) {folds}]").assert_outcomes(passed=2)

    runs = stored_runs()
    assert sum("fold" in one.params for one in runs) == 18
