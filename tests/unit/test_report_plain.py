"""A run as JSON is valid, complete and exact."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import fields

from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.report.plain import json_line
from pytest_mlrun.rules.gates import judge_floor

MakeRun = Callable[..., RunRecord]


def test_the_keys_are_the_fields_of_a_record(make_run: MakeRun) -> None:
    found = json.loads(json_line(make_run(), extra={"rank": 1}))

    assert list(found) == ["rank", *(field.name for field in fields(RunRecord))]


def test_params_and_context_are_values_not_texts(make_run: MakeRun) -> None:
    run = make_run(params={"lr": "0.1", "model": '{"$id":"big"}'}, context={"code.dirty": "true"})

    found = json.loads(json_line(run))

    assert found["params"] == {"lr": 0.1, "model": {"$id": "big"}}
    assert found["context"] == {"code.dirty": True}


def test_numbers_keep_every_digit_and_what_json_lacks_is_spelled_out(make_run: MakeRun) -> None:
    run = make_run(metrics={"a": 0.1 + 0.2, "b": math.nan, "c": -math.inf}, gates=(judge_floor("b", math.nan, 0.5),))

    line = json_line(run)
    found = json.loads(line, parse_constant=_refuse)

    assert found["metrics"] == {"a": 0.30000000000000004, "b": {"$f": "nan"}, "c": {"$f": "-inf"}}
    assert found["gates"][0]["estimate"] == {"$f": "nan"}
    assert found["gates"][0]["low"] is None


def test_a_line_is_one_line_of_ascii(make_run: MakeRun) -> None:
    line = json_line(make_run("予測\nmodel", error="two\nlines"))

    assert line.isascii()
    assert "\n" not in line
    assert json.loads(line)["name"] == "予測\nmodel"


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")
