"""``pytest-mlrun naming`` prints the vocabulary for a person, a README and a program."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import pytest

from pytest_mlrun.cli import main
from pytest_mlrun.cli.console import Console

MakeConsole = Callable[..., Console]
FULL = """
[naming]
run_name = "{test}"
allowed = ["learning_rate", "feature_*"]
refused = { lr = "say learning_rate" }
required_params = ["learning_rate"]
required_tags = ["owner"]
required_artifacts = ["feature_list.json"]
closed_metrics = true

[naming.run_names]
churn = "lgbm-lr{learning_rate:g}-leaves{num_leaves}"

[naming.tags]
owner = []
split = ["temporal", "a|b"]

[metrics.revenue]
goal = "max"
range = [0, inf]
unit = "EUR"
owner = "retention"
"""


@pytest.fixture
def full(tmp_path: Path) -> None:
    (tmp_path / "mlrun.toml").write_text(FULL, encoding="utf-8")


@pytest.mark.usefixtures("full")
def test_a_person_reads_every_section(make_console: MakeConsole) -> None:
    console = make_console()

    assert main(["naming"], console=console) == 0
    assert (
        text_of(console.out)
        == """\
Run names. A test that lacks a field of its template is named by test and case, such as test_sweep[0.05-32].
  experiment             name
  churn        template  lgbm-lr{learning_rate:g}-leaves{num_leaves}
               such as   lgbm-lr0.05-leaves<num_leaves>
  every other  template  {test}
               such as   test_sweep

Params. Only these may be recorded.
  param          required of
  learning_rate  every run
  feature_*

Tags. Only these may be set.
  tag    values         required of
  owner  any text       every run
  split  temporal, a|b

Artifacts. Any other may be logged too.
  artifact           required of
  feature_list.json  every run

Metrics. Only these may be logged.
  metric   goal  range     unit  owner
  revenue  max   0 to inf  EUR   retention

Refused names. No param, tag or metric is called so.
  refused  say
  lr       learning_rate
"""
    )


@pytest.mark.usefixtures("full")
def test_a_readme_gets_tables_in_which_names_stay_names(make_console: MakeConsole) -> None:
    console = make_console(width=80)

    assert main(["naming", "--markdown"], console=console) == 0
    lines = text_of(console.out).splitlines()
    assert [line for line in lines if line.startswith("#")] == [
        "### Run names", "### Params", "### Tags", "### Artifacts", "### Metrics", "### Refused names",
    ]  # fmt: skip
    assert "| churn | template | `lgbm-lr{learning_rate:g}-leaves{num_leaves}` |" in lines
    assert "| | such as | `lgbm-lr0.05-leaves<num_leaves>` |" in lines
    assert "| `feature_*` | |" in lines
    assert r"| split | temporal, a\|b | |" in lines
    assert "| revenue | max | 0 to inf | EUR | retention |" in lines


@pytest.mark.usefixtures("full")
def test_a_program_reads_one_object_a_line(make_console: MakeConsole) -> None:
    console = make_console()

    assert main(["naming", "--json"], console=console) == 0
    found = [json.loads(line) for line in text_of(console.out).splitlines()]
    assert found[0] == {"kind": "closed", "params": True, "tags": True, "metrics": True}
    assert {"kind": "param", "name": "learning_rate", "required": True} in found
    assert {"kind": "tag", "name": "split", "values": ["temporal", "a|b"], "required": False} in found
    assert {"kind": "refused", "name": "lr", "say": "learning_rate"} in found
    assert found[-2] == {
        "kind": "metric", "name": "revenue", "goal": "max", "low": 0.0, "high": None, "unit": "EUR",
        "owner": "retention",
    }  # fmt: skip


def test_what_nothing_is_said_about_is_free(tmp_path: Path, make_console: MakeConsole) -> None:
    (tmp_path / "mlrun.toml").write_text('[metrics.loss]\ngoal = "min"\n', encoding="utf-8")
    console = make_console()

    assert main(["naming"], console=console) == 0
    assert (
        text_of(console.out)
        == """\
Run names. A run is named by its test and case, such as test_sweep[0.05-32].

Params. Any name may be recorded.

Tags. Any tag may be set.

Metrics. Any other may be logged too.
  metric  goal  range  unit  owner
  loss    min
"""
    )


@pytest.mark.parametrize(
    ("content", "headline"),
    [
        (None, "error: no mlrun.toml here or in a folder above"),
        ("[data.a]\npath = 'a'", "error: mlrun.toml has no vocabulary"),
        ("[naming]\nrun_name = '{'", "error: the run-name template cannot be read"),
    ],
)
def test_without_a_vocabulary_it_says_how_to_write_one(
    tmp_path: Path, make_console: MakeConsole, content: str | None, headline: str
) -> None:
    if content is not None:
        (tmp_path / "mlrun.toml").write_text(content, encoding="utf-8")
    console = make_console()

    assert main(["naming"], console=console) == 2
    assert text_of(console.err).startswith(headline)
    assert "  next:  " in text_of(console.err)


def text_of(stream: TextIO) -> str:
    assert isinstance(stream, io.StringIO)
    return stream.getvalue()
