"""Params come from wherever pytest takes them, and each is recorded by what it is."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pytest_mlrun.rules.params import show_param

if TYPE_CHECKING:
    from tests.conftest import Runs


def short_digest(array: np.ndarray[tuple[int], np.dtype[np.generic]]) -> str:
    return f"sha256:{hashlib.sha256(array.tobytes()).hexdigest()[:6]}…"


# What is written in a parametrize, and how a table shows what was recorded of it.
KINDS = {
    "None": "None",
    "math.nan": "nan",
    "-math.inf": "-inf",
    "{'layers': [8, (4, None)], 'on': True}": "{layers: [8, [4, None]], on: True}",
    "{0: 1.0, 1: 10.0}": "{0: 1.0, 1: 10.0}",
    "np.float32(0.5)": "0.5",
    "np.arange(3, dtype='<i8')": short_digest(np.arange(3, dtype="<i8")),
    "pd.Index(['age', 'city'])": "['age', 'city']",
    "pd.Series([1.0, 2.0])": short_digest(np.array([1.0, 2.0], dtype="<f8")),
    "datetime.date(2026, 1, 31)": "2026-01-31",
    "pd.Timestamp('2026-01-31 12:00', tz='UTC')": "2026-01-31T12:00:00+00:00",
    "Loss.HINGE": "Loss.HINGE",
    "Config(3)": "Config(depth=3, rate=0.1)",
    "objective": "objective",
    "Ridge": "Ridge",
    "functools.partial(objective, y=2)": "objective(y=2)",
    "Ridge(alpha=2.0)": "Ridge(alpha=2.0)",
    "make_pipeline(StandardScaler(), Ridge())": "Pipeline(steps=[['standardscaler', Stan…",
    "KFold(4)": "KFold(n_splits=4, random_state=None, sh…",
    "pytest.param(object(), id='opaque')": "opaque",
    "pytest.param(lambda y: y, id='squared')": "squared",
    "pytest.param(pathlib.Path('x'), id='small')": "small",
    "pytest.param(pd.DataFrame({'a': [1]}), id='frame')": "frame",
}
PREAMBLE = """\
import dataclasses, datetime, enum, functools, math, pathlib
import numpy as np, pandas as pd, pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

class Loss(enum.Enum): HINGE = "hinge"

@dataclasses.dataclass(frozen=True)
class Config:
    depth: int
    rate: float = 0.1

class Opaque: pass

def objective(y): return y

"""


def params_of(stored_runs: Runs) -> list[dict[str, object]]:
    return [{name: json.loads(text) for name, text in run.params.items()} for run in stored_runs()]


def test_a_value_of_every_kind_is_recorded_and_can_be_read(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    values = ",\n    ".join(f"({index}, {value})" for index, value in enumerate(KINDS) if "pytest.param" not in value)
    given = ",\n    ".join(
        value.replace("pytest.param(", f"pytest.param({index}, ")
        for index, value in enumerate(KINDS)
        if "pytest.param" in value
    )
    pytester.makepyfile(
        f"{PREAMBLE}@pytest.mark.parametrize(('at', 'value'), [\n    {values},\n    {given}])\n"
        "def test_run(mlrun, at, value): pass\n"
    )

    pytester.runpytest_subprocess("--mlrun").assert_outcomes(passed=len(KINDS))

    shown = {int(run.params["at"]): show_param(run.params["value"]) for run in stored_runs()}
    assert dict(zip(KINDS, (shown[at] for at in range(len(KINDS))), strict=True)) == KINDS


@pytest.mark.usefixtures("only_ours")
@pytest.mark.parametrize(
    "call",
    [
        'metafunc.parametrize("model", [Opaque(), Opaque()], ids=["wide", "deep"])',
        pytest.param(
            'metafunc.parametrize("model", [pytest.param(Opaque(), id="wide"), pytest.param(Opaque(), id="deep")])',
            marks=pytest.mark.slow,
        ),
        'metafunc.parametrize("model", iter([Opaque(), Opaque()]), ids=iter(["wide", "deep"]))',
        pytest.param(
            'metafunc.parametrize("model", [Opaque(), Opaque()], ids=["wide", "deep"], indirect=True)',
            marks=pytest.mark.slow,
        ),
    ],
    ids=["ids", "param", "iterators", "indirect"],
)
def test_ids_given_to_metafunc_are_seen(pytester: pytest.Pytester, stored_runs: Runs, call: str) -> None:
    pytester.makepyfile(
        f"""
        import pytest

        class Opaque: pass

        @pytest.fixture
        def model(request): return request.param

        def pytest_generate_tests(metafunc):
            metafunc.parametrize("depth", [3])
            {call}

        @pytest.mark.parametrize("rate,width", [(0.1, 8)])
        def test_run(mlrun, rate, width, model, depth): pass
        """
    )

    pytester.runpytest("--mlrun").assert_outcomes(passed=2)

    assert [params["model"] for params in params_of(stored_runs)] == [{"$id": "wide"}, {"$id": "deep"}]


@pytest.mark.usefixtures("only_ours")
def test_several_names_of_one_call_share_its_id(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makepyfile(
        """
        class Opaque: pass

        def pytest_generate_tests(metafunc):
            metafunc.parametrize("model,data", [(Opaque(), Opaque())], ids=["wide on small"])

        def test_run(mlrun, model, data): pass
        """
    )

    pytester.runpytest("--mlrun").assert_outcomes(passed=1)

    assert params_of(stored_runs) == [{"model": {"$id": "wide on small"}, "data": {"$id": "wide on small"}}]


@pytest.mark.usefixtures("only_ours")
@pytest.mark.parametrize(
    "values", ["[Opaque()]", "[lambda y: y]", "[lambda y: y, lambda y: 2 * y]", "[Opaque, Opaque()][1:]"]
)
def test_an_id_that_pytest_made_up_stands_for_nothing(pytester: pytest.Pytester, values: str) -> None:
    pytester.makepyfile(
        f"""
        class Opaque: pass

        def pytest_generate_tests(metafunc): metafunc.parametrize("model", {values})

        def test_run(mlrun, model): pass
        """
    )

    result = pytester.runpytest("--mlrun")

    assert result.parseoutcomes().keys() - {"warnings"} <= {"error", "errors"}
    result.stdout.fnmatch_lines(["param 'model' cannot be recorded: * has no stable description"])


@pytest.mark.usefixtures("only_ours")
def test_numbers_may_be_ids(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makepyfile(
        """
        import pytest

        class Opaque: pass

        @pytest.mark.parametrize("model", [Opaque()], ids=[7])
        def test_run(mlrun, model): pass
        """
    )

    pytester.runpytest("--mlrun").assert_outcomes(passed=1)

    assert params_of(stored_runs) == [{"model": {"$id": "7"}}]


@pytest.mark.usefixtures("only_ours")
def test_indirect_params_are_recorded_as_they_were_written(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture
        def model(request): return object()

        @pytest.fixture(params=["small", "large"])
        def data(request): return request.param

        @pytest.mark.parametrize("model", [{"depth": 3}], indirect=True)
        def test_run(mlrun, model, data): pass
        """
    )

    pytester.runpytest("--mlrun").assert_outcomes(passed=2)

    assert params_of(stored_runs) == [
        {"model": {"depth": 3}, "data": "small"},
        {"model": {"depth": 3}, "data": "large"},
    ]


@pytest.mark.usefixtures("only_ours")
def test_params_of_a_class_and_its_parent_belong_to_every_method(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.mlrun(experiment="base", tags={"team": "a"})
        @pytest.mark.parametrize("depth", [2, 3])
        class Base:
            @pytest.fixture(scope="class")
            @classmethod
            def shared(cls): return []

            def test_run(self, mlrun, depth, shared):
                shared.append(depth)
                mlrun.log_metric("seen", len(shared))

        @pytest.mark.mlrun(experiment="own", seed=3)
        class TestOne(Base): pass

        class TestTwo(Base): pass
        """
    )

    pytester.runpytest("--mlrun").assert_outcomes(passed=4)

    assert [
        (
            run.test.partition("::")[2],
            run.experiment,
            run.params["depth"],
            run.metrics["seen"],
            run.context["rand.seed"],
        )
        for run in stored_runs()
    ] == [
        ("TestOne::test_run", "own", "2", 1.0, "3"),
        ("TestOne::test_run", "own", "3", 2.0, "3"),
        ("TestTwo::test_run", "base", "2", 1.0, "0"),
        ("TestTwo::test_run", "base", "3", 2.0, "0"),
    ]
    assert {run.tags["team"] for run in stored_runs()} == {"a"}


@pytest.mark.usefixtures("only_ours")
def test_the_mark_of_one_param_wins_over_the_marks_of_its_test(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.mlrun(seed=1, floors={"auc": 0.9})
        @pytest.mark.parametrize("depth", [2, pytest.param(3, marks=pytest.mark.mlrun(seed=2, floors={"auc": 0.5}))])
        def test_run(mlrun, depth): mlrun.log_metric("auc", 0.95)
        """
    )

    pytester.runpytest("--mlrun").assert_outcomes(passed=2)

    assert [(run.context["rand.seed"], run.gates[0].bound) for run in stored_runs()] == [("1", 0.9), ("2", 0.5)]
