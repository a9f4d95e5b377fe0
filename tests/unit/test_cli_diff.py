"""``pytest-mlrun diff`` finds the runs that are meant, and shows them side by side."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_mlrun.cli import main
from pytest_mlrun.cli.console import Console
from pytest_mlrun.records.run import Artifact, RunRecord
from pytest_mlrun.report.table import text_width

MakeRun = Callable[..., RunRecord]
WriteRuns = Callable[..., Path]
MakeConsole = Callable[..., Console]


@pytest.fixture
def nightly(make_run: MakeRun, write_runs: WriteRuns) -> Path:
    """Three runs of one name and one of another."""
    return write_runs(
        [
            *(make_run("nightly", metrics={"auc": auc}, params={"depth": "3"}) for auc in (0.8, 0.9, 0.7)),
            make_run("other", metrics={"auc": 0.5}, params={"depth": "4"}),
        ]
    )


@pytest.mark.usefixtures("nightly")
@pytest.mark.parametrize(
    ("refs", "values"),
    [
        (["nightly"], [0.9, 0.7]),
        (["nightly~1"], [0.8, 0.9]),
        (["nightly~2", "nightly"], [0.8, 0.7]),
        (["00000001", "00000002", "00000003"], [0.8, 0.9, 0.7]),
    ],
)
def test_runs_are_named_by_id_by_name_and_by_what_came_before(
    refs: list[str], values: list[float], make_console: MakeConsole
) -> None:
    console = make_console()

    code = main(["diff", "--json", *refs], console=console)

    (line,) = _text(console.out).splitlines()
    assert code == 1
    assert json.loads(line)["values"] == values


@pytest.mark.usefixtures("nightly")
@pytest.mark.parametrize(
    ("refs", "headline"),
    [
        (["nightly~3"], "there is no 'nightly~3': only 3 runs are named so"),
        (["other"], "00000004 is the first run named 'other': there is none to compare it with"),
        (["other", "00000004"], "00000004 is named twice: a run does not differ from itself"),
        (["nobody~1"], "no run answers to 'nobody~1'"),
    ],
)
def test_a_run_that_cannot_be_meant_ends_with_2(refs: list[str], headline: str, make_console: MakeConsole) -> None:
    console = make_console()

    assert main(["diff", *refs], console=console) == 2
    assert _text(console.err).splitlines()[0] == f"error: {headline}"


@pytest.mark.usefixtures("nightly")
def test_the_table_says_how_much_and_which_is_better(make_console: MakeConsole) -> None:
    console = make_console()

    main(["diff", "00000001", "00000002", "00000004"], console=console)

    lines = [" ".join(line.split()) for line in _text(console.out).splitlines()]
    assert lines[3:] == [
        "",
        "params A B C",
        "depth 3 3 4",
        "",
        "metrics A B C",
        "auc 0.8000 0.9000 (+0.1) 0.5000 (-0.3) best: B",
        "",
        "no difference in run",
    ]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_wider_than_the_terminal(
    width: int, make_run: MakeRun, write_runs: WriteRuns, make_console: MakeConsole
) -> None:
    long = {"a_param_with_a_long_name": json.dumps("x" * 200)}
    write_runs(
        [
            make_run("a_run_with_a_rather_long_name[0.05-32]", params=long, metrics={"validation_log_loss": 0.123456}),
            make_run("a_run_with_a_rather_long_name[0.05-64]", params={}, metrics={"validation_log_loss": 1.5}),
        ]
    )
    console = make_console(width=width)

    main(["diff", "-v", "00000001", "00000002"], console=console)

    assert [line for line in _text(console.out).splitlines() if text_width(line) > width] == []


def test_of_many_runs_those_without_room_are_named(
    make_run: MakeRun, write_runs: WriteRuns, make_console: MakeConsole
) -> None:
    runs = [make_run(f"run{number}", metrics={"auc": number / 7}) for number in range(9)]
    write_runs(runs)
    console = make_console(width=80)

    main(["diff", *(run.name for run in runs)], console=console)

    lines = _text(console.out).splitlines()
    assert [line for line in lines if text_width(line) > 80] == []
    at = next(at for at, line in enumerate(lines) if line.startswith("metrics"))
    shown = lines[at].split()[1:]
    assert shown == list("ABCDE")[: len(shown)]
    assert lines[at + 2] == f"  no room for: {', '.join('ABCDEFGHI'[len(shown) :])}  (--json has everything)"


def test_a_lost_environment_is_said_and_the_rest_compared(
    make_run: MakeRun, write_runs: WriteRuns, make_console: MakeConsole
) -> None:
    lost = Artifact("environment.json", "sha256:" + "0" * 64, 1, role="environment")
    write_runs([make_run("a", metrics={"auc": 0.5}, artifacts=(lost,)), make_run("b", metrics={"auc": 0.6})])
    console = make_console()

    assert main(["diff", "a", "b", "--json"], console=console) == 1
    assert _text(console.err).startswith("warning: environment.json of 00000001 is not compared: ")
    assert [json.loads(line)["name"] for line in _text(console.out).splitlines()] == ["auc"]


def test_a_name_from_the_record_cannot_move_the_cursor(
    make_run: MakeRun, write_runs: WriteRuns, make_console: MakeConsole
) -> None:
    write_runs([make_run("a", tags={"note": "\x1b[2J"}), make_run("b")])
    console = make_console()

    main(["diff", "a", "b"], console=console)

    assert "\x1b" not in _text(console.out)


def _text(stream: object) -> str:
    assert isinstance(stream, io.StringIO)
    return stream.getvalue()
