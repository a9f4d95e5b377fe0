"""Seeds are trained until the gate is decided, and no seed more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_mlrun import RunRecord
    from tests.conftest import Runs

MODEL = """
import numpy as np

rng = np.random.default_rng(20261201)
TRUTH = rng.random(1000)
NOISE = rng.standard_normal(1000)

def train(run, *, worse=0.0, seed=None, rows=1000):
    seed = run.seed if seed is None else seed
    own = np.random.default_rng(seed).standard_normal(1000)
    run.evaluate("val", TRUTH[:rows], (TRUTH + (0.3 + worse) * NOISE + 0.05 * own)[:rows], metrics=["rmse", "mae"])
"""
BASE = """
import pytest
from model import train

def test_base(mlrun):
    for run in mlrun.seeds({stored}): train(run)

"""
GATE = 'mlrun.no_regression("val_rmse", against="test_base", margin=0.01, claim="procedure")'


@pytest.fixture(autouse=True)
def project(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(model=MODEL)
    pytester.makeini("[pytest]\npythonpath = .\nfilterwarnings = default\n")


def write(
    gate: str = GATE, *, each: str = "train(run)", loop: str = "until=gate", after: str = "mlrun.assert_all(gate)"
) -> str:
    return f"    gate = {gate}\n    for run in mlrun.seeds({loop}):\n        {each}\n    {after}\n"


NOT_OURS = "ignore:Module already imported"
"""What pytest 9.0 says of a plugin that runs in the process that tests it."""


def run_all(
    pytester: pytest.Pytester, *bodies: str, stored: int = 10, options: tuple[str, ...] = ()
) -> pytest.RunResult:
    """Run a baseline, then a test for each body, in one session."""
    tests = [f"def test_new{place}(mlrun):\n{body}" for place, body in enumerate(bodies)]
    pytester.makepyfile(test_it=BASE.format(stored=stored) + "\n".join(tests))
    return pytester.runpytest("--mlrun", "-W", NOT_OURS, *options)


def judged(runs: list[RunRecord]) -> list[tuple[RunRecord, int]]:
    """Return the runs that were judged, and how many seeds each trained."""
    parents = [one for one in runs if one.parent_id is None and one.name != "test_base"]
    return [(parent, sum(one.parent_id == parent.run_id for one in runs)) for parent in parents]


def test_training_stops_at_the_first_decision_and_one_seed_never_fails(
    pytester: pytest.Pytester, stored_runs: Runs
) -> None:
    bodies = [write(each=f"train(run, worse={worse})") for worse in (-0.05, 0.2, 0.01)]

    result = run_all(pytester, *bodies)

    found = judged(stored_runs())
    result.assert_outcomes(passed=3, failed=1, warnings=1)
    assert [(run.gates[0].decision, trained) for run, trained in found] == [
        ("PASS", 1),
        ("FAIL", 2),
        ("INCONCLUSIVE", 5),
    ]
    assert {(one.gates[0].alpha, one.gates[0].claim, one.gates[0].calibrated) for one, _ in found} == {
        (0.0192, "this procedure", True)
    }
    result.stdout.fnmatch_lines(
        [
            "E*GateFailure: val_rmse worse than its baseline: diff -0.*, 96.16% CI [[]-0.*, -0.*], margin 0.01",
            "E* new 0.* vs 0.* of *",
            "E*2 new against 10 stored seeds, rows and seeds, looks at 1, 2, 3, 5, each at 0.0192, n=1,000 (*",
        ]
    )


def test_a_gate_that_was_decided_and_not_enforced_is_recorded_and_others_were_looked_at_as_often(
    pytester: pytest.Pytester, stored_runs: Runs
) -> None:
    other = GATE.replace("val_rmse", "val_mae")

    run_all(pytester, write(each="train(run, worse=0.2)", after=f"mlrun.judge({other})")).assert_outcomes(passed=2)

    ((parent, _),) = judged(stored_runs())
    assert [(one.metric, one.decision, one.alpha) for one in parent.gates] == [
        ("val_rmse", "FAIL", 0.0192),
        ("val_mae", "FAIL", 0.0192),
    ]


BOUNDS = {
    'mlrun.floor("score", 0.5)': ("PASS", 3),
    'mlrun.floor("score", 0.9)': ("FAIL", 3),
    'mlrun.ceiling("score", 0.7)': ("FAIL", 3),
    'mlrun.ceiling("score", 0.8, require="proof")': ("INCONCLUSIVE", 10),
}


def test_the_mean_of_seeds_meets_a_bound(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    each = 'run.log_metric("score", 0.8 + 0.01 * (run.params["replicate"] % 2) - 0.005)'
    bodies = [write(gate, each=each) for gate in BOUNDS]

    run_all(pytester, *bodies, write('mlrun.ceiling("val_rmse", 0.4)')).assert_outcomes(passed=3, failed=3)

    *alone, (with_rows, _) = judged(stored_runs())
    assert [(one.gates[0].decision, trained) for one, trained in alone] == list(BOUNDS.values())
    assert {one.gates[0].claim for one, _ in alone} == {"this procedure, on these rows"}
    assert alone[0][0].gates[0].method == "3 seeds, scores alone, looks at 3, 5, 10, each at 0.0202"
    (verdict,) = with_rows.gates
    assert (verdict.decision, verdict.claim, verdict.n) == ("PASS", "this procedure", 1000)
    assert verdict.method.startswith("3 seeds, rows and seeds")


REFUSED = {
    write('mlrun.no_regression("val_rmse", against="nobody", margin=0, claim="procedure")'): (
        "no baseline: no run answers to 'nobody'"
    ),
    write('mlrun.no_regression("val_rmse", against="test_base", margin=0)'): "the gate on 'val_rmse' speaks of one *",
    write(GATE.replace("claim", 'require="value", claim')): "the gate on 'val_rmse' is decided by the value*",
    write(GATE.replace("rmse", "f1")): "baseline * holds no trainings under several seeds with 'val_f1'",
    write('mlrun.floor("val_rmse", 0.1, require="value")'): "the floor of 'val_rmse' is decided by one value*",
    write(loop="until=gate, looks=(3, 2)"): "looks must be rising numbers of seeds from 1 on, found *",
    write(loop="3, until=gate"): "seeds takes a number of trainings, or the gate that ends them",
    write(loop=""): "seeds takes a number of trainings, or the gate that ends them",
    write(loop="until=3"): "not a gate: 3*",
    write(loop="0"): "the number of seeds must be a whole number from 1 on, found 0*",
    write(GATE.replace("claim", 'variance="small", claim')): "variance must be 'conservative' or 'exact'*",
}
ONE_MODEL = 'mlrun.assert_no_regression("val_rmse", against="test_base", margin=0.01)'
UNJUDGED = {
    write(loop="2", after=ONE_MODEL): "metric 'val_rmse' was never logged by this run, but by 2 of its child runs",
    write(loop="1", after=f"train(mlrun); {ONE_MODEL}"): "baseline * logged 'val_rmse' under 10 seeds, and not itself",
    write(each="train(run); break"): "the seeds for 'val_rmse' ended before the gate was decided",
    write(each="pass"): "claim='procedure' needs 'val_rmse' of several trainings, and this run repeated none",
    write(after="[train(run) for run in mlrun.seeds(until=gate)]"): "this run trained under several seeds already*",
    write(each='run.params["replicate"] == 1 or train(run, worse=0.01)'): "1 of 2 trainings never logged 'val_rmse'",
    write(each="train(run, rows=500)"): "val_rmse against *: the baseline was evaluated on other rows",
}


def test_what_more_seeds_cannot_decide_is_an_error_with_the_cure_and_trains_nothing(
    pytester: pytest.Pytester, stored_runs: Runs
) -> None:
    result = run_all(pytester, *REFUSED, *UNJUDGED)

    result.assert_outcomes(passed=1, failed=len(REFUSED) + len(UNJUDGED))
    texts = [*REFUSED.values(), *UNJUDGED.values()]
    result.stdout.fnmatch_lines([line for text in texts for line in (f"E*Error: {text}", "E*next:*")])
    result.stdout.no_fnmatch_line("*pytest_mlrun/*.py*")
    assert [trained for _, trained in judged(stored_runs())][: len(REFUSED)] == [0] * len(REFUSED)


@pytest.mark.slow
def test_fewer_than_ten_stored_seeds_are_looked_at_after_3_5_and_10(
    pytester: pytest.Pytester, stored_runs: Runs
) -> None:
    run_all(pytester, write(each="train(run, worse=0.2)"), stored=3).assert_outcomes(passed=1, failed=1)

    ((parent, trained),) = judged(stored_runs())
    assert trained == 3
    assert parent.gates[0].method.endswith("looks at 3, 5, 10, each at 0.0202")


@pytest.mark.slow
def test_two_stored_seeds_are_too_few_before_anything_trains(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    result = run_all(pytester, write(), stored=2)

    result.stdout.fnmatch_lines(["E*baseline * holds 2 trainings under several seeds, and 3 are needed", "E*next:*"])
    assert [trained for _, trained in judged(stored_runs())] == [0]


@pytest.mark.slow
def test_gates_that_share_alpha_fail_at_a_level_for_all_of_them(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    body = write(each="train(run, worse=0.2)")

    run_all(pytester, body, options=("--mlrun-gates=12",)).assert_outcomes(passed=1, failed=1)

    (verdict,) = judged(stored_runs())[0][0].gates
    assert verdict.method.endswith("each at 0.0192, a FAIL at 0.0013")
    assert (verdict.m, verdict.alpha) == (12, 0.0192)


@pytest.mark.slow
def test_other_looks_get_a_level_of_their_own(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    body = write(each="train(run, worse=0.01)", loop="until=gate, looks=(2, 4)")

    run_all(pytester, body).assert_outcomes(passed=2, warnings=1)

    ((parent, trained),) = judged(stored_runs())
    assert trained == 4
    assert 0.025 < (parent.gates[0].alpha or 0) < 0.035


@pytest.mark.slow
def test_scores_without_rows_are_compared_on_these_rows_alone(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makepyfile(
        test_it="""
        def test_base(mlrun):
            for run in mlrun.seeds(10): run.log_metric("rmse", run.rng.normal(0.5, 0.01))

        def test_new(mlrun):
            gate = mlrun.no_regression("rmse", against="test_base", margin=0, claim="procedure")
            for run in mlrun.seeds(until=gate): run.log_metric("rmse", run.rng.normal(0.9, 0.01))
            mlrun.assert_all(gate)
        """
    )

    pytester.runpytest("--mlrun").assert_outcomes(passed=1, failed=1)

    ((parent, trained),) = judged(stored_runs())
    (verdict,) = parent.gates
    assert (trained, verdict.decision, verdict.claim) == (2, "FAIL", "this procedure, on these rows")
    assert verdict.method.startswith("2 new against 10 stored seeds, scores alone, looks at")


@pytest.mark.slow
def test_exact_variance_is_smaller_and_is_said(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    gates = (GATE, GATE.replace('"procedure"', '"procedure", variance="exact"'))

    run_all(pytester, write(loop="3", after="; ".join(f"mlrun.judge({gate})" for gate in gates))).assert_outcomes(
        passed=2
    )

    usual, exact = judged(stored_runs())[0][0].gates
    assert exact.method == "3 new against 10 stored seeds, rows and seeds, exact variance"
    assert None not in {usual.low, usual.high, exact.low, exact.high}
    assert (exact.high or 0) - (exact.low or 0) < (usual.high or 0) - (usual.low or 0)


@pytest.mark.slow
def test_a_drop_that_must_be_seen_is_asked_for_at_the_last_look_only(
    pytester: pytest.Pytester, stored_runs: Runs
) -> None:
    gate = GATE.replace("claim", "must_detect=0.0001, claim")

    run_all(pytester, write(gate)).assert_outcomes(passed=1, failed=1)

    ((parent, trained),) = judged(stored_runs())
    assert trained == 5
    assert [(one.decision, one.reason.partition(":")[0]) for one in parent.gates] == [("FAIL", "underpowered")]
