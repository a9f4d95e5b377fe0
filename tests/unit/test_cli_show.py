"""``pytest-mlrun show`` answers for one run."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from sklearn.linear_model import LogisticRegression

import pytest_mlrun
from pytest_mlrun.cli import main
from pytest_mlrun.cli.console import Console
from pytest_mlrun.records.run import RunRecord

MakeRun = Callable[..., RunRecord]
WriteRuns = Callable[..., Path]
MakeConsole = Callable[..., Console]


@pytest.mark.parametrize("ref", ["sweep-a", "00000001", "01900000-0000-7000-8000-000000000001"])
def test_a_run_answers_to_its_name_and_its_id(
    ref: str, make_run: MakeRun, write_runs: WriteRuns, make_console: MakeConsole
) -> None:
    write_runs([make_run("sweep-a"), make_run("sweep-b")])
    console = make_console()

    assert main(["show", ref], console=console) == 0
    assert _text(console.out).startswith("sweep-a\npassed  ·  experiment churn")


def test_a_series_is_drawn_from_the_store(make_run: MakeRun, write_runs: WriteRuns, make_console: MakeConsole) -> None:
    write_runs([make_run("a")], curves={"a": {"loss": [3.0, 2.0, 1.0]}})
    console = make_console()

    main(["show", "a"], console=console)

    assert "  loss  1  3 points  █▅▁  min 1  max 3\n" in _text(console.out)


def test_verbose_adds_the_traceback(make_run: MakeRun, write_runs: WriteRuns, make_console: MakeConsole) -> None:
    write_runs([make_run("a", outcome="failed", error="line one\nE   KeyError: 'x'")])
    short, long = make_console(), make_console()

    main(["show", "a"], console=short)
    main(["show", "a", "-v"], console=long)

    assert "error        KeyError: 'x'\n" in _text(short.out)
    assert "line one" not in _text(short.out)
    assert "traceback\n  line one\n" in _text(long.out)


def test_json_is_the_whole_record(make_run: MakeRun, write_runs: WriteRuns, make_console: MakeConsole) -> None:
    write_runs([make_run("a", params={"lr": "0.1"}, metrics={"auc": 0.1 + 0.2})])
    console = make_console()

    assert main(["show", "a", "--json"], console=console) == 0
    found = json.loads(_text(console.out))
    assert found["params"] == {"lr": 0.1}
    assert found["metrics"] == {"auc": 0.30000000000000004}
    assert found["digest"].startswith("sha256:")


def test_a_name_that_several_runs_have_means_the_newest_and_says_so(
    make_run: MakeRun, write_runs: WriteRuns, make_console: MakeConsole
) -> None:
    write_runs([make_run("twin", experiment="old"), make_run("twin", experiment="new")])
    console, older = make_console(), make_console()

    assert main(["show", "twin"], console=console) == 0
    assert main(["show", "twin~1"], console=older) == 0
    assert "experiment new" in _text(console.out)
    assert "experiment old" in _text(older.out)
    note = "'twin' names 2 runs: taking the newest, 00000002; older: 00000001 of "
    assert _text(console.err).startswith(note)
    assert _text(older.err) == ""


def test_an_end_that_several_ids_have_is_refused(
    make_run: MakeRun, write_runs: WriteRuns, make_console: MakeConsole
) -> None:
    write_runs([make_run("a", run_id=f"0190000{digit}-0000-7000-8000-00000000beef") for digit in "12"])
    console = make_console()

    assert main(["show", "0000beef"], console=console) == 2
    lines = _text(console.err).splitlines()
    assert lines[0] == "error: 2 runs answer to '0000beef'"
    assert lines[1].startswith("  01900001-0000-7000-8000-00000000beef")


def test_a_run_that_is_not_there_ends_with_2(
    make_run: MakeRun, write_runs: WriteRuns, make_console: MakeConsole
) -> None:
    write_runs([make_run("a")])
    console = make_console()

    assert main(["show", "b"], console=console) == 2
    assert _text(console.err).startswith("error: no run answers to 'b'\n")


def test_a_misspelt_name_is_suggested(make_run: MakeRun, write_runs: WriteRuns, make_console: MakeConsole) -> None:
    write_runs([make_run("test_sweep[0.1]"), make_run("nightly")])
    console = make_console()

    assert main(["show", "test_swep[0.1]"], console=console) == 2
    assert _text(console.err).splitlines()[0] == (
        "error: no run answers to 'test_swep[0.1]'; did you mean 'test_sweep[0.1]'?"
    )


def test_lost_points_cost_the_curve_and_not_the_screen(
    make_run: MakeRun, write_runs: WriteRuns, make_console: MakeConsole
) -> None:
    store = write_runs([make_run("a", metrics={"auc": 0.5})], curves={"a": {"loss": [3.0, 2.0, 1.0]}})
    next((store / "pts").glob("*.arrow")).write_bytes(b"not arrow")
    console = make_console()

    assert main(["show", "a"], console=console) == 3
    assert "  auc   0.5\n  loss    1  3 points\n" in _text(console.out)
    assert _text(console.err).startswith("error: the points of 'loss' of run 00000001 cannot be read\n")


def _text(stream: object) -> str:
    assert isinstance(stream, io.StringIO)
    return stream.getvalue()


def test_show_prints_confusion_matrix_fit_unit_and_owner(
    tmp_path: Path, make_console: MakeConsole, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mlrun.toml").write_text('[metrics.revenue_eur]\nunit = "EUR a year"\nowner = "retention team"\n')
    monkeypatch.chdir(tmp_path)
    with pytest_mlrun.record(experiment="churn", name="priced") as run:
        run.evaluate("val", [0, 0, 1, 1], [0.1, 0.9, 0.8, 0.7], metrics=["precision"])
        run.log_metric("revenue_eur", 43926.7)
        run.log_fit(LogisticRegression(class_weight="balanced").fit([[0.0], [1.0]], [0, 1]))
    console = make_console(width=80)

    code = main(["show", "priced"], console=console)

    lines = _text(console.out).splitlines()
    assert code == 0
    assert "  revenue_eur     43930    EUR a year  ·  retention team" in lines
    at = lines.index("confusion of val")
    assert lines[at + 1 : at + 4] == [
        "  true \\ predicted  0  1  recall",
        "  0                 1  1   50.0%",
        "  1                 0  2  100.0%",
    ]
    assert "model        sklearn.LogisticRegression  ·  1 feature  ·  class_weight balanced" in lines


def test_show_passes_over_somebodys_own_file_in_the_folder_of_matrices(
    tmp_path: Path, make_console: MakeConsole, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest_mlrun.record(experiment="churn", name="odd") as run:
        run.log_dict({"matrix": [1, 2]}, "confusion/own.json")
    console = make_console(width=80)

    code = main(["show", "odd"], console=console)

    assert code == 0
    assert "confusion of" not in _text(console.out)
