"""Each model seen on held-out rows is counted in a committed file; when the looks are spent, nothing is shown."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from pytest_mlrun.cli import main

if TYPE_CHECKING:
    from tests.conftest import Runs

MODEL = """
import numpy as np

def evaluate(run, noise, split="test", **more):
    rng = np.random.default_rng(1)
    truth = (rng.random(500) < 0.4).astype(int)
    logit = 2.0 * truth - 1 + rng.standard_normal(500) + noise * np.random.default_rng(2).standard_normal(500)
    return run.evaluate(split, truth, 1 / (1 + np.exp(-logit)), metrics=["log_loss", "accuracy"], **more)
"""
TOML = '[data.churn]\npath = "churn.csv"\n\n[data.test]\npath = "test.csv"\nrole = "holdout"\nlooks = 2\n'
HEAD = (
    "import pytest\nfrom model import evaluate\n"
    "pytestmark = pytest.mark.mlrun(experiment='churn', data=['churn', 'test'])\n"
)
LOOK = re.compile(r"look (\d) of 2 on holdout [0-9a-f]{4} \(since \d{4}-\d\d-\d\d\)")


@pytest.fixture(autouse=True)
def project(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(model=MODEL)
    pytester.makefile(".toml", mlrun=TOML)
    (pytester.path / "churn.csv").write_text("a\n1\n")
    (pytester.path / "test.csv").write_text("a\n2\n")
    pytester.makeini("[pytest]\npythonpath = .\nfilterwarnings = default\n")
    assert main(["data", "lock"]) == 0


def run(pytester: pytest.Pytester, *bodies: str, options: tuple[str, ...] = ()) -> pytest.RunResult:
    tests = [f"def test_new{place}(mlrun):\n    {body}\n" for place, body in enumerate(bodies)]
    pytester.makepyfile(test_it=HEAD + "\n".join(tests))
    return pytester.runpytest("--mlrun", "-p", "no:cacheprovider", *options)


def ledger(pytester: pytest.Pytester) -> list[dict[str, object]]:
    return [json.loads(line) for line in (pytester.path / "mlrun-ledger.jsonl").read_text().splitlines()]


def test_a_look_is_counted_told_and_shows_no_more_digits_than_chance_leaves(
    pytester: pytest.Pytester, stored_runs: Runs, capsys: pytest.CaptureFixture[str]
) -> None:
    gate = 'assert evaluate(mlrun, 0)["accuracy"] == 0.8; mlrun.assert_floor("test_accuracy", 0.7, require="proof")'

    result = run(pytester, gate, options=("-v", "--junitxml=junit.xml", "--mlrun-junit"))

    result.assert_outcomes(passed=1)
    result.stdout.re_match_lines(
        [
            r"test: look 1 of 2 on holdout [0-9a-f]{4} \(since .*\)  \(test_new0\)",
            r"commit mlrun-ledger.jsonl: it counts the looks",
            r"PASS  test_accuracy floor \| .* 0.8 >= 0.7, 95% CI \[0.7\d*, 0.8\d*\]  \(test_new0\)",
            rf".*{LOOK.pattern}",
        ]
    )
    (record,) = stored_runs()
    (verdict,) = record.gates
    assert record.metrics == {"test_log_loss": 0.44, "test_accuracy": 0.8}
    assert (verdict.estimate, verdict.alpha, verdict.p) == (0.8, 0.025, None)
    assert not [artifact for artifact in record.artifacts if artifact.name.startswith("confusion")]
    evaluated, judged = ledger(pytester)
    assert (evaluated["gate"], evaluated["verdict"], evaluated["digits"]) == ("evaluate test", "", 2)
    assert (judged["gate"], judged["mode"], judged["verdict"]) == ("floor test_accuracy", "proof", "PASS")
    assert judged["after"] == [evaluated["digest"]]
    properties = {
        each.get("name"): each.get("value") for each in ET.parse(pytester.path / "junit.xml").iter("property")
    }
    assert properties["mlrun_metric_test_accuracy"] == "0.8"
    capsys.readouterr()
    assert main(["show", "test_new0"]) == 0
    assert re.search(rf"held out +test: {LOOK.pattern}", capsys.readouterr().out)


def test_the_same_model_is_no_new_look_and_when_they_are_spent_a_new_one_sees_nothing(
    pytester: pytest.Pytester, stored_runs: Runs
) -> None:
    result = run(pytester, *(f"evaluate(mlrun, {noise})" for noise in (0, 0.5, 0, 0.9)))

    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(
        [
            "E*HoldoutSpentError: held-out rows of 'test' are spent: 2 of 2 looks since ????-??-??",
            "E*next:  hold out fresh rows as [[]data.test], then: pytest-mlrun data lock test",
            "held-out rows: test is spent: 2 of 2 looks since ????-??-??  (test_new3)",
        ]
    )
    result.stdout.no_fnmatch_line("*pytest_mlrun/*")
    spent = stored_runs()[-1]
    assert (spent.cause, spent.metrics, len(ledger(pytester))) == ("gate", {}, 2)
    assert not [artifact for artifact in spent.artifacts if artifact.role in {"labels", "predictions"}]


def test_seeds_on_held_out_rows_are_looks_and_their_gate_names_the_last(pytester: pytest.Pytester) -> None:
    loop = "[evaluate(one, one.params['replicate']) for one in mlrun.seeds(until=gate, looks=(2,))]"

    result = run(pytester, f"gate = mlrun.floor('test_accuracy', 0.7); {loop}; mlrun.assert_all(gate)")

    assert [(line["number"], line["gate"]) for line in ledger(pytester)] == [
        (1, "evaluate test"),
        (2, "evaluate test"),
        (2, "floor test_accuracy"),
    ]
    result.stdout.re_match_lines([r"INCONCLUSIVE  test_accuracy floor \| this procedure .*", r".*; look 2 of 2 on .*"])


@pytest.mark.slow
def test_fresh_rows_start_anew(pytester: pytest.Pytester) -> None:
    run(pytester, "evaluate(mlrun, 0)", "evaluate(mlrun, 0.5)")
    (pytester.path / "test.csv").write_text("a\n3\n")
    assert main(["data", "lock"]) == 0

    result = run(pytester, "evaluate(mlrun, 0, row_ids=range(500, 1000))")

    result.stdout.re_match_lines([r"test: look 1 of 2 .*"])


@pytest.mark.slow
def test_rows_that_may_be_held_out_must_say_of_which_data_they_are(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        'evaluate(mlrun, 0, split="val")',
        'evaluate(mlrun, 0, split="val", data="churn")',
        'evaluate(mlrun, 0, split="final", data="test")',
    )

    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(
        [
            "E*DataError: evaluate('val'): nothing says whether these rows are held out",
            'E*next:  write evaluate("val", *, data="churn"), or data="test" for held-out rows',
        ]
    )
    assert [line["gate"] for line in ledger(pytester)] == ["evaluate final"]


def test_a_comparison_on_held_out_rows_spends_its_share_of_alpha(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    against = 'mlrun.assert_no_regression("test_log_loss", against="test_new0", margin=0.02)'

    result = run(pytester, "evaluate(mlrun, 0)", f"evaluate(mlrun, 2.0); {against}")

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.re_match_lines([rf"E .*drop flagged 4 times in 5: .*; {LOOK.pattern}"])
    (verdict,) = stored_runs()[-1].gates
    assert (verdict.alpha, verdict.decision, verdict.p) == (0.025, "FAIL", None)
    assert ledger(pytester)[-1]["verdict"] == "FAIL"


@pytest.mark.slow
def test_a_ledger_that_was_committed_and_is_gone_leaves_the_last_look(
    pytester: pytest.Pytester, git: Callable[..., str]
) -> None:
    pytester.makefile(".toml", mlrun=TOML.replace("looks = 2", "looks = 9"))
    (pytester.path / ".gitignore").write_text("__pycache__/\n")
    pytester.makepyfile(test_it=HEAD + "def test_new0(mlrun): evaluate(mlrun, 0)\n")
    git("add", "-A")
    git("commit", "-qm", "One")
    pytester.runpytest("--mlrun", "--mlrun-clean-tree", "-p", "no:cacheprovider").assert_outcomes(passed=1)
    git("add", "-A")
    git("commit", "-qm", "Look")
    (pytester.path / "mlrun-ledger.jsonl").unlink()

    result = run(pytester, "evaluate(mlrun, 0.5)", options=("--mlrun-store=other",))

    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(
        [
            "warning: mlrun-ledger.jsonl cannot be believed: lines that were committed are missing",
            "test: look 9 of 9 on holdout *",
        ]
    )
    result.stdout.fnmatch_lines(
        ["*LedgerWarning: mlrun-ledger.jsonl: it cannot be believed: lines that were committed*"]
    )


def test_a_role_with_a_typo_is_an_error(pytester: pytest.Pytester) -> None:
    pytester.makefile(".toml", mlrun=TOML.replace('"holdout"', '"hold-out"'))

    result = run(pytester, "evaluate(mlrun, 0)")

    result.stdout.fnmatch_lines(['*role* must be "holdout", not *hold-out*'])


@pytest.mark.slow
def test_workers_beside_each_other_lose_no_look(pytester: pytest.Pytester) -> None:
    pytester.makefile(".toml", mlrun=TOML.replace("looks = 2", "looks = 12"))
    bodies = [f"evaluate(mlrun, {noise / 10})" for noise in range(12)]
    tests = [f"def test_new{place}(mlrun):\n    {body}\n" for place, body in enumerate(bodies)]
    pytester.makepyfile(test_it=HEAD + "\n".join(tests))

    result = pytester.runpytest_subprocess("--mlrun", "-p", "xdist", "-n", "2")

    result.assert_outcomes(passed=12)
    assert {line["number"] for line in ledger(pytester)} == set(range(1, 13))
