"""A test marked mlrun_select judges the best run of the experiments before it, and says on which rows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from pytest_mlrun import RunRecord

if TYPE_CHECKING:
    from tests.conftest import Runs

SWEEP = """
    import pytest

    @pytest.mark.mlrun(experiment="churn", seed=7)
    @pytest.mark.parametrize("depth, auc, loss", [(2, 0.7, 0.2), (3, 0.9, 0.4), (4, 0.8, 0.3)])
    def test_sweep(mlrun, depth, auc, loss):
        mlrun.log_metrics({"val_auc": auc, "val_loss": loss})
        mlrun.set_tag("size", "small")
        mlrun.log_text(f"depth {depth}", "note.txt")
"""
WINNER = """
    import pytest

    @pytest.mark.mlrun(experiment="churn", seed=7)
    @pytest.mark.mlrun_select(%s)
    def test_winner(mlrun):
        print("won", mlrun.winner.name)
"""


def winner_of(runs: list[RunRecord]) -> RunRecord:
    return next(run for run in runs if run.name == "test_winner")


def said(run: RunRecord, fact: str) -> object:
    return json.loads(run.context[f"selection.{fact}"])


def test_it_runs_after_all_experiments_and_keeps_every_other_order(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_a=WINNER % 'by="val_auc"',
        test_b="def test_plain(): pass",
        test_c=SWEEP,
    )

    result = pytester.runpytest_inprocess("--mlrun", "-v")

    assert [line.split("::")[1].split()[0] for line in result.stdout.lines if " PASSED" in line] == [
        "test_plain",
        "test_sweep[2-0.7-0.2]",
        "test_sweep[3-0.9-0.4]",
        "test_sweep[4-0.8-0.3]",
        "test_winner",
    ]


def test_without_mlrun_it_is_skipped_where_it_stands(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_a=WINNER % 'by="val_auc"', test_b="def test_plain(): pass")

    result = pytester.runpytest_inprocess("-v")

    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["test_a.py::test_winner SKIPPED*", "test_b.py::test_plain PASSED*"])


def test_the_marker_says_which_run_wins(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    rules = {
        'by="val_auc"': "test_sweep[3-0.9-0.4]",
        'by="val_loss"': "test_sweep[2-0.7-0.2]",
        'by="val_loss", goal="max"': "test_sweep[3-0.9-0.4]",
        'by="val_loss", where="val_auc >= 0.75"': "test_sweep[4-0.8-0.3]",
        'experiment="churn", by="val_auc", where="params.depth != 3 and tags.size == small"': "test_sweep[4-0.8-0.3]",
    }
    pytester.makepyfile(**{f"test_{index}": WINNER % rule for index, rule in enumerate(rules)}, test_sweep=SWEEP)

    pytester.runpytest_inprocess("--mlrun").assert_outcomes(passed=8)

    winners = [said(run, "winner_name") for run in stored_runs() if run.name == "test_winner"]
    assert winners == list(rules.values())


def test_the_leaderboard_decides_what_the_marker_leaves_out(pytester: pytest.Pytester) -> None:
    pytester.path.joinpath("mlrun.toml").write_text('[leaderboard.churn]\nby = "val_loss"\nwhere = "val_auc > 0.75"\n')
    pytester.makepyfile(test_a=WINNER % 'experiment="churn"', test_c=SWEEP)

    result = pytester.runpytest_inprocess("--mlrun", "-s")

    assert "won test_sweep[4-0.8-0.3]" in result.stdout.str()


def test_another_metric_does_not_inherit_the_leaderboards_constraint(pytester: pytest.Pytester) -> None:
    pytester.path.joinpath("mlrun.toml").write_text('[leaderboard.churn]\nby = "val_loss"\nwhere = "val_auc < 0.1"\n')
    pytester.makepyfile(test_a=WINNER % 'experiment="churn", by="val_auc"', test_c=SWEEP)

    result = pytester.runpytest_inprocess("--mlrun", "-s")

    assert "won test_sweep[3-0.9-0.4]" in result.stdout.str()


def test_the_winner_has_what_its_run_recorded(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makepyfile(
        test_c=SWEEP + '        mlrun.log_model({"depth": depth})\n',
        test_z="""
        import pytest

        @pytest.mark.mlrun_select(experiment="churn", by="val_auc")
        def test_winner(mlrun):
            winner = mlrun.winner
            assert (winner.name, winner.experiment, winner.seed) == ("test_sweep[3-0.9-0.4]", "churn", 7)
            assert dict(winner.params) == {"depth": 3, "auc": 0.9, "loss": 0.4}
            assert dict(winner.metrics) == {"val_auc": 0.9, "val_loss": 0.4}
            assert dict(winner.tags) == {"size": "small"}
            assert winner.load_model() == {"depth": 3}
            assert winner.artifact("note.txt") == b"depth 3"
            mlrun.set_tag("won", winner.run_id)
        """,
    )

    pytester.runpytest_inprocess("--mlrun").assert_outcomes(passed=4)

    runs = stored_runs()
    assert winner_of(runs).tags["won"] == next(run.run_id for run in runs if run.params.get("depth") == "3")


def test_a_pickled_winner_is_loaded_only_on_an_explicit_word(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        helper="class Odd:\n    __slots__ = ('value',)\n    def __reduce__(self): return (Odd, ())",
        test_c="""
        import pytest
        from helper import Odd

        @pytest.mark.mlrun(experiment="churn")
        def test_sweep(mlrun, monkeypatch):
            monkeypatch.setitem(__import__("sys").modules, "skops", None)
            monkeypatch.setitem(__import__("sys").modules, "skops.io", None)
            mlrun.log_metric("auc", 1)
            mlrun.log_model(Odd())

        @pytest.mark.mlrun_select(experiment="churn", by="auc")
        def test_winner(mlrun):
            assert isinstance(mlrun.winner.load_model(unsafe=True), Odd)
            mlrun.winner.load_model()
        """,
    )

    result = pytester.runpytest_inprocess("--mlrun")

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["E * model 'model.pkl' is a pickle: loading it runs code"])


def test_the_record_says_who_could_win_by_which_rule_and_why_not(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makepyfile(
        test_a=WINNER % 'by="val_loss", where="val_auc > 0.75"',
        test_c=SWEEP,
        test_d="""
        import pytest

        @pytest.mark.mlrun(experiment="churn", floors={"val_auc": 1})
        def test_broken(mlrun): mlrun.log_metrics({"val_loss": 0.01, "val_auc": 0.99})

        @pytest.mark.mlrun(experiment="churn")
        def test_nan(mlrun): mlrun.log_metrics({"val_loss": float("nan"), "val_auc": 0.99})

        @pytest.mark.mlrun(experiment="churn")
        def test_other(mlrun): mlrun.log_metric("val_auc", 0.99)

        @pytest.mark.mlrun(experiment="elsewhere")
        def test_elsewhere(mlrun): mlrun.log_metrics({"val_loss": 0.001, "val_auc": 0.99})
        """,
    )

    result = pytester.runpytest_inprocess("--mlrun")

    result.assert_outcomes(passed=7, failed=1)
    runs = stored_runs()
    run, best = winner_of(runs), next(run for run in runs if run.params.get("depth") == "4")
    assert (said(run, "winner"), said(run, "winner_digest")) == (best.run_id, best.digest)
    assert [said(run, name) for name in ("experiment", "by", "goal", "where")] == [
        "churn",
        "val_loss",
        "min",
        "val_auc > 0.75",
    ]
    assert [said(run, name) for name in ("source", "candidates", "eligible")] == ["session", 6, 2]
    listed = json.loads(open_artifact(pytester, run, "selection.json"))
    assert {one["name"]: one["why_not"] for one in listed} == {
        "test_sweep[2-0.7-0.2]": "not val_auc > 0.75",
        "test_sweep[3-0.9-0.4]": "",
        "test_sweep[4-0.8-0.3]": "",
        "test_broken": "failed: gate",
        "test_nan": "its val_loss is NaN",
        "test_other": "has no val_loss",
    }


def open_artifact(pytester: pytest.Pytester, run: RunRecord, name: str) -> bytes:
    from pytest_mlrun import open_store

    return open_store(pytester.path / ".pytest_mlrun").read_artifact(run, name)


def test_without_a_sweep_in_the_session_the_store_is_chosen_from(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makepyfile(test_a=WINNER % 'by="val_auc"', test_c=SWEEP)
    pytester.runpytest_inprocess("--mlrun", "test_c.py").assert_outcomes(passed=3)

    pytester.runpytest_inprocess("--mlrun", "test_a.py").assert_outcomes(passed=1)

    run = winner_of(stored_runs())
    assert [said(run, name) for name in ("source", "winner_name")] == ["store", "test_sweep[3-0.9-0.4]"]


def test_nobody_wins_out_of_a_damaged_store(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_a=WINNER % 'by="val_auc"', test_c=SWEEP)
    pytester.runpytest_inprocess("--mlrun", "test_c.py").assert_outcomes(passed=3)
    (segment,) = (pytester.path / ".pytest_mlrun" / "seg").iterdir()
    segment.write_bytes(segment.read_bytes().replace(b"depth 3", b"depth 4").replace(b"small", b"smalk"))

    result = pytester.runpytest_inprocess("--mlrun", "test_a.py")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [
            "*the best run of 'churn' may be unreadable: the store is damaged",
            f"*where: {segment}",
            "*next:  see: pytest-mlrun verify; or run the sweep in this session",
        ]
    )


def test_a_better_run_of_an_earlier_session_does_not_win_over_this_ones(
    pytester: pytest.Pytester, stored_runs: Runs
) -> None:
    pytester.makepyfile(test_a=WINNER % 'by="val_auc"', test_c=SWEEP)
    pytester.runpytest_inprocess("--mlrun", "test_c.py").assert_outcomes(passed=3)

    pytester.runpytest_inprocess("--mlrun", "-k", "winner or 0.7").assert_outcomes(passed=2, deselected=2)

    run = winner_of(stored_runs())
    assert [said(run, name) for name in ("source", "winner_name")] == ["session", "test_sweep[2-0.7-0.2]"]


def test_a_selection_is_no_candidate_of_the_next_one(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makepyfile(
        test_c=SWEEP,
        test_d="""
        import pytest
        pytestmark = [
            pytest.mark.mlrun(experiment="churn"), pytest.mark.mlrun_select(experiment="churn", by="val_auc")
        ]

        def test_first(mlrun): mlrun.log_metric("val_auc", 0.999)
        def test_winner(mlrun): pass
        """,
    )

    pytester.runpytest_inprocess("--mlrun").assert_outcomes(passed=5)

    assert said(winner_of(stored_runs()), "winner_name") == "test_sweep[3-0.9-0.4]"


def test_under_another_experiments_name_the_sweep_of_that_name_is_chosen_from(
    pytester: pytest.Pytester, stored_runs: Runs
) -> None:
    pytester.path.joinpath("mlrun.toml").write_text('[leaderboard.churn]\nby = "val_loss"\n')
    pytester.makepyfile(test_a=WINNER % 'experiment="churn"', test_c=SWEEP)

    pytester.runpytest_inprocess("--mlrun", "--mlrun-experiment", "trial").assert_outcomes(passed=4)

    run = winner_of(stored_runs())
    assert [said(run, name) for name in ("experiment", "winner_name")] == ["trial", "test_sweep[2-0.7-0.2]"]


def test_markers_of_module_and_function_say_it_together(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makepyfile(
        test_c=SWEEP,
        test_d="""
        import pytest
        pytestmark = pytest.mark.mlrun_select(experiment="churn", by="val_auc", where="val_auc < 0.85")

        @pytest.mark.mlrun_select(by="val_loss")
        def test_winner(mlrun): pass

        def test_plain(): pass
        """,
    )

    pytester.runpytest_inprocess("--mlrun").assert_outcomes(passed=5)

    run = winner_of(stored_runs())
    assert [said(run, name) for name in ("by", "where", "winner_name")] == [
        "val_loss",
        "val_auc < 0.85",
        "test_sweep[2-0.7-0.2]",
    ]


# -- mistakes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "lines"),
    [
        (
            'by="val_auc", were="x > 1"',
            ["*test_winner: the mlrun_select marker takes no argument 'were'; did you mean 'where'?", "*next:*"],
        ),
        ('by="val_auc", where="val_auc => 1"', ["*the mlrun_select marker: where: '=>' is no operator*", "*where:*"]),
        ("", ["*test_winner: nothing says which metric chooses the winner of 'churn'", "*next:*mlrun_select(by=*"]),
        ('by="score_x"', ["*test_winner: is a higher or a lower 'score_x' better?", "*next:*goal=*"]),
    ],
)
def test_a_rule_that_cannot_be_meant_stops_the_session_before_anything_trains(
    pytester: pytest.Pytester, stored_runs: Runs, rule: str, lines: list[str]
) -> None:
    pytester.makepyfile(test_a=WINNER % rule, test_c=SWEEP)

    result = pytester.runpytest_inprocess("--mlrun")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(lines)
    assert not pytester.path.joinpath(".pytest_mlrun").exists()


def test_the_marker_on_a_test_without_mlrun_is_a_mistake(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("import pytest\n\n@pytest.mark.mlrun_select(by='auc')\ndef test_winner(): pass")

    result = pytester.runpytest_inprocess()

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [
            "*test_winner: marked mlrun_select, but it does not take the mlrun fixture",
            "*next: *def test_winner(mlrun, …)*",
        ]
    )


def test_nothing_to_choose_is_one_clear_error(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makepyfile(
        test_1=WINNER % 'experiment="chrun", by="val_auc"',
        test_2=WINNER % 'by="val_aucc", goal="max"',
        test_3=WINNER % 'by="val_auc", where="val_loss < 0.1"',
        test_c=SWEEP,
    )

    result = pytester.runpytest_inprocess("--mlrun")

    result.assert_outcomes(passed=3, errors=3)
    text = result.stdout.str()
    assert (
        """
no run of 'chrun' to choose a winner from
  neither this session nor the store has one
  where: test_1.py::test_winner
  next:  run its experiments with this test, or correct mlrun_select(experiment=…)
"""
        in text
    )
    assert (
        """
no run of 'churn' has a metric 'val_aucc'; did you mean 'val_auc'?
  its runs log: val_auc, val_loss
  where: test_2.py::test_winner
  next:  name one of them in mlrun_select(by=…)
"""
        in text
    )
    assert (
        """
no run of 'churn' can win: val_loss < 0.1
  4 runs of this session: 3 not val_loss < 0.1, 1 error
  test_sweep[3-0.9-0.4]: val_auc 0.9, val_loss 0.4
  test_sweep[4-0.8-0.3]: val_auc 0.8, val_loss 0.3
  test_sweep[2-0.7-0.2]: val_auc 0.7, val_loss 0.2
  where: test_3.py::test_winner
  next:  relax where in mlrun_select, or train runs that satisfy it
"""
        in text
    )
    assert "Traceback" not in text
    ended = [(run.status, run.outcome) for run in stored_runs() if run.name == "test_winner"]
    assert ended == [("failed", "error")] * 3


def test_a_sweep_that_broke_its_gates_has_no_winner(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_a=WINNER % 'by="val_auc"',
        test_c="""
        import pytest

        @pytest.mark.mlrun(experiment="churn", floors={"val_auc": 0.99})
        @pytest.mark.parametrize("auc", [0.7, 0.8])
        def test_sweep(mlrun, auc): mlrun.log_metric("val_auc", auc)
        """,
    )

    result = pytester.runpytest_inprocess("--mlrun")

    result.assert_outcomes(failed=2, errors=1)
    result.stdout.fnmatch_lines(
        ["no run of 'churn' passed, so none can win", "  2 runs of this session: 2 failed: gate"], consecutive=True
    )


def test_a_run_that_the_same_module_still_shares_cannot_win_yet(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        pytestmark = pytest.mark.mlrun(experiment="churn")

        def test_shared(mlrun_module): mlrun_module.log_metric("auc", 1)

        @pytest.mark.mlrun_select(experiment="churn", by="auc")
        def test_winner(mlrun): pass
        """
    )

    result = pytester.runpytest_inprocess("--mlrun")

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            "no run of 'churn' passed, so none can win",
            "  1 run of this session: 1 running",
            "  where: *::test_winner",
            "  next:  a run that a module shares finishes with the module: judge its winner in another one",
        ],
        consecutive=True,
    )


def test_a_winner_without_the_marker_is_a_mistake(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_run(mlrun): mlrun.winner")

    result = pytester.runpytest_inprocess("--mlrun")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E * run test_run has no winner: its test is not marked mlrun_select",
            "E * where: *test_run",
            "E * next:  write @pytest.mark.mlrun_select(experiment=*, by=*) above the test",
        ]
    )


# -- the rows that chose -----------------------------------------------------------------------------------------------

EVALUATED = """
    import pytest

    LABELS = [0, 1, 1, 0, 1, 0]

    def ids(*numbers): return [f"c{n}" for n in numbers]

    @pytest.mark.mlrun(experiment="churn")
    @pytest.mark.parametrize("score", [0.6, 0.9])
    def test_sweep(mlrun, score):
        rows = [score if label else 1 - score for label in LABELS]
        mlrun.evaluate("val", LABELS, rows, metrics=["log_loss"], row_ids=ids(0, 1, 2, 3, 4, 5))

    @pytest.mark.mlrun(experiment="churn")
    @pytest.mark.mlrun_select(experiment="churn", by="val_log_loss")
    def test_winner(mlrun):
        %s
"""


def test_rows_that_chose_the_winner_are_told_from_fresh_ones(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    evaluate = 'mlrun.evaluate("{}", {}, LABELS, metrics=["accuracy"], {})'
    splits = {
        "fresh": ("LABELS", "row_ids=ids(6, 7, 8, 9, 10, 11)", 0),
        "same": ("LABELS", "row_ids=ids(0, 1, 2, 3, 4, 5)", 6),
        "reordered": ("LABELS[::-1]", "row_ids=ids(5, 4, 3, 2, 1, 0), groups=list('aabbcc')", 6),
        "half": ("LABELS", "row_ids=ids(0, 1, 2, 8, 9, 10)", 3),
        "other_table": ("[1] * 6", "row_ids=ids(0, 1, 2, 3, 4, 5)", 0),
        "positions": ("LABELS", "", 0),
    }
    body = [evaluate.format(split, labels, more) for split, (labels, more, _) in splits.items()]
    pytester.makepyfile(EVALUATED % "; ".join(body))

    result = pytester.runpytest_inprocess("--mlrun")

    result.assert_outcomes(passed=3)
    run = winner_of(stored_runs())
    assert {split: said(run, f"reused.{split}") for split in splits} == {
        split: {"rows": reused, "of": 6} for split, (_, _, reused) in splits.items()
    }
    warned = [line.split("'")[1] for line in result.stdout.lines if line.startswith("warning: REUSED")]
    assert warned == ["half", "reordered", "same"]


def test_the_summary_and_show_tell_reused_rows(pytester: pytest.Pytester) -> None:
    body = 'mlrun.evaluate("test", LABELS, LABELS, metrics=["accuracy"], row_ids=ids(0, 1, 2, 8, 9, 10))'
    pytester.makepyfile(EVALUATED % body)

    result = pytester.runpytest_inprocess("--mlrun")
    shown = pytester.run("pytest-mlrun", "show", "test_winner")

    result.stdout.fnmatch_lines(
        [
            "test_winner judged test_sweep[[]0.9] (????????): lowest val_log_loss, 2 of 2 runs could win",
            "warning: REUSED: 3 of 6 rows of 'test' chose the winner: its score there is no test result  (test_winner)",
        ]
    )
    shown.stdout.fnmatch_lines(
        [
            "selected     test_sweep[[]0.9] (????????)  ·  lowest val_log_loss",
            "             2 of 2 runs of its session could win",
            "rows         REUSED: 3 of 6 rows of 'test' chose the winner: its score there is no test result",
        ],
        consecutive=True,
    )


@pytest.mark.parametrize(
    ("by", "told"),
    [("val_accuracy", ["final_*"]), ("test_accuracy", ["test_*"]), ("final_accuracy", ["val_*"])],
)
def test_metrics_of_a_sweep_on_the_rows_that_chose_its_winner_are_flagged_as_no_test_results(
    pytester: pytest.Pytester, stored_runs: Runs, by: str, told: list[str]
) -> None:
    pytester.makepyfile(
        f"""
        import pytest

        LABELS = [0, 1, 1, 0, 1, 0]

        @pytest.mark.mlrun(experiment="churn")
        @pytest.mark.parametrize("depth", [1, 2])
        def test_sweep(mlrun, depth):
            for split, ids in (("val", range(6)), ("final", range(6)), ("test", range(10, 16))):
                mlrun.evaluate(split, LABELS, [0] * depth + LABELS[depth:], metrics=["accuracy"], row_ids=list(ids))

        @pytest.mark.mlrun_select(experiment="churn", by="{by}")
        def test_winner(mlrun): pass
        """
    )

    result = pytester.runpytest_inprocess("--mlrun")

    assert [line.split("the ")[-1] for line in result.stdout.lines if line.startswith("warning: REUSED")] == [
        f"{metrics} metrics of 2 runs are no test results  (test_winner)" for metrics in told
    ]
    assert said(winner_of(stored_runs()), "worn") == {metrics.removesuffix("_*"): 2 for metrics in told}


def test_rows_without_ids_are_the_same_if_all_labels_are(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makepyfile(
        """
        import pytest

        LABELS = [0, 1, 1, 0, 1, 0]

        @pytest.mark.mlrun(experiment="churn")
        def test_sweep(mlrun): mlrun.evaluate("val", LABELS, LABELS, metrics=["accuracy"])

        @pytest.mark.mlrun(experiment="churn")
        @pytest.mark.mlrun_select(experiment="churn", by="val_accuracy")
        def test_winner(mlrun):
            mlrun.evaluate("again", LABELS, LABELS, metrics=["accuracy"])
            mlrun.evaluate("test", LABELS[::-1], LABELS, metrics=["accuracy"])
        """
    )

    pytester.runpytest_inprocess("--mlrun").assert_outcomes(passed=2)

    run = winner_of(stored_runs())
    assert (said(run, "reused.again"), said(run, "reused.test")) == ({"rows": 6, "of": 6}, {"rows": 0, "of": 6})


def test_a_metric_logged_by_hand_leaves_its_rows_unknown(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.mlrun(experiment="churn")
        def test_sweep(mlrun): mlrun.log_metric("val_auc", 0.9)

        @pytest.mark.mlrun(experiment="churn")
        @pytest.mark.mlrun_select(experiment="churn", by="val_auc")
        def test_winner(mlrun): mlrun.evaluate("test", [0, 1], [0, 1], metrics=["accuracy"])
        """
    )

    pytester.runpytest_inprocess("--mlrun").assert_outcomes(passed=2)
    shown = pytester.run("pytest-mlrun", "show", "test_winner")

    assert "selection.reused.test" not in winner_of(stored_runs()).context
    shown.stdout.fnmatch_lines(["rows         unknown which rows chose it: evaluate did not compute val_auc"])
