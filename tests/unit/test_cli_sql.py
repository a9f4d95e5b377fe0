"""``pytest-mlrun sql`` answers one SELECT over four tables, and can neither read nor change anything else."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_mlrun.cli import main
from pytest_mlrun.cli.console import Console
from pytest_mlrun.records.run import Artifact, RunRecord
from pytest_mlrun.records.verdict import Verdict

MakeConsole = Callable[..., Console]
WriteRuns = Callable[..., Path]
MakeRun = Callable[..., RunRecord]

FLOOR = Verdict("floor", "auc", "PASS", calibrated=False, estimate=0.9, bound=0.8)


@pytest.fixture(autouse=True)
def runs(make_run: MakeRun, write_runs: WriteRuns) -> Path:
    return write_runs(
        [
            make_run("small", params={"depth": "3"}, metrics={"auc": 0.91234567}, gates=(FLOOR,)),
            make_run("large", params={"depth": "9"}, metrics={"auc": float("nan")}),
            make_run("other", experiment="sales", params={"depth": "5"}),
        ],
        curves={"small": {"loss": [0.5, 0.25]}, "large": {"loss": [1.0, 2.0, 3.0]}},
    )


def ask(make_console: MakeConsole, query: str, *options: str, width: int | None = None) -> tuple[int, str, str]:
    console = make_console(width=width)
    code = main(["sql", query, *options], console=console)
    return code, _text(console.out), _text(console.err)


def rows(make_console: MakeConsole, query: str) -> list[dict[str, object]]:
    code, out, err = ask(make_console, query, "--json")
    assert (code, err) == (0, "")
    return [json.loads(line) for line in out.splitlines()]


def test_the_answer_is_a_table_on_a_terminal(make_console: MakeConsole) -> None:
    query = 'select name, "p.depth" as depth, "m.auc" as auc, started_us from runs order by name'

    code, out, err = ask(make_console, query, width=80)

    assert code == 0
    assert out.splitlines() == [
        "name   depth     auc  started_us",
        "large      9     nan  2026-09-21 13:13:22",
        "other      5       -  2026-09-21 13:13:23",
        "small      3  0.9123  2026-09-21 13:13:21",
    ]
    assert err == "3 rows\n"


def test_json_has_one_object_a_line_in_full_precision(make_console: MakeConsole) -> None:
    found = rows(
        make_console, """select name, "m.auc" as auc, params from runs where experiment = 'churn' order by 1"""
    )

    assert found == [
        {"name": "large", "auc": {"$f": "nan"}, "params": {"depth": "9"}},
        {"name": "small", "auc": 0.91234567, "params": {"depth": "3"}},
    ]


def test_points_and_runs_join_on_the_run_id(make_console: MakeConsole) -> None:
    query = """
        select r.name, m.name as metric, count(*) as points, max(m.step) as last, min(m.value) as least
        from runs r join metrics m using (run_id) where m.name = 'loss' group by all order by 1
    """

    assert rows(make_console, query) == [
        {"name": "large", "metric": "loss", "points": 3, "last": 2, "least": 1.0},
        {"name": "small", "metric": "loss", "points": 2, "last": 1, "least": 0.25},
    ]


def test_a_metric_without_a_step_is_one_row_without_step_and_time(make_console: MakeConsole) -> None:
    query = "select step, time, value from metrics where name = 'auc' and not isnan(value)"

    assert rows(make_console, query) == [{"step": None, "time": None, "value": 0.91234567}]


def test_gates_are_rows(make_console: MakeConsole) -> None:
    query = "select r.name, g.gate, g.metric, g.decision, g.bound from gates g join runs r using (run_id)"

    assert rows(make_console, query) == [
        {"name": "small", "gate": "floor", "metric": "auc", "decision": "PASS", "bound": 0.8}
    ]


def test_artifacts_are_rows(make_console: MakeConsole, make_run: MakeRun, write_runs: WriteRuns) -> None:
    digest = "sha256:" + "0" * 64
    write_runs([make_run("with model", artifacts=(Artifact("model.onnx", digest, 7, role="model"),))])

    assert rows(make_console, "select name, size_bytes, role from artifacts") == [
        {"name": "model.onnx", "size_bytes": 7, "role": "model"}
    ]


def test_a_name_that_the_query_gives_itself_is_no_table_of_the_store(
    make_console: MakeConsole, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_mlrun.store.flat.flatten_points", lambda *_, **__: pytest.fail("the points were read"))

    assert rows(make_console, "with m as (select count(*) as metrics from runs) select metrics from m") == [
        {"metrics": 3}
    ]


@pytest.mark.parametrize(
    "query",
    [
        "select * from read_csv('/etc/passwd')",
        "select * from read_text('/etc/passwd')",
        "select * from '/etc/passwd'",
        "select * from glob('/etc/*')",
        "select * from console",
    ],
)
def test_a_query_reaches_no_file_and_no_variable(query: str, make_console: MakeConsole) -> None:
    code, out, err = ask(make_console, query)

    assert (code, out) == (2, "")
    assert err.startswith("error: the query has no answer: ")
    assert "root:" not in err


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("copy runs to 'out.csv'", "found COPY"),
        ("create table x (a int)", "found CREATE"),
        ("attach 'x.db'", "found ATTACH"),
        ("set threads = 1", "found SET"),
        ("select 1; select 2", "found 2 statements"),
        ("", "found 0 statements"),
    ],
)
def test_what_is_not_one_select_is_refused(
    query: str, found: str, make_console: MakeConsole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    code, out, err = ask(make_console, query)

    assert (code, out) == (2, "")
    assert err.splitlines()[0] == f"error: sql takes one SELECT, {found}"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".pytest_mlrun"]


def test_a_mistake_is_shown_where_it_stands_with_what_there_is(make_console: MakeConsole) -> None:
    code, _, err = ask(make_console, 'select "m.acu" from runs')

    assert code == 2
    assert 'the query has no answer: Binder Error: Referenced column "m.acu" not found' in err
    assert '"m.auc"' in err
    assert 'LINE 1: select "m.acu" from runs' in err
    assert "next:  the tables are runs, metrics, artifacts, gates; a name with a dot stands in double quotes" in err
    assert "Traceback" not in err


def test_two_columns_of_one_name_have_no_json(make_console: MakeConsole) -> None:
    code, out, err = ask(make_console, "select 1 as a, 2 as a", "--json")

    assert (code, out) == (2, "")
    assert err == "error: two columns are named 'a'\n  next:  name one of them: … as other_a\n"


def test_without_duckdb_the_error_names_the_extra(make_console: MakeConsole, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)

    code, out, err = ask(make_console, "select 1")

    assert (code, out) == (2, "")
    assert err == "error: sql needs DuckDB, which is not installed\n  next:  pip install 'pytest-mlrun[sql]'\n"


def test_a_damaged_segment_is_not_counted_in_silence(make_console: MakeConsole, runs: Path) -> None:
    [segment] = (runs / "seg").glob("*.arrow")
    content = bytearray(segment.read_bytes())
    at = content.find(b"small")
    content[at] ^= 1
    segment.unlink()
    segment.write_bytes(bytes(content))

    code, out, err = ask(make_console, "select count(*) as n from runs", "--json")

    assert (code, out) == (3, '{"n": 2}\n')
    assert "not everything is shown" in err


def _text(stream: object) -> str:
    assert isinstance(stream, io.StringIO)
    return stream.getvalue()
