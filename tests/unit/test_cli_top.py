"""``pytest-mlrun top`` ranks by a rule that it states."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_mlrun.cli import main
from pytest_mlrun.cli.console import Console
from pytest_mlrun.records.run import RunRecord

MakeRun = Callable[..., RunRecord]
WriteRuns = Callable[..., Path]
MakeConsole = Callable[..., Console]
BOARD = '[leaderboard.churn]\nby = "val_loss"\nwhere = "val_auc >= 0.6"\n'


@pytest.fixture
def sweep(make_run: MakeRun, write_runs: WriteRuns) -> None:
    """Runs of which some can win and each of the others has another reason not to."""
    write_runs(
        [
            make_run("good", metrics={"val_loss": 0.2, "val_auc": 0.8, "odd": 1.0}),
            make_run("best", metrics={"val_loss": 0.1, "val_auc": 0.7, "odd": 2.0}),
            make_run("cheat", metrics={"val_loss": 0.0, "val_auc": 0.5, "odd": 3.0}),
            make_run("lost", metrics={"val_loss": math.nan, "val_auc": 0.9}),
            make_run("silent", metrics={"val_auc": 0.9}),
            make_run("broken", status="failed", outcome="failed", metrics={"val_loss": 0.0, "val_auc": 1.0}),
            make_run("elsewhere", experiment="fraud", metrics={"val_loss": 0.0}),
        ]
    )


@pytest.mark.usefixtures("sweep")
@pytest.mark.parametrize(
    ("options", "names"),
    [
        (["--by", "val_loss"], ["cheat", "best", "good"]),
        (["--by", "val_auc"], ["lost", "silent", "good", "best", "cheat"]),
        (["--by", "val_loss", "--goal", "max"], ["good", "best", "cheat"]),
        (["--by", "val_loss", "--where", "val_auc >= 0.6"], ["best", "good"]),
        (["--by", "val_loss", "--limit", "1"], ["cheat"]),
        (["--by", "val_loss", "--limit", "0"], ["cheat", "best", "good"]),
        (["--by", "odd", "--goal", "min"], ["good", "best", "cheat"]),
    ],
    ids=lambda value: " ".join(value) if value[0].startswith("--") else "",
)
def test_the_command_line_says_what_is_best(options: list[str], names: list[str], make_console: MakeConsole) -> None:
    console = make_console()

    code = main(["top", "churn", "--json", *options], console=console)

    found = [json.loads(line) for line in _text(console.out).splitlines()]
    assert code == 0
    assert [run["name"] for run in found] == names
    assert found[0]["rank"] == 1


@pytest.mark.usefixtures("sweep")
@pytest.mark.parametrize(
    ("options", "names", "legend"),
    [
        ([], ["best", "good"], "1 = lowest val_loss where val_auc >= 0.6"),
        (["--where", "val_auc >= 0.75"], ["good"], "1 = lowest val_loss where val_auc >= 0.75"),
        (["--where", ""], ["cheat", "best", "good"], "1 = lowest val_loss"),
        (["--by", "val_loss"], ["best", "good"], "1 = lowest val_loss where val_auc >= 0.6"),
        (["--by", "val_auc", "--limit", "1"], ["lost"], "1 = highest val_auc"),
    ],
)
def test_the_leaderboard_of_the_project_is_the_default(
    options: list[str], names: list[str], legend: str, make_console: MakeConsole, tmp_path: Path
) -> None:
    (tmp_path / "mlrun.toml").write_text(BOARD, encoding="utf-8")
    console = make_console()

    main(["top", "churn", *options], console=console)

    lines = _text(console.out).splitlines()
    assert [line.split()[2] for line in lines[1 : 1 + len(names)]] == names
    assert lines[1 + len(names)] == legend


@pytest.mark.usefixtures("sweep")
def test_what_did_not_take_part_is_counted(make_console: MakeConsole, tmp_path: Path) -> None:
    (tmp_path / "mlrun.toml").write_text(BOARD, encoding="utf-8")
    console = make_console()

    main(["top", "churn", "--limit", "1"], console=console)

    assert _text(console.out).splitlines()[-1] == (
        "1 of 2 shown, 1 with val_loss NaN, 1 without val_loss, 1 outside the constraint, 1 not finished"
    )


def test_the_project_of_the_runs_is_found_from_anywhere(
    make_run: MakeRun, write_runs: WriteRuns, make_console: MakeConsole, tmp_path: Path
) -> None:
    home = tmp_path / "packages" / "churn"
    home.mkdir(parents=True)
    (home / "mlrun.toml").write_text('[leaderboard.churn]\nby = "odd"\ngoal = "min"\n', encoding="utf-8")
    write_runs([make_run(metrics={"odd": 1.0}, context={"project": json.dumps(str(home))})])
    console = make_console()

    assert main(["top", "churn"], console=console) == 0
    assert "1 = lowest odd\n1 run ranked\n" in _text(console.out)


def test_a_project_that_moved_away_is_no_error(
    make_run: MakeRun, write_runs: WriteRuns, make_console: MakeConsole
) -> None:
    write_runs([make_run(metrics={"auc": 1.0}, context={"project": '"/nowhere/at/all"'})])
    console = make_console()

    assert main(["top", "churn", "--by", "auc"], console=console) == 0


@pytest.mark.usefixtures("sweep")
def test_the_goal_of_a_metric_comes_from_the_project(make_console: MakeConsole, tmp_path: Path) -> None:
    (tmp_path / "mlrun.toml").write_text('[metrics.odd]\ngoal = "max"\n', encoding="utf-8")
    console = make_console()

    assert main(["top", "churn", "--by", "odd"], console=console) == 0
    assert "1 = highest odd" in _text(console.out)


def test_equals_share_a_rank(make_run: MakeRun, write_runs: WriteRuns, make_console: MakeConsole) -> None:
    write_runs([make_run(f"r{n}", metrics={"auc": auc}) for n, auc in enumerate([0.9, 0.8, 0.8, 0.7])])
    console = make_console()

    main(["top", "churn", "--by", "auc"], console=console)

    assert [line.split()[0] for line in _text(console.out).splitlines()[1:5]] == ["1", "2=", "2=", "4"]


def test_different_ranks_never_look_equal(make_run: MakeRun, write_runs: WriteRuns, make_console: MakeConsole) -> None:
    write_runs([make_run("a", metrics={"auc": 0.812341}), make_run("b", metrics={"auc": 0.812344})])
    console = make_console()

    main(["top", "churn", "--by", "auc"], console=console)

    assert [line.split()[-1] for line in _text(console.out).splitlines()[1:3]] == ["0.812344", "0.812341"]


@pytest.mark.usefixtures("sweep")
@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (
            ["churn"],
            (
                "error: nothing says which metric ranks 'churn'\n"
                "  its runs log: odd, val_auc, val_loss\n"
                '  next:  --by METRIC, or in mlrun.toml: [leaderboard.churn] by = "…"\n'
            ),
        ),
        (
            ["churn", "--by", "odd"],
            (
                "error: is a higher or a lower 'odd' better?\n"
                "  next:  pytest-mlrun top churn --by odd --goal max (or min), "
                'or in mlrun.toml: [metrics.odd] goal = "max"\n'
            ),
        ),
        (
            ["churn", "--by", "val_lss"],
            (
                "error: no run of 'churn' has a metric 'val_lss'; did you mean 'val_loss'?\n"
                "  its runs log: odd, val_auc, val_loss\n"
                "  next:  --by one of them\n"
            ),
        ),
        (
            ["chrun", "--by", "val_loss"],
            (
                "error: no experiment 'chrun'; did you mean 'churn'?\n"
                "  experiments here: churn, fraud\n"
                "  next:  list the runs: pytest-mlrun runs\n"
            ),
        ),
    ],
)
def test_what_cannot_be_ranked_says_what_is_missing(argv: list[str], message: str, make_console: MakeConsole) -> None:
    console = make_console()

    assert main(["top", *argv], console=console) == 2
    assert _text(console.out) == ""
    assert _text(console.err) == message


@pytest.mark.usefixtures("sweep")
def test_a_narrow_terminal_names_the_columns_without_room(make_console: MakeConsole) -> None:
    console = make_console(width=50)

    main(["top", "churn", "--by", "val_loss"], console=console)

    assert "no room for: val_auc  (--json has everything)" in _text(console.out)


@pytest.mark.usefixtures("sweep")
def test_a_constraint_is_checked_before_the_store_is_read(make_console: MakeConsole) -> None:
    console = make_console()

    assert main(["top", "churn", "--by", "val_loss", "--where", "val_auc >"], console=console) == 2
    assert _text(console.err).startswith("error: ")


@pytest.mark.usefixtures("sweep")
def test_a_constraint_that_nobody_meets_leaves_only_the_count(make_console: MakeConsole) -> None:
    console = make_console()

    assert main(["top", "churn", "--by", "val_loss", "--where", "val_auc > 5"], console=console) == 0
    assert _text(console.out) == (
        "1 = lowest val_loss where val_auc > 5\n0 runs ranked, 5 outside the constraint, 1 not finished\n"
    )


@pytest.mark.usefixtures("sweep")
def test_a_leaderboard_whose_direction_is_unknown_asks_for_it(tmp_path: Path, make_console: MakeConsole) -> None:
    (tmp_path / "mlrun.toml").write_text('[leaderboard.churn]\nby = "odd"\n')
    asked, known = make_console(), make_console()

    code = main(["top", "churn"], console=asked)
    (tmp_path / "mlrun.toml").write_text('[leaderboard.churn]\nby = "odd"\n[metrics."o*"]\ngoal = "min"\n')
    main(["top", "churn"], console=known)

    assert code == 2
    assert _text(asked.err).startswith("error: is a higher or a lower 'odd' better?\n")
    assert "1 = lowest odd\n" in _text(known.out)


def test_runs_that_did_not_pass_are_ranked_and_said_to_win_nothing(
    make_run: MakeRun, write_runs: WriteRuns, make_console: MakeConsole
) -> None:
    write_runs(
        [make_run("a", outcome="failed", cause="gate", metrics={"auc": 0.9}), make_run("b", metrics={"auc": 0.8})]
    )
    console = make_console()

    main(["top", "churn", "--by", "auc"], console=console)

    lines = _text(console.out).splitlines()
    assert [line.split()[2] for line in lines[1:3]] == ["a", "b"]
    assert lines[-1] == "2 runs ranked, 1 of them did not pass and cannot win"


def _text(stream: object) -> str:
    assert isinstance(stream, io.StringIO)
    return stream.getvalue()
