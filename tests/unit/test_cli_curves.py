"""``pytest-mlrun curves`` draws the series of runs over each other."""

from __future__ import annotations

import io
import json
import math
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from pytest_mlrun.cli import main
from pytest_mlrun.cli.console import Console
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.report.table import text_width

MakeRun = Callable[..., RunRecord]
WriteRuns = Callable[..., Path]
MakeConsole = Callable[..., Console]
FALL = [1.0, 0.5, 0.25, 0.125]
AXIS = re.compile(r"^ *[-\d.e+]* [┤│]")


@pytest.fixture
def record(make_run: MakeRun, write_runs: WriteRuns) -> Callable[..., None]:
    """Return a function that records runs with the given curves."""

    def write(**curves: dict[str, Sequence[float]]) -> None:
        write_runs([make_run(name) for name in curves], curves=curves)

    return write


def drawing(console: Console) -> list[str]:
    return [AXIS.sub("", line) for line in _text(console.out).splitlines() if AXIS.match(line)]


def test_two_runs_are_drawn_with_a_letter_each_and_named_below(
    record: Callable[..., None], make_console: MakeConsole
) -> None:
    record(fast={"loss": FALL}, slow={"loss": [1.0, 0.9, 0.8, 0.7]})
    console = make_console(width=80)

    assert main(["curves", "loss", "fast", "slow"], console=console) == 0
    lines = _text(console.out).splitlines()
    assert lines[0] == "loss"
    assert lines[1].startswith("     1 ┤")
    assert lines[16].startswith(" 0.125 ┤")
    assert lines[18].split() == ["0", "step", "3"]
    assert lines[19:] == [
        "a  00000001  fast  4 points  last 0.125  min 0.125  max 1",
        "b  00000002  slow  4 points  last 0.7    min 0.7  max 1",
    ]
    assert {letter for row in drawing(console) for letter in row if letter in "abc"} == {"a", "b"}


def test_several_metrics_of_one_run_are_drawn_together(record: Callable[..., None], make_console: MakeConsole) -> None:
    record(run={"train_loss": FALL, "val_loss": [1.0, 0.9, 0.8, 0.7]})
    console = make_console(width=80)

    assert main(["curves", "train_loss,val_loss", "run"], console=console) == 0
    assert [line.split()[:4] for line in _text(console.out).splitlines()[-2:]] == [
        ["a", "train_loss", "00000001", "run"],
        ["b", "val_loss", "00000001", "run"],
    ]


def test_json_has_every_point(record: Callable[..., None], make_console: MakeConsole) -> None:
    record(run={"loss": [0.1 + 0.2, math.nan, -math.inf]})
    console = make_console()

    assert main(["curves", "loss", "run", "--json"], console=console) == 0
    assert json.loads(_text(console.out)) == {
        "run_id": "01900000-0000-7000-8000-000000000001",
        "name": "run",
        "metric": "loss",
        "steps": [0, 1, 2],
        "values": [0.30000000000000004, {"$f": "nan"}, {"$f": "-inf"}],
    }


@pytest.mark.parametrize(
    ("values", "legend"),
    [
        ([0.5], "1 point  last 0.5  min 0.5  max 0.5"),
        ([2.0, 2.0], "2 points  last 2  min 2  max 2"),
        ([1.0, math.nan, 3.0, math.inf], "4 points  last inf  min 1  max 3  2 not finite"),
        ([-1.7e308, 1.7e308], "2 points  last 1.700e+308  min -1.700e+308  max 1.700e+308"),
    ],
)
def test_curves_of_every_kind_are_drawn(
    values: list[float], legend: str, record: Callable[..., None], make_console: MakeConsole
) -> None:
    record(run={"loss": values})
    console = make_console(width=80)

    assert main(["curves", "loss", "run"], console=console) == 0
    assert _text(console.out).splitlines()[-1] == f"a  00000001  run  {legend}"
    assert any("a" in row for row in drawing(console))


def test_a_curve_without_a_finite_point_has_a_legend_alone(
    record: Callable[..., None], make_console: MakeConsole
) -> None:
    record(run={"loss": [math.nan, math.nan]})
    console = make_console(width=80)

    assert main(["curves", "loss", "run"], console=console) == 0
    assert _text(console.out) == "loss\na  00000001  run  2 points  last nan    2 not finite\n"


def test_a_single_peak_among_many_points_is_drawn(record: Callable[..., None], make_console: MakeConsole) -> None:
    values = [0.0] * 20_000
    values[7_001] = 1.0
    record(run={"loss": values})
    console = make_console(width=60)

    main(["curves", "loss", "run"], console=console)

    assert drawing(console)[0].strip() != ""
    assert drawing(console)[5].strip() != ""


@pytest.mark.parametrize("width", [40, 80, 120])
def test_no_line_is_wider_than_the_terminal(width: int, record: Callable[..., None], make_console: MakeConsole) -> None:
    record(**{f"a_run_with_a_long_name_{number}": {"loss": [value * number for value in FALL]} for number in (1, 2)})
    console = make_console(width=width)

    main(["curves", "loss", "00000001", "00000002"], console=console)

    assert [line for line in _text(console.out).splitlines() if text_width(line) > width] == []


def test_colours_come_beside_the_letters(
    record: Callable[..., None], make_console: MakeConsole, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # what the library asks where standard output is no terminal
    record(a={"loss": FALL}, b={"loss": FALL[::-1]})
    plain, coloured = make_console(width=80), make_console(width=80, colour=True)

    for console in (plain, coloured):
        main(["curves", "loss", "a", "b"], console=console)

    assert "\x1b" not in _text(plain.out)
    stripped = re.sub(r"\x1b\[[\d;]*m", "", _text(coloured.out))
    assert [line.rstrip() for line in stripped.splitlines()] == _text(plain.out).splitlines()
    assert "\x1b[34ma" in _text(coloured.out)


def test_a_run_without_the_metric_is_said_and_the_others_drawn(
    record: Callable[..., None], make_console: MakeConsole
) -> None:
    record(a={"loss": FALL}, b={"auc": FALL})
    console = make_console(width=80)

    assert main(["curves", "loss", "a", "b"], console=console) == 0
    assert _text(console.err) == "warning: run 00000002: metric 'loss' was never logged; this run has: auc\n"
    assert _text(console.out).splitlines()[-1].startswith("a  00000001  a")


def test_a_metric_without_steps_has_no_curve(
    make_run: MakeRun, write_runs: WriteRuns, make_console: MakeConsole
) -> None:
    write_runs([make_run("a", metrics={"auc": 0.5})])
    console = make_console()

    assert main(["curves", "auc", "a"], console=console) == 2
    assert _text(console.err).splitlines()[0] == "error: metric 'auc' has no curve: it was logged without a step"


def test_without_the_library_the_command_that_installs_it_is_named(
    record: Callable[..., None], make_console: MakeConsole, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(a={"loss": FALL})
    console, points = make_console(width=80), make_console()
    monkeypatch.setitem(sys.modules, "plotille", None)

    assert main(["curves", "loss", "a"], console=console) == 2
    assert main(["curves", "loss", "a", "--json"], console=points) == 0
    assert _text(console.err) == (
        "error: curves are drawn by plotille, which is not installed\n"
        "  next:  pip install 'pytest-mlrun[curves]'; or --json for the points\n"
    )


def _text(stream: object) -> str:
    assert isinstance(stream, io.StringIO)
    return stream.getvalue()
