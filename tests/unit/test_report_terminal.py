"""The summary at the end of a session says what a person needs to know, and no more."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_mlrun.records.project import Goal, Leaderboard
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.records.verdict import Verdict
from pytest_mlrun.report.terminal import render_summary
from pytest_mlrun.rules.gates import judge_floor

MakeRun = Callable[..., RunRecord]
BOARD = {"churn": Leaderboard("churn", by="val_auc", where="val_f1 >= 0.5")}


def _render(
    runs: Sequence[RunRecord],
    *,
    verbosity: int = 0,
    boards: dict[str, Leaderboard] | None = None,
    goals: dict[str, Goal] | None = None,
    store: Path | None = None,
    width: int = 100,
    recovered: int = 0,
) -> list[str]:
    lines = render_summary(
        runs,
        verbosity=verbosity,
        width=width,
        leaderboards=boards or {},
        store_path=store or Path.cwd() / ".pytest_mlrun",
        recovered=recovered,
        goals=goals,
    )
    return [text for text, _ in lines]


def test_quiet_says_nothing(make_run: MakeRun) -> None:
    assert _render([make_run()], verbosity=-1) == []


def test_a_session_without_runs_says_nothing() -> None:
    assert _render([]) == []


def test_a_sweep_shows_what_varies_what_was_reached_and_the_best(make_run: MakeRun) -> None:
    runs = [
        make_run("a", params={"lr": "0.1", "seed": "1"}, metrics={"val_auc": 0.8, "val_f1": 0.6}),
        make_run("b", params={"lr": "0.2", "seed": "1"}, metrics={"val_auc": 0.9, "val_f1": 0.55}),
        make_run("c", params={"lr": "0.4", "seed": "1"}, metrics={"val_auc": 0.95, "val_f1": 0.4}),
    ]

    assert _render(runs, boards=BOARD) == [
        "mlrun: 3 runs of churn (3 passed)",
        "   name  outcome   lr  val_auc  val_f1",
        "   a     passed   0.1   0.8000  0.6000",
        "*  b     passed   0.2   0.9000  0.5500",
        "   c     passed   0.4   0.9500  0.4000",
        "* best: highest val_auc where val_f1 >= 0.5",
        "store: .pytest_mlrun  ·  pytest-mlrun top churn",
    ]


def test_every_failed_gate_has_its_line(make_run: MakeRun) -> None:
    low = judge_floor("val_auc", 0.8121, 0.83)
    fine = judge_floor("val_f1", 0.9, 0.5)
    runs = [make_run("a", outcome="failed", cause="gate", gates=(low, fine)), make_run("b", gates=(fine,))]

    lines = _render(runs)

    assert lines[0] == "mlrun: 2 runs of churn (1 passed, 1 failed)"
    assert "floor not met: val_auc 0.8121 < 0.83  (a)" in lines
    assert not any("val_f1" in line for line in lines)


def test_a_long_list_of_failed_gates_ends_in_where_to_see_the_rest(make_run: MakeRun) -> None:
    gates = tuple(judge_floor(f"m{n}", 0.1, 0.5) for n in range(23))

    lines = _render([make_run("a", outcome="failed", cause="gate", gates=gates)])

    assert sum(line.startswith("floor not met") for line in lines) == 20
    assert lines[-2] == "… and 3 gates more: pytest -v, or pytest-mlrun show RUN"


def test_an_inconclusive_gate_is_shown_and_breaks_nothing(make_run: MakeRun) -> None:
    verdict = Verdict("floor", "val_auc", "INCONCLUSIVE", calibrated=True, method="rows", estimate=0.5, bound=0.4)

    lines = render_summary(
        [make_run("a", gates=(verdict,))], verbosity=0, width=80, leaderboards={}, store_path=Path.cwd() / "x"
    )

    (shown,) = [line for line in lines if line[0].startswith("INCONCLUSIVE")]
    assert shown[0].endswith("  (a)")
    assert shown[1] == {"yellow": True}


def test_columns_without_room_are_named(make_run: MakeRun) -> None:
    metrics = dict.fromkeys(("metric_one", "metric_two", "metric_three"), 123.4)

    lines = _render([make_run("a-long-name-of-a-run" * 3, metrics=metrics)], width=44)

    assert "no room for: metric_three, metric_two" in lines


def test_what_colour_says_is_said_in_words_too(make_run: MakeRun) -> None:
    runs = [make_run("a", metrics={"val_auc": 1.0, "val_f1": 1.0}), make_run("b", outcome="failed", cause="error")]

    lines = render_summary(runs, verbosity=0, width=80, leaderboards=BOARD, store_path=Path.cwd() / ".pytest_mlrun")

    red = [text for text, markup in lines if markup.get("red")]
    green = [text for text, markup in lines if markup.get("green")]
    assert [("failed" in text) for text in red] == [True, True]
    assert [text[0] for text in green] == ["*", "*"]


def test_many_runs_show_the_best_and_all_that_failed(make_run: MakeRun) -> None:
    runs = [make_run(f"r{n:03}", metrics={"val_auc": n / 100, "val_f1": 1.0}) for n in range(40)]
    runs[3] = make_run("r003", outcome="failed", cause="error")

    lines = _render(runs, boards=BOARD)

    assert [line.split()[1 if line.startswith("*") else 0] for line in lines[2:13]] == [
        *(f"r{n:03}" for n in range(39, 29, -1)),
        "r003",
    ]
    assert lines[13] == "… and 29 more: pytest-mlrun runs --experiment churn"


def test_verbose_shows_every_run_metric_gate_and_error(make_run: MakeRun) -> None:
    metrics = dict.fromkeys(("m1", "m2", "m3", "m4", "m5"), 0.5)
    runs = [make_run(f"r{n}", metrics=metrics, gates=(judge_floor("m1", 0.5, 0.1),)) for n in range(25)]
    runs[0] = make_run("broken", outcome="failed", cause="error", error="E   ValueError: no\n")

    lines = _render(runs, verbosity=1)

    assert lines[1].split() == ["name", "outcome", "duration", "m1", "m2", "m3", "m4", "m5"]
    assert sum(line.startswith("  r") for line in lines) == 24
    assert sum(line.startswith("PASS  m1 floor") for line in lines) == 24
    assert "failed: error: ValueError: no  (broken)" in lines
    assert sum("UNCALIBRATED" in line for line in lines) == 1


def test_gates_that_the_value_alone_decided_are_named_beside_others(make_run: MakeRun) -> None:
    proven = replace(judge_floor("auc", 0.5, 0.1), calibrated=True, require="proof", n=100)
    bare = [judge_floor(f"m{n}", 0.5, 0.1) for n in range(6)]

    [line] = [line for line in _render([make_run(gates=(proven, *bare))], verbosity=1) if "UNCALIBRATED" in line]

    named = "floor of m0, floor of m1, floor of m2, floor of m3, 2 more"
    assert line == f"UNCALIBRATED ({named}): decided by the value alone: no error rate can be stated"


def test_each_experiment_of_a_session_has_its_block(make_run: MakeRun) -> None:
    runs = [make_run("a", experiment="fraud"), make_run("b", experiment="churn")]

    heads = [line for line in _render(runs) if line.startswith("mlrun:")]

    assert heads == ["mlrun: 1 run of churn (1 passed)", "mlrun: 1 run of fraud (1 passed)"]


def test_child_runs_stand_below_their_parent(make_run: MakeRun) -> None:
    parent, other = make_run("search"), make_run("other")
    child = make_run("trial", parent_id=parent.run_id)

    names = [line.split()[0] for line in _render([child, other, parent])[2:5]]

    assert names == ["search", "trial", "other"]


def test_the_goal_of_a_project_beats_the_metric_name(make_run: MakeRun) -> None:
    runs = [make_run("a", metrics={"score": 0.1}), make_run("b", metrics={"score": 0.9})]
    boards = {"churn": Leaderboard("churn", by="score")}

    assert "* best: lowest score" in _render(runs, boards=boards, goals={"score": "min"})
    assert not any("best" in line for line in _render(runs, boards=boards))


def test_a_run_that_did_not_pass_is_not_the_best(make_run: MakeRun) -> None:
    runs = [
        make_run("refused", outcome="failed", cause="gate", metrics={"val_auc": 0.9, "val_f1": 0.9}),
        make_run("good", metrics={"val_auc": 0.8, "val_f1": 0.9}),
        make_run("worse", metrics={"val_auc": 0.7, "val_f1": 0.9}),
    ]

    marked = [line.split()[1] for line in _render(runs, boards=BOARD) if line.startswith("*  ")]

    assert marked == ["good"]


def test_a_leaderboard_that_nobody_meets_says_so(make_run: MakeRun) -> None:
    runs = [make_run("a", metrics={"val_auc": 0.9}), make_run("b", metrics={"val_auc": float("nan"), "val_f1": 1.0})]

    assert "no best run: none passed with highest val_auc where val_f1 >= 0.5" in _render(runs, boards=BOARD)


def test_runs_recovered_from_dead_processes_are_mentioned(make_run: MakeRun) -> None:
    lines = _render([make_run()], recovered=2)

    assert "2 runs of processes that died, kept as orphaned: pytest-mlrun runs --status orphaned" in lines


@pytest.mark.parametrize(
    ("store", "line"),
    [
        (".pytest_mlrun", "store: .pytest_mlrun  ·  pytest-mlrun runs"),
        ("my runs", "store: my runs  ·  pytest-mlrun --store 'my runs' runs"),
        ("../.pytest_mlrun", "store: ../.pytest_mlrun  ·  pytest-mlrun runs"),
        ("/far/away", "store: /far/away  ·  pytest-mlrun --store /far/away runs"),
    ],
)
def test_the_store_line_names_what_the_program_would_not_find(
    store: str, line: str, make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert _render([make_run()], store=(tmp_path / store).resolve())[-1] == line


def test_the_summary_needs_neither_pytest_nor_numpy_nor_pyarrow() -> None:
    code = (
        "import sys, pytest_mlrun.report.terminal;"
        "print([name for name in ('pytest', 'numpy', 'pyarrow', 'sklearn', 'filelock') if name in sys.modules])"
    )

    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "[]"
