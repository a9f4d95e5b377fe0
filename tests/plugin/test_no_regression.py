"""A gate compares a run with a recorded one on the same rows, and is never green for want of a baseline."""

from __future__ import annotations

import json
import shutil
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest

from pytest_mlrun.cli import main

if TYPE_CHECKING:
    from tests.conftest import Runs

MODEL = """
import numpy as np
import pytest

def evaluate(run, noise, *, seed=1, n=2000, metrics=("log_loss", "accuracy", "roc_auc"), **more):
    rng = np.random.default_rng(20261130)
    truth = (rng.random(n) < 0.4).astype(int)
    logit = 2.0 * truth - 1 + rng.standard_normal(n)
    logit = logit + noise * np.random.default_rng(seed).standard_normal(n)
    run.evaluate("val", truth, 1 / (1 + np.exp(-logit)), metrics=metrics, **more)
"""
BASE = """
import pytest
from model import evaluate

def test_base(mlrun):
    mlrun.set_tag("stage", "production")
    evaluate(mlrun, 0.0)

"""
AGAINST = 'mlrun.assert_no_regression("val_log_loss", against="test_base", margin=0.01)'
OPEN = 'mlrun.assert_no_regression("val_accuracy", against="test_base", margin=0.002)'


@pytest.fixture(autouse=True)
def project(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(model=MODEL)
    pytester.makeini("[pytest]\npythonpath = .\nfilterwarnings = default\n")


NOT_OURS = "ignore:Module already imported"
"""What pytest 9.0 says of a plugin that runs in the process that tests it."""


def run(pytester: pytest.Pytester, *bodies: str, options: tuple[str, ...] = (), marker: str = "") -> pytest.RunResult:
    """Run a baseline, then a test for each body, in one session."""
    tests = [f"{marker}\ndef test_new{place}(mlrun):\n    {body}\n" for place, body in enumerate(bodies)]
    pytester.makepyfile(test_it=BASE + "\n".join(tests))
    return pytester.runpytest("--mlrun", *options)


def body(gate: str, *, noise: float = 0.0, more: str = "") -> str:
    return f"evaluate(mlrun, {noise}{more}); {gate}"


def test_a_worse_model_fails_with_the_numbers_and_all_of_them_are_recorded(
    pytester: pytest.Pytester, stored_runs: Runs
) -> None:
    result = run(pytester, body(AGAINST, noise=1.0))

    result.assert_outcomes(passed=1, failed=1)
    base, new = stored_runs()
    result.stdout.fnmatch_lines(
        [
            "E*GateFailure: val_log_loss worse than its baseline: diff -0.*, 90% CI [[]-0.*, -0.*], margin 0.01",
            f"E* new 0.* vs 0.* of {base.short_id}",
            "E*paired rows, influence t, n=2,000 (* decide); p(not worse than the margin)=*; drop flagged 4 *",
            "E*next:  improve the model, or change the margin where it is written",
        ]
    )
    result.stdout.no_fnmatch_line("*pytest_mlrun/*")
    (verdict,) = new.gates
    assert (verdict.gate, verdict.decision, verdict.calibrated) == ("no-regression", "FAIL", True)
    assert (verdict.baseline_id, verdict.baseline_digest) == (base.run_id, base.digest)
    assert (verdict.margin, verdict.alpha, verdict.m, verdict.n) == (0.01, 0.05, 1, 2000)
    assert None not in {verdict.estimate, verdict.low, verdict.high, verdict.p, verdict.n_eff, verdict.mde}
    assert (verdict.require, verdict.claim, new.cause) == ("evidence", "this model", "gate")


def test_the_same_model_a_tiny_change_and_a_gate_on_the_value_are_released(pytester: pytest.Pytester) -> None:
    by_value = OPEN.replace("0.002)", '0.5, require="value")')

    result = run(
        pytester,
        body(AGAINST),
        body(AGAINST, noise=0.02),
        body(by_value, noise=0.2),
        options=("--mlrun-release",),
    )

    result.assert_outcomes(passed=4)


def test_without_its_baseline_the_gate_is_red(pytester: pytest.Pytester) -> None:
    result = run(pytester, body(AGAINST), options=("-k", "test_new0"))

    result.assert_outcomes(failed=1, deselected=1)
    result.stdout.fnmatch_lines(
        [
            "E*RunNotFoundError: no baseline: no run answers to 'test_base'",
            "E*next:  record one: run the baseline's code*",
        ]
    )


MISSING = {
    "churn@production": "no baseline: there is no such model 'churn'",
    "churn/3": "no baseline: there is no such model 'churn'",
    "tag:stage": "the baseline 'tag:stage' says no tag and value",
    "tag:stage=shadow": "no baseline: no run answers to 'tag:stage=shadow'",
    "test_new4": "no baseline: no run answers to 'test_new4'",
    "test_new0": "no baseline: none of the 1 runs of 'test_new0' passed",
}


def test_what_names_no_baseline_is_an_error_with_the_cure(pytester: pytest.Pytester) -> None:
    gates = [body(f'mlrun.assert_no_regression("val_log_loss", against="{ref}", margin=0.01)') for ref in MISSING]

    result = run(pytester, *gates)

    result.assert_outcomes(passed=1, failed=len(MISSING))
    result.stdout.fnmatch_lines(
        [line for text in MISSING.values() for line in (f"E*RunNotFoundError: {text}", "E*next:*")]
    )


def test_a_baseline_is_named_by_tag_or_id_or_by_a_name_whose_newest_that_passed_is_meant(
    pytester: pytest.Pytester, stored_runs: Runs
) -> None:
    run(pytester).assert_outcomes(passed=1)
    (first,) = stored_runs()
    refs = ("tag:stage=production", "test_base", first.short_id, first.run_id)
    gates = [body(f'mlrun.assert_no_regression("val_roc_auc", against="{ref}", margin=0)') for ref in refs]

    run(pytester, *gates).assert_outcomes(passed=5)

    second, *judged = stored_runs()[1:]
    expected = [second.run_id, second.run_id, first.run_id, first.run_id]
    assert [one.gates[0].baseline_id for one in judged] == expected


def test_each_case_of_a_sweep_is_compared_with_the_tagged_run_of_its_params(
    pytester: pytest.Pytester, stored_runs: Runs
) -> None:
    pytester.makepyfile(
        test_it="""
        import pytest
        from model import evaluate

        @pytest.mark.mlrun(tags={"stage": "production"})
        @pytest.mark.parametrize("noise", [0.0, 1.0, 0.5])
        def test_sweep(mlrun, noise):
            mlrun.log_param("rows", 2000)
            evaluate(mlrun, noise)
            for run in mlrun.seeds(1): evaluate(run, noise)

        @pytest.mark.parametrize("noise", [0.0, 0.5, 1.0, 2.0])
        def test_again(mlrun, noise):
            mlrun.log_param("rows", 2000 if noise < 1.0 else 1999)
            evaluate(mlrun, noise)
            mlrun.judge(mlrun.no_regression("val_log_loss", against="tag:stage=production", margin=0.01))
        """
    )

    pytester.runpytest("--mlrun").assert_outcomes(passed=7)

    names = {run.run_id: run.name for run in stored_runs()}
    assert {run.name: names[run.gates[0].baseline_id or ""] for run in stored_runs() if run.gates} == {
        "test_again[0.0]": "test_sweep[0.0]",
        "test_again[0.5]": "test_sweep[0.5]",
        "test_again[1.0]": "test_sweep[1.0]",
        "test_again[2.0]": "test_sweep[0.5]",
    }


def test_a_run_that_failed_is_no_baseline_unless_it_is_meant_by_its_id(
    pytester: pytest.Pytester, stored_runs: Runs
) -> None:
    run(pytester, body("assert False"), options=("-k", "test_new0")).assert_outcomes(failed=1, deselected=1)
    (failed,) = stored_runs()
    gate = f'mlrun.assert_no_regression("val_roc_auc", against="{failed.short_id}", margin=0)'

    run(pytester, body(gate)).assert_outcomes(passed=2)


REFUSED = {
    body(AGAINST, more=", n=1999"): "val_log_loss against *: the baseline was evaluated on other rows",
    body(AGAINST, more=", row_ids=range(1, 2001)"): "val_log_loss against *: the baseline was evaluated on other rows",
    body('mlrun.assert_no_regression("val_brier", against="test_base", margin=0)', more=', metrics=["brier"]'): (
        "baseline * never logged 'val_brier'"
    ),
    body('mlrun.assert_no_regression("val_f1", against="test_base", margin=0)'): "metric 'val_f1' was never logged*",
    body(AGAINST.replace("0.01", "-1")): "the margin of 'val_log_loss' must be*",
    body(AGAINST.replace("0.01", "0, groups=[1, 2]"), noise=1.0): "groups has shape (2,), and 2000 rows were evaluated",
    body(
        AGAINST.replace("0.01", '0, claim="procedure"')
    ): "claim='procedure' needs 'val_log_loss' of several trainings*",
    body(
        AGAINST.replace("log_loss", "gain"), more='); mlrun.log_metric("val_gain", 1.0'
    ): "nothing says whether more or less of 'val_gain' is better",
}


def test_what_cannot_be_compared_is_an_error_and_never_a_pass(pytester: pytest.Pytester) -> None:
    result = run(pytester, *REFUSED)

    result.assert_outcomes(passed=1, failed=len(REFUSED))
    result.stdout.fnmatch_lines([line for text in REFUSED.values() for line in (f"E*MetricError: {text}", "E*next:*")])


# -- what cannot be decided --------------------------------------------------------------------------------------------


def test_what_cannot_be_decided_warns_in_the_users_line_and_has_a_line_of_its_own(
    pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    by_hand = f'mlrun.log_metric("val_log_loss", 0.2); {AGAINST}'

    result = run(
        pytester, body(OPEN, noise=0.2), body(by_hand), options=("--mlrun-junit", "--junitxml=out.xml", "-W", NOT_OURS)
    )

    result.assert_outcomes(passed=3, warnings=2)
    result.stdout.fnmatch_lines(
        [
            "*test_it.py:*: InconclusiveGateWarning: INCONCLUSIVE  val_accuracy no-regression | this model | new 0.*",
            "*training runs*",
            "INCONCLUSIVE  val_accuracy no-regression | this model | new 0.* vs 0.*, margin 0.002  (test_new0)",
            "      paired rows, influence t, n=2,000 (*",
            "INCONCLUSIVE  val_log_loss no-regression | this model | new 0.2 vs 0.*UNCALIBRATED*  (test_new1)",
            "      no rows are kept of this run",
        ]
    )
    properties = {one.get("name"): one.get("value") for one in ET.parse(pytester.path / "out.xml").iter("property")}
    assert properties["mlrun_gate_no-regression_val_accuracy"] == "INCONCLUSIVE"
    capsys.readouterr()
    assert main(["runs", "--json"]) == 0
    told = [json.loads(line)["gates"] for line in capsys.readouterr().out.splitlines()]
    assert sorted(gate["decision"] for gates in told for gate in gates) == ["INCONCLUSIVE", "INCONCLUSIVE"]


@pytest.mark.parametrize("option", ["--mlrun-inconclusive=fail", "--mlrun-release"])
def test_what_cannot_be_decided_fails_where_that_is_the_policy(
    pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    result = run(pytester, body(OPEN, noise=0.2), options=(option, "--mlrun-junit", "--junitxml=out.xml"))

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "E*GateFailure: val_accuracy not proven as good as its baseline: diff *",
            'E*next:  evaluate more rows, or write require="value" where no proof is needed',
            "*training runs*",
            "val_accuracy not proven as good as its baseline: diff *  (test_new0)",
        ]
    )
    properties = {one.get("name"): one.get("value") for one in ET.parse(pytester.path / "out.xml").iter("property")}
    assert properties["mlrun_gate_no-regression_val_accuracy"] == "INCONCLUSIVE"
    capsys.readouterr()
    assert main(["runs", "--cause", "gate", "--json"]) == 0
    (gate,) = json.loads(capsys.readouterr().out)["gates"]
    assert (gate["decision"], gate["require"]) == ("INCONCLUSIVE", "proof")


def test_a_drop_that_must_be_seen_and_cannot_fails_as_underpowered(pytester: pytest.Pytester) -> None:
    result = run(pytester, body(AGAINST, noise=0.3), marker="@pytest.mark.mlrun(must_detect=0.011)")

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["E*GateFailure: val_log_loss: underpowered: it must detect a drop of 0.011, and 2,000 rows show only one of*"]
    )


# -- floors and ceilings -----------------------------------------------------------------------------------------------

FLOORS = {
    'mlrun.assert_floor("val_accuracy", 0.5)': "passed",
    'mlrun.assert_floor("val_accuracy", 0.5, require="proof")': "passed",
    'mlrun.assert_floor("val_accuracy", mlrun.metrics["val_accuracy"] - 1e-6, require="proof")': "failed",
    'mlrun.assert_floor("val_accuracy", mlrun.metrics["val_accuracy"] + 1e-6, require="evidence")': "passed",
    'mlrun.assert_floor("val_roc_auc", 0.99, require="evidence")': "failed",
    'mlrun.assert_ceiling("val_accuracy", 0.99, require="proof")': "passed",
    'mlrun.assert_ceiling("val_accuracy", 0.5, require="evidence")': "failed",
    'mlrun.assert_ceiling("val_log_loss", 0.9, require="proof")': "passed",
    'mlrun.assert_ceiling("val_log_loss", mlrun.metrics["val_log_loss"] + 1e-6, require="proof")': "failed",
    'mlrun.assert_ceiling("val_log_loss", 0.01, require="evidence")': "failed",
}


def test_a_floor_decides_by_its_value_and_can_ask_for_evidence_or_proof(
    pytester: pytest.Pytester, stored_runs: Runs
) -> None:
    result = run(pytester, *(body(call) for call in FLOORS), options=("-v",))

    first, *judged = stored_runs()[1:]
    assert [run.outcome for run in (first, *judged)] == list(FLOORS.values())
    result.stdout.fnmatch_lines(
        ["PASS  val_accuracy floor | this model | val_accuracy 0.* >= 0.5, 90% CI [[]0.*, 0.*]*"]
    )
    (verdict,) = first.gates
    assert (verdict.method, verdict.calibrated, verdict.require, verdict.n) == ("value", False, "value", 2000)
    assert verdict.low is not None
    assert verdict.high is not None
    assert verdict.low < first.metrics["val_accuracy"] < verdict.high
    assert judged[0].gates[0].method == "rows, exact binomial"


def test_a_release_proves_floors_and_a_number_without_rows_proves_nothing(pytester: pytest.Pytester) -> None:
    marker = '@pytest.mark.mlrun(floors={"val_roc_auc": 0.6, "gain": 1.0})'

    result = run(pytester, body('mlrun.log_metric("gain", 2.0)'), marker=marker, options=("--mlrun-release",))

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["floor not proven: gain 2 >= 1", "  no rows are behind it: log it with mlrun.evaluate", "  next:*"]
    )


# -- many gates, many seeds --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "m", "judged"),
    [
        (("-k", "base or new1"), 4, 1),
        pytest.param(("-n", "2", "-p", "xdist", "--dist", "loadfile"), 4, 4, marks=pytest.mark.slow),
        (("--mlrun-gates", "36"), 36, 4),
    ],
)
def test_primary_gates_share_alpha_whichever_of_them_run(
    pytester: pytest.Pytester, stored_runs: Runs, options: tuple[str, ...], m: int, judged: int
) -> None:
    marker = '@pytest.mark.mlrun(primary="val_log_loss")'

    result = run(pytester, *[body(AGAINST)] * 4, marker=marker, options=options)

    result.assert_outcomes(passed=judged + 1, deselected=4 - judged)
    gates = [found.gates[0] for found in stored_runs() if found.gates]
    assert [(one.m, one.primary) for one in gates] == [(m, True)] * judged


def test_a_procedure_is_compared_over_the_seeds_of_both(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makepyfile(
        """
        from model import evaluate

        def test_base(mlrun):
            for run in mlrun.seeds(10): evaluate(run, 0.2, seed=run.seed)

        def test_new(mlrun):
            for run in mlrun.seeds(3): evaluate(run, 1.0, seed=run.seed)
            mlrun.assert_no_regression("val_log_loss", against="test_base", margin=0.01, claim="procedure")
        """
    )

    result = pytester.runpytest("--mlrun")

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["E*3 new against 10 stored seeds, rows and seeds, n=2,000 (*; rows and seeds weigh alike at n[*]=*: add rows"]
    )
    verdict = next(found for found in stored_runs() if found.gates).gates[0]
    assert (verdict.decision, verdict.claim) == ("FAIL", "this procedure")


RETRAINED = """
from model import evaluate

def test_base(mlrun):
    for run in mlrun.seeds(4): evaluate(run, 0.4, seed=run.seed)
    evaluate(mlrun, 0.4)

def test_wide(mlrun):
    evaluate(mlrun, 0.4, seed=7)
    mlrun.assert_no_regression("val_log_loss", against="test_base", margin=0.1)

def test_narrow(mlrun):
    evaluate(mlrun, 0.4, seed=7)
    mlrun.assert_no_regression("val_log_loss", against="test_base", margin=0.0001)
"""


def test_a_margin_that_another_seed_alone_exceeds_warns_in_the_users_line(
    pytester: pytest.Pytester, stored_runs: Runs
) -> None:
    pytester.makepyfile(test_it=RETRAINED)

    result = pytester.runpytest("--mlrun", "-W", "ignore::pytest_mlrun.InconclusiveGateWarning", "-W", NOT_OURS)

    result.assert_outcomes(passed=3, warnings=1)
    told = "the margin 0.0001 is less than 0.0*, which another seed alone moves it by (4 stored seeds): widen it, or *"
    result.stdout.fnmatch_lines([f"*test_it.py:13: NarrowMarginWarning: val_log_loss: {told}"])
    wide, narrow = (found.gates[0].reason for found in stored_runs() if found.gates)
    assert "another seed" in narrow
    assert "another seed" not in wide
    assert "; rows and seeds weigh alike at n*=" in wide


def test_a_drop_that_must_be_seen_fails_where_no_rows_could_show_it(pytester: pytest.Pytester) -> None:
    gate = AGAINST.replace("0.01", "0.01, must_detect=0.05")

    result = run(pytester, body(f'mlrun.log_metric("val_log_loss", 0.2); {gate}'))

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "E*val_log_loss: underpowered: it must detect a drop of 0.05, and no rows are kept that could show one",
            "E*next:  evaluate more rows, or ask for less: must_detect, where it is written",
        ]
    )


@pytest.mark.slow
def test_one_tree_more_is_released_and_so_is_the_same_model_and_without_the_baseline_it_is_red(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(
        """
        import pytest
        from sklearn.datasets import make_classification
        from sklearn.ensemble import RandomForestClassifier

        def train(run, trees):
            rows, truth = make_classification(2500, n_informative=6, flip_y=0.05, random_state=1)
            model = RandomForestClassifier(trees, random_state=run.seed).fit(rows[:500], truth[:500])
            scores = model.predict_proba(rows[500:])[:, 1]
            run.evaluate("test", truth[500:], scores, metrics=["brier", "accuracy", "roc_auc"])

        def test_base(mlrun):
            train(mlrun, 200)

        @pytest.mark.parametrize(("trees", "margin"), [(201, 0.01), (200, 0)])
        def test_new(mlrun, trees, margin):
            train(mlrun, trees)
            for metric in ("test_brier", "test_accuracy", "test_roc_auc"):
                mlrun.assert_no_regression(metric, against="test_base", margin=margin)
        """
    )

    pytester.runpytest("--mlrun", "--mlrun-release").assert_outcomes(passed=3)

    shutil.rmtree(pytester.path / ".pytest_mlrun")
    alone = pytester.runpytest("--mlrun", "--mlrun-release", "-k", "test_new")
    alone.assert_outcomes(failed=2, deselected=1)
    alone.stdout.fnmatch_lines(["E*no baseline: no run answers to 'test_base'"])


# -- models and committed files ----------------------------------------------------------------------------------------

KEPT = """
    from sklearn.dummy import DummyClassifier
    mlrun.log_model(DummyClassifier().fit([[0.0], [1.0]], [0, 1]))
"""
MODEL_GATE = 'mlrun.assert_no_regression("val_log_loss", against="churn@production", margin=0.01)'


@pytest.fixture
def in_production(pytester: pytest.Pytester) -> pytest.Pytester:
    """A checkout whose baseline is ``churn@production``, in the registry and in the store."""
    pytester.makeconftest("")
    pytester.path.joinpath("mlrun.toml").touch()
    pytester.path.joinpath(".gitignore").write_text(".pytest_mlrun/\n__pycache__/\n.pytest_cache/\n")
    pytester.makepyfile(test_it=BASE.rstrip() + KEPT)
    origin = pytester.path.parent / f"{pytester.path.name}-origin"
    for command in (
        ["git", "init", "-q", "--bare", str(origin)],
        ["git", "init", "-q"],
        ["git", "config", "user.name", "Ada"],
        ["git", "config", "user.email", "ada@example.org"],
        ["git", "remote", "add", "origin", str(origin)],
        ["git", "add", "."],
        ["git", "commit", "-qm", "Train"],
    ):
        assert pytester.run(*command).ret == 0
    assert pytester.runpytest("--mlrun").ret == 0
    for command in (
        ["pytest-mlrun", "register", "test_base", "--name", "churn"],
        ["git", "push", "-q", "origin", "HEAD:main", "refs/mlrun/*:refs/mlrun/*"],
        ["pytest-mlrun", "promote", "churn/1", "production", "--note", "first"],
    ):
        assert pytester.run(*command).ret == 0
    return pytester


def judge(pytester: pytest.Pytester, noise: float, gate: str = MODEL_GATE) -> pytest.RunResult:
    pytester.makepyfile(test_new=f"from model import evaluate\n\ndef test_new(mlrun):\n    {body(gate, noise=noise)}\n")
    return pytester.runpytest("--mlrun", "test_new.py")


def test_a_model_in_production_is_the_baseline_that_the_registry_names(in_production: pytest.Pytester) -> None:
    judge(in_production, 0.0).assert_outcomes(passed=1)

    judge(in_production, 1.0).assert_outcomes(failed=1)


def test_a_fresh_checkout_compares_with_the_file_that_promoting_wrote(in_production: pytest.Pytester) -> None:
    in_production.path.joinpath(".pytest_mlrun").rename(in_production.path / "elsewhere")

    judge(in_production, 0.0).assert_outcomes(passed=1)

    judge(in_production, 1.0).assert_outcomes(failed=1)
    named = MODEL_GATE.replace("churn@production", "mlrun-baselines/churn@production.mlrun")
    judge(in_production, 0.0, named).assert_outcomes(passed=1)


def test_deleting_the_committed_baseline_turns_the_job_red(in_production: pytest.Pytester) -> None:
    in_production.path.joinpath(".pytest_mlrun").rename(in_production.path / "elsewhere")
    in_production.path.joinpath("mlrun-baselines", "churn@production.mlrun").unlink()

    result = judge(in_production, 0.0)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E*RunNotFoundError: no baseline: churn@production is run *, which is not in this store",
            "E*next:  commit it where its store is: pytest-mlrun baseline init churn@production",
        ]
    )
    result.stdout.no_fnmatch_line("*pytest_mlrun/*.py*")


def test_a_committed_baseline_of_another_run_is_refused(in_production: pytest.Pytester) -> None:
    assert judge(in_production, 1.0, "pass").ret == 0
    file = in_production.path / "mlrun-baselines" / "churn@production.mlrun"
    assert in_production.run("pytest-mlrun", "export", "test_new", "-o", str(file)).ret == 0
    in_production.path.joinpath(".pytest_mlrun").rename(in_production.path / "elsewhere")

    result = judge(in_production, 0.0)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E*the baseline of churn@production is not the run that was registered"])


def test_an_alias_that_nobody_holds_is_said(in_production: pytest.Pytester) -> None:
    result = judge(in_production, 0.0, MODEL_GATE.replace("@production", "@staging"))

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E*no version of 'churn' is 'staging'*", "E*aliases: production = churn/1"])
