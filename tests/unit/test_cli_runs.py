"""``pytest-mlrun runs`` lists what was asked for, newest first."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_mlrun.cli import main
from pytest_mlrun.cli.console import Console
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.report.table import text_width

MakeRun = Callable[..., RunRecord]
WriteRuns = Callable[..., Path]
MakeConsole = Callable[..., Console]
DAY_US = 86_400_000_000


@pytest.fixture
def mixed(make_run: MakeRun, write_runs: WriteRuns, now_us: int) -> None:
    """Four runs that differ in everything a filter can ask for."""
    write_runs(
        [
            make_run("old", started_us=now_us - 9 * DAY_US, params={"lr": "0.1"}, metrics={"auc": 0.7}),
            make_run("low", outcome="failed", cause="gate", params={"lr": "0.2"}, metrics={"auc": 0.5}),
            make_run("broken", status="failed", outcome="failed", cause="nan", params={"lr": "0.4"}),
            make_run(
                "other", experiment="fraud", tags={"stage": "nightly"}, params={"lr": "0.2"}, metrics={"auc": 0.9}
            ),
        ]
    )


@pytest.mark.usefixtures("mixed")
@pytest.mark.parametrize(
    ("options", "names"),
    [
        ([], ["other", "broken", "low", "old"]),
        (["--experiment", "churn"], ["broken", "low", "old"]),
        (["--status", "failed"], ["broken", "low"]),
        (["--status", "passed"], ["other", "old"]),
        (["--cause", "gate"], ["low"]),
        (["--tag", "stage=nightly"], ["other"]),
        (["--tag", "stage=nightly", "--tag", "stage=sweep"], []),
        (["--since", "7d"], ["other", "broken", "low"]),
        (["--since", "2w"], ["other", "broken", "low", "old"]),
        (["--since", "2026-09-20"], ["other", "broken", "low"]),
        (["--where", "auc >= 0.6"], ["other", "old"]),
        (["--where", "params.lr == 0.2", "--status", "failed"], ["low"]),
        (["--limit", "1"], ["other"]),
        (["--limit", "0"], ["other", "broken", "low", "old"]),
    ],
    ids=lambda value: " ".join(value) if value and value[0].startswith("--") else "",
)
def test_filters_choose_the_runs(options: list[str], names: list[str], make_console: MakeConsole) -> None:
    console = make_console()

    code = main(["runs", "--json", *options], console=console)

    assert code == 0
    assert [json.loads(line)["name"] for line in _text(console.out).splitlines()] == names


@pytest.mark.usefixtures("mixed")
def test_the_table_has_identity_outcome_varying_params_and_metrics(make_console: MakeConsole) -> None:
    console = make_console()

    main(["runs", "--experiment", "churn"], console=console)

    header, *rows = _text(console.out).splitlines()
    assert header.split() == ["id", "name", "experiment", "outcome", "started", "duration", "lr", "auc"]
    assert [row.split()[1] for row in rows] == ["broken", "low", "old"]
    assert rows[1].split()[:5] == ["00000002", "low", "churn", "failed:", "gate"]
    assert rows[1].split()[-4:] == ["1.5", "s", "0.2", "0.5000"]
    assert rows[0].split()[-2:] == ["0.4", "-"]


@pytest.mark.parametrize("width", [40, 80, 120])
def test_no_line_is_wider_than_the_terminal(
    width: int, make_console: MakeConsole, make_run: MakeRun, write_runs: WriteRuns
) -> None:
    params = [{f"param_{n}": str(n * k) for n in range(9)} for k in (1, 2)]
    write_runs([make_run("予測モデル" * 9, params=p, metrics={"val_log_loss": 0.1}) for p in params])
    console = make_console(width=width)

    main(["runs"], console=console)

    table = [line for line in _text(console.out).splitlines() if not line.startswith("no room for")]
    assert max(text_width(line) for line in table) <= width
    assert "(--json has everything)" in _text(console.out)


def test_a_pipe_gets_whole_names(make_console: MakeConsole, make_run: MakeRun, write_runs: WriteRuns) -> None:
    name = "a-very-long-name-" * 20
    write_runs([make_run(name)])
    console = make_console(width=None)

    main(["runs"], console=console)

    assert name in _text(console.out)


def test_the_table_is_limited_and_says_so_while_json_is_complete(
    make_console: MakeConsole, make_run: MakeRun, write_runs: WriteRuns
) -> None:
    write_runs([make_run(f"r{n}") for n in range(53)])
    table, plain = make_console(), make_console()

    main(["runs"], console=table)
    main(["runs", "--json"], console=plain)

    assert len(_text(table.out).splitlines()) == 1 + 50 + 1
    assert _text(table.out).endswith("… and 3 more: --limit 0 shows all\n")
    assert len(_text(plain.out).splitlines()) == 53


def test_a_skipped_run_without_params_makes_no_param_vary(
    make_console: MakeConsole, make_run: MakeRun, write_runs: WriteRuns
) -> None:
    write_runs([make_run("a", params={"lr": "0.1"}), make_run("b", outcome="skipped")])
    console = make_console()

    main(["runs"], console=console)

    assert "lr" not in _text(console.out).splitlines()[0].split()


def test_the_leaderboards_metric_comes_first(
    make_console: MakeConsole, make_run: MakeRun, write_runs: WriteRuns, tmp_path: Path
) -> None:
    (tmp_path / "mlrun.toml").write_text('[leaderboard.churn]\nby = "z_loss"\nwhere = "m >= 0"\n', encoding="utf-8")
    write_runs([make_run(metrics={"a": 1.0, "b": 1.0, "c": 1.0, "m": 1.0, "z_loss": 1.0})])
    console = make_console()

    main(["runs"], console=console)

    assert _text(console.out).splitlines()[0].split()[-4:] == ["z_loss", "m", "a", "b"]


@pytest.mark.usefixtures("mixed")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--status", "faild"], "error: --status faild: there is no such word; did you mean 'failed'?"),
        (["--cause", "ooom"], "error: --cause ooom: there is no such word; did you mean 'oom'?"),
        (["--tag", "nightly"], "error: --tag nightly: expected a name and a value"),
        (["--since", "yesterday"], "error: --since yesterday: neither a span nor a date"),
        (["--since", "99999999999w"], "error: --since 99999999999w: neither a span nor a date"),
    ],
)
def test_a_filter_that_cannot_be_meant_is_refused(options: list[str], message: str, make_console: MakeConsole) -> None:
    console = make_console()

    assert main(["runs", *options], console=console) == 2
    assert _text(console.err).splitlines()[0] == message
    assert "\n  next:  " in _text(console.err)


@pytest.mark.usefixtures("mixed")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--experiment", "chrun"], "no experiment 'chrun'; did you mean 'churn'?"),
        (["--experiment", "zzz"], "no experiment 'zzz'; there are: churn, fraud"),
        (["--where", "auc > 2"], "no run answers to these filters"),
    ],
)
def test_an_empty_list_says_why_and_is_no_error(options: list[str], message: str, make_console: MakeConsole) -> None:
    console = make_console()

    assert main(["runs", *options], console=console) == 0
    assert _text(console.out) == ""
    assert _text(console.err) == message + "\n"


def test_an_empty_store_names_the_first_step(make_console: MakeConsole, write_runs: WriteRuns) -> None:
    write_runs([])
    console = make_console()

    assert main(["runs"], console=console) == 0
    assert _text(console.err) == "the store has no runs yet: pytest --mlrun\n"


def test_a_damaged_file_hides_nothing_else_and_ends_with_3(
    make_console: MakeConsole, make_run: MakeRun, write_runs: WriteRuns
) -> None:
    store = write_runs([make_run("lost")])
    segment = next((store / "seg").glob("*.arrow"))
    write_runs([make_run("kept")])
    segment.write_bytes(b"not arrow")
    console = make_console()

    code = main(["runs"], console=console)

    assert code == 3
    assert "kept" in _text(console.out)
    assert _text(console.err) == (f"warning: not everything is shown: {segment} is damaged. See: pytest-mlrun verify\n")


def _text(stream: object) -> str:
    assert isinstance(stream, io.StringIO)
    return stream.getvalue()
