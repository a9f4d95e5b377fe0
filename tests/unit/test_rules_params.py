"""Params are described by what they are, in text that lasts."""

from __future__ import annotations

import array
import enum
import functools
import hashlib
import json
import math
import os
import subprocess
import sys
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, KFold, LeavePOut, RepeatedKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from pytest_mlrun.errors import ParamError
from pytest_mlrun.rules.params import comparable_param, describe_param, read_param, show_param


class Solver(enum.Enum):
    LBFGS = "lbfgs"
    OPAQUE = object()


class Depth(enum.IntEnum):
    SHALLOW = 2


@dataclass
class Config:
    rate: float
    layers: list[int]
    cache: object = field(default_factory=object, compare=False)


class Point(NamedTuple):
    x: int
    y: float


class Opaque: ...


class Refusing:
    def get_params(self, *, deep: bool) -> dict[str, object]:
        raise RuntimeError(f"not today, deep={deep}")


class Strange:
    def get_params(self, *, deep: bool) -> bool:
        return deep


class OnAnotherDevice:
    dtype = np.dtype("float32")

    def __array__(self) -> None:
        raise TypeError("copy it to the host first")


class Mutable:
    def get_params(self, *, deep: bool) -> dict[str, object]:
        return {"deep": deep, "inner": Opaque()}


def build(depth: int, width: int) -> int:
    return depth * width


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"),
        (1.0, "1.0"),
        (True, "true"),
        (None, "null"),
        ("gini", '"gini"'),
        ("é\n", '"\\u00e9\\n"'),
        ((1, "a"), '[1,"a"]'),
        ([1, "a"], '[1,"a"]'),
        (Point(1, 2.0), "[1,2.0]"),
        ({"b": 1, "a": [2]}, '{"a":[2],"b":1}'),
        ({}, "{}"),
        (math.nan, '{"$f":"nan"}'),
        (math.inf, '{"$f":"inf"}'),
        (-math.inf, '{"$f":"-inf"}'),
        ([math.inf], '[{"$f":"inf"}]'),
        ({"$f": "nan"}, '{"$$f":"nan"}'),
        ({0: 1.0, 1: 10.0}, '{"$dict":[[0,1.0],[1,10.0]]}'),
        ({1: 10.0, 0: 1.0}, '{"$dict":[[0,1.0],[1,10.0]]}'),
        (np.int64(3), "3"),
        (np.float64(0.5), "0.5"),
        (np.float32(0.5), "0.5"),
        (np.bool_(True), "true"),
        (np.str_("a"), '"a"'),
        (np.float32("nan"), '{"$f":"nan"}'),
        (len, '{"$callable":"builtins.len"}'),
        (np.log1p, '{"$callable":"numpy.log1p"}'),
        (Ridge, '{"$callable":"sklearn.linear_model.Ridge"}'),
        (build, f'{{"$callable":"{__name__}.build"}}'),
        (Solver.LBFGS, f'{{"$enum":"{__name__}.Solver.LBFGS","value":"lbfgs"}}'),
        (Solver.OPAQUE, f'{{"$enum":"{__name__}.Solver.OPAQUE"}}'),
        (Depth.SHALLOW, f'{{"$enum":"{__name__}.Depth.SHALLOW","value":2}}'),
        ({"b", "a"}, '{"$set":["a","b"]}'),
        (frozenset({2, 10}), '{"$set":[10,2]}'),
        (range(3), '{"$range":[0,3,1]}'),
        (Decimal("0.10"), '{"$decimal":"0.10"}'),
        (date(2026, 1, 31), '{"$date":"2026-01-31"}'),
        (datetime(2026, 1, 31, 12, tzinfo=UTC), '{"$date":"2026-01-31T12:00:00+00:00"}'),
        (time(12, 30), '{"$date":"12:30:00"}'),
        (timedelta(minutes=1.5), '{"$timedelta":90.0}'),
        (np.datetime64("2026-01-31T12", "ns"), '{"$date":"2026-01-31T12:00:00.000000000"}'),
        (np.timedelta64(90, "s"), '{"$timedelta":90.0}'),
        (pd.Timestamp("2026-01-31"), '{"$date":"2026-01-31T00:00:00"}'),
        (pd.Index(["b", "a"]), '["b","a"]'),
        (pd.Series(["b", None], dtype=object), '["b",null]'),
        (OrderedDict(b=1, a=2), '{"a":2,"b":1}'),
        (MappingProxyType({"a": 1}), '{"a":1}'),
        (SimpleNamespace(b=1, a="x"), '{"$object":"types.SimpleNamespace","fields":{"a":"x","b":1}}'),
        (Config(0.1, [2]), f'{{"$object":"{__name__}.Config","fields":{{"layers":[2],"rate":0.1}}}}'),
        (
            LeavePOut(2),
            '{"$object":"sklearn.model_selection.LeavePOut","fields":{"p":2}}',
        ),
    ],
)
def test_a_value_is_described_by_what_it_is(value: object, text: str) -> None:
    assert describe_param("x", value) == text


def test_a_partial_is_described_by_its_parts() -> None:
    text = describe_param("x", functools.partial(build, 3, width=4))

    assert json.loads(text) == {
        "$partial": {"callable": {"$callable": f"{__name__}.build"}, "args": [3], "keywords": {"width": 4}}
    }


class Base:
    def __init__(self, alpha: float = 1.0, tol: float = 0.1) -> None:
        self.alpha, self.tol = alpha, tol

    def get_params(self, **_: bool) -> dict[str, object]:
        return {"alpha": self.alpha, "tol": self.tol}


class PassingOn(Base):
    """Hands on what it does not know, as LightGBM's and XGBoost's classes do."""

    def __init__(self, alpha: float = 3.0, **others: float) -> None:
        super().__init__(alpha, **others)


def test_an_estimator_is_its_class_and_all_its_params() -> None:
    described = json.loads(describe_param("model", Ridge(alpha=0.5)))

    assert described["$estimator"] == "sklearn.linear_model.Ridge"
    assert described["params"]["alpha"] == 0.5
    assert set(described["params"]) == set(Ridge().get_params())


@pytest.mark.parametrize(
    ("model", "shown"),
    [
        (Ridge(), "Ridge()"),
        (Ridge(alpha=1.0), "Ridge()"),
        (Ridge(alpha=0.5, solver="lsqr"), "Ridge(alpha=0.5, solver='lsqr')"),
        (LogisticRegression(class_weight={0: 1, 1: 9}), "LogisticRegression(class_weight={0: 1, 1: 9})"),
        (Pipeline([("scale", StandardScaler())]), "Pipeline(steps=[['scale', StandardScaler()]])"),
        (PassingOn(), "PassingOn()"),
        (PassingOn(alpha=1.0, tol=0.1), "PassingOn(alpha=1.0)"),
        (PassingOn(tol=0.2), "PassingOn(tol=0.2)"),
    ],
)
def test_a_table_shows_what_is_no_default_of_an_estimator_and_a_screen_everything(model: object, shown: str) -> None:
    text = describe_param("model", model)

    assert show_param(text, width=100) == shown
    params = json.loads(text)["params"]
    assert all(f"{name}=" in show_param(text, width=5000, whole=True) for name in params)


def test_estimators_inside_a_pipeline_are_described_in_turn() -> None:
    model = Pipeline([("scale", StandardScaler()), ("model", LogisticRegression(C=2.0, class_weight={0: 1, 1: 9}))])

    steps = json.loads(describe_param("model", model))["params"]["steps"]

    assert [name for name, _ in steps] == ["scale", "model"]
    assert steps[0][1]["$estimator"] == "sklearn.preprocessing.StandardScaler"
    assert steps[1][1]["params"]["C"] == 2.0
    assert steps[1][1]["params"]["class_weight"] == {"$dict": [[0, 1], [1, 9]]}


def test_a_column_transformer_with_functions_is_described() -> None:
    model = ColumnTransformer([("log", FunctionTransformer(np.log1p), ["amount"])], remainder="drop")

    text = describe_param("model", model)

    assert '"func":{"$callable":"numpy.log1p"}' in text
    assert '"amount"' in text


def test_a_search_with_its_folds_is_described() -> None:
    model = GridSearchCV(Ridge(), {"alpha": [0.1, 1.0]}, cv=RepeatedKFold(n_splits=4, n_repeats=2, random_state=1))

    described = json.loads(describe_param("model", model))["params"]

    assert described["param_grid"] == {"alpha": [0.1, 1.0]}
    assert described["cv"] == {
        "$object": "sklearn.model_selection.RepeatedKFold",
        "fields": {"n_repeats": 2, "n_splits": 4, "random_state": 1},
    }


def test_equal_estimators_have_equal_text_and_others_do_not() -> None:
    first, same, other = (make_pipeline(StandardScaler(), Ridge(alpha=alpha)) for alpha in (0.1, 0.1, 0.2))

    assert describe_param("model", first) == describe_param("model", same)
    assert describe_param("model", first) != describe_param("model", other)


def test_an_array_is_its_bytes_little_endian_in_c_order() -> None:
    values = np.array([[1.0, 2.0], [3.0, 4.0]])
    digest = hashlib.sha256(values.astype("<f8").tobytes()).hexdigest()
    expected = {"$array": f"sha256:{digest}", "dtype": "<f8", "shape": [2, 2]}

    texts = {
        describe_param("x", values),
        describe_param("x", np.asfortranarray(values)),
        describe_param("x", values.astype(">f8")),
        describe_param("x", np.repeat(values, 2, axis=0)[::2]),
    }

    assert texts == {json.dumps(expected, separators=(",", ":"))}


def test_arrays_of_other_shape_type_or_content_differ() -> None:
    arrays = [np.zeros(4), np.zeros((2, 2)), np.zeros(4, np.float32), np.zeros(4, np.int64), np.ones(4), np.array(0.0)]

    assert len({describe_param("x", values) for values in arrays}) == len(arrays)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (Opaque(), "param 'x' cannot be recorded: Opaque has no stable description"),
        (lambda: None, "param 'x' cannot be recorded: <lambda> has no stable description"),
        (b"raw", "param 'x' cannot be recorded: bytes has no stable description"),
        (array.array("d"), "param 'x' cannot be recorded: array has no stable description"),
        (1 + 2j, "param 'x' cannot be recorded: complex has no stable description"),
        (np.complex128(1), "param 'x' cannot be recorded: complex128 has no stable description"),
        (
            np.ma.array([1, 2], mask=[False, True]),
            "param 'x' cannot be recorded: MaskedArray has no stable description",
        ),
        ([Opaque()], r"param 'x' cannot be recorded: x\[0\] is a Opaque, which has no stable description"),
        (Mutable(), "param 'x' cannot be recorded: x.inner is a Opaque, which has no stable description"),
        (
            RandomForestClassifier(random_state=np.random.RandomState(0)),
            "param 'x' cannot be recorded: x.random_state is a RandomState, which has no stable description",
        ),
        (functools.partial(lambda: None), "x.callable is a <lambda>, which has no stable description"),
        (Refusing(), r"get_params\(\) of .*Refusing failed: not today, deep=False"),
        (Strange(), "Strange has no stable description"),
        (OnAnotherDevice(), "OnAnotherDevice cannot be read as an array: copy it to the host first"),
        (np.array([Opaque()]), r"x\[0\] is a Opaque, which has no stable description"),
        (np.zeros(2, dtype=[("a", "i4")]), "is an array of .*, whose bytes have no stable digest"),
        (np.zeros(2, dtype=np.longdouble), "whose bytes have no stable digest"),
        pytest.param(10**5000, "it is a number of thousands of digits", id="huge"),
        pytest.param("a" * 5999, "6001 characters of JSON are more than 6000", id="long"),
    ],
)
def test_what_has_no_stable_description_is_refused_with_the_cure(value: object, reason: str) -> None:
    with pytest.raises(ParamError, match=reason) as caught:
        describe_param("x", value)

    assert 'give it an id: pytest.param(…, id="…")' in caught.value.next_step


def test_a_path_is_refused_with_a_better_cure() -> None:
    with pytest.raises(ParamError, match="a path is not a param, it names another file elsewhere") as caught:
        describe_param("file", Path("/data/churn.parquet"))

    assert caught.value.next_step.startswith("name it under [data.…] in mlrun.toml, or give it an id")


def test_a_table_is_refused_with_a_better_cure() -> None:
    with pytest.raises(ParamError, match="param 'frame' cannot be recorded: DataFrame has no stable") as caught:
        describe_param("frame", pd.DataFrame({"a": [1]}))

    assert caught.value.next_step.startswith("a table is data: name its file under [data.…], or give it an id")


def test_a_list_that_contains_itself_is_refused() -> None:
    endless: list[object] = []
    endless.append(endless)

    with pytest.raises(ParamError, match="nested more than 30 levels deep"):
        describe_param("x", endless)


@pytest.mark.parametrize("value", [Opaque(), lambda: None, Path("x"), Mutable(), "a" * 7000])
def test_an_explicit_id_stands_for_what_nothing_else_describes(value: object) -> None:
    assert describe_param("x", value, explicit_id="wide net") == '{"$id":"wide net"}'


def test_an_explicit_id_does_not_replace_a_describable_value() -> None:
    assert describe_param("x", 0.05, explicit_id="slow") == "0.05"


@pytest.mark.parametrize(
    "text",
    ["1", "1.0", "true", "null", '"gini"', '[1,"a"]', '{"a":[2]}'],
)
def test_json_is_read_as_it_is(text: str) -> None:
    assert read_param(text) == json.loads(text)


def test_escapes_and_infinities_are_read_back() -> None:
    value = {"$f": "nan", "deep": [math.inf, {"$$x": -math.inf}]}

    assert read_param(describe_param("x", value)) == value


def test_nan_is_read_back() -> None:
    value = read_param('{"$f":"nan"}')

    assert isinstance(value, float)
    assert math.isnan(value)


@pytest.mark.parametrize(
    ("value", "compared"),
    [
        (0.05, 0.05),
        (3, 3),
        (True, True),
        ("gini", "gini"),
        (math.inf, math.inf),
        (Ridge(), "sklearn.linear_model.Ridge"),
        (len, "builtins.len"),
        (Depth.SHALLOW, f"{__name__}.Depth.SHALLOW"),
        (None, None),
        (date(2026, 1, 31), "2026-01-31"),
        (Config(0.1, []), f"{__name__}.Config"),
        ([1], [1]),
        ({"a": 1}, {"a": 1}),
    ],
)
def test_a_constraint_compares_with_the_plain_value_or_the_name(value: object, compared: object) -> None:
    assert comparable_param(describe_param("x", value)) == compared


def test_a_constraint_compares_with_the_id() -> None:
    assert comparable_param('{"$id":"wide"}') == "wide"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.05, "0.05"),
        (32, "32"),
        (True, "True"),
        (None, "None"),
        ("gini", "gini"),
        ("0.05", "'0.05'"),
        ("true", "'true'"),
        ("None", "'None'"),
        ("", "''"),
        ("two\nlines", "'two\\nlines'"),
        (math.nan, "nan"),
        ([1, "a"], "[1, 'a']"),
        ({"a": 1}, "{a: 1}"),
        ({"$a": 1}, "{$a: 1}"),
        ({0: 1}, "{0: 1}"),
        (len, "len"),
        (Depth.SHALLOW, "Depth.SHALLOW"),
        (functools.partial(build, 3, width=4), "build(3, width=4)"),
        (StandardScaler(), "StandardScaler()"),
    ],
)
def test_a_short_form_is_shown_in_tables(value: object, shown: str) -> None:
    assert show_param(describe_param("x", value)) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Config(0.1, [2]), "Config(layers=[2], rate=0.1)"),
        (KFold(3), "KFold(n_splits=3, random_state=None, sh…"),
        (date(2026, 1, 31), "2026-01-31"),
        (timedelta(hours=1), "3600.0 s"),
        (Decimal("0.10"), "0.10"),
        ({"b", "a"}, "{'a', 'b'}"),
        (range(1, 9, 2), "range(1, 9, 2)"),
    ],
)
def test_objects_and_quantities_are_shown_short(value: object, shown: str) -> None:
    assert show_param(describe_param("x", value)) == shown


def test_an_estimator_an_array_and_an_id_are_shown_short() -> None:
    assert show_param('{"$estimator":"sklearn.linear_model.Ridge","params":{"alpha":1.0}}') == "Ridge(alpha=1.0)"
    assert show_param('{"$array":"sha256:ab12cd34ef","dtype":"<f8","shape":[2]}') == "sha256:ab12cd…"
    assert show_param('{"$id":"wide net"}') == "wide net"
    assert show_param('"abcdefghij"', width=5) == "abcd…"


def test_the_text_does_not_depend_on_the_process() -> None:
    value = {"model": LogisticRegression(class_weight={"b": 1, "a": 2}), "x": np.arange(3), "c": len}
    program = (
        "import numpy as np; from sklearn.linear_model import LogisticRegression;"
        "from pytest_mlrun.rules.params import describe_param;"
        "print(describe_param('m', {'c': len, 'x': np.arange(3),"
        " 'model': LogisticRegression(class_weight={'a': 2, 'b': 1})}), end='')"
    )

    elsewhere = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert elsewhere.stdout == describe_param("m", value)
