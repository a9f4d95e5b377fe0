"""Parametrized values of every kind are recorded so that baselines can match on them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Runs


def recorded(pytester: pytest.Pytester, stored_runs: Runs, values: str, *, names: str = "'value'") -> list[object]:
    pytester.makepyfile(
        f"""
        import numpy as np
        import pytest
        from sklearn.linear_model import Ridge

        class Opaque: pass

        def build(): pass

        @pytest.mark.parametrize("noise", ["a", "b"])
        @pytest.mark.parametrize({names}, {values})
        def test_run(mlrun, value, noise): pass
        """
    )
    pytester.runpytest("--mlrun")
    return [json.loads(run.params["value"]) for run in stored_runs() if run.params["noise"] == '"a"']


def test_json_values_are_recorded_as_they_are(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    found = recorded(pytester, stored_runs, "[1, 1.0, True, None, 'x', [1, 2], {'a': 1}]")

    assert [repr(value) for value in found] == ["1", "1.0", "True", "None", "'x'", "[1, 2]", "{'a': 1}"]


def test_estimators_callables_and_arrays_are_described(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    estimator, function, array = recorded(pytester, stored_runs, "[Ridge(alpha=2.0), build, np.arange(3)]")

    assert isinstance(estimator, dict)
    assert estimator["$estimator"] == "sklearn.linear_model.Ridge"
    assert estimator["params"]["alpha"] == 2.0
    assert str(function).endswith("build'}")
    assert "sha256:" in str(array)


@pytest.mark.parametrize(
    "values",
    [
        "[pytest.param(Opaque(), id='first'), pytest.param(Opaque(), id='second')]",
        "[Opaque(), Opaque()], ids=['first', 'second']",
    ],
)
def test_anything_else_is_recorded_by_the_id_a_person_gave_it(
    pytester: pytest.Pytester, stored_runs: Runs, values: str
) -> None:
    assert recorded(pytester, stored_runs, values) == [{"$id": "first"}, {"$id": "second"}]


def test_anything_else_without_an_id_is_refused_with_the_cure(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pathlib, pytest

        class Opaque: pass

        @pytest.mark.parametrize("model", [Opaque()])
        def test_run(mlrun, model): pathlib.Path("trained").touch()
        """
    )

    result = pytester.runpytest("--mlrun")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*param 'model' cannot be recorded*", "*pytest.param(*id=*"])
    result.stdout.no_fnmatch_line("*Traceback*")
    assert not (pytester.path / "trained").exists()


def test_the_ids_of_a_fixture_and_keyword_arguments_are_read(pytester: pytest.Pytester, stored_runs: Runs) -> None:
    pytester.makepyfile(
        """
        import pytest

        class Opaque: pass

        @pytest.fixture(params=[pytest.param(Opaque(), id="written")])
        def model(request): return request.param

        @pytest.fixture(params=[Opaque()], ids=["listed"])
        def other(request): return request.param

        def test_fixtures(mlrun, model, other): pass

        @pytest.mark.parametrize(argnames="model", argvalues=[Opaque()], ids=["keyword"], indirect=True)
        def test_keywords(mlrun, model): pass
        """
    )

    pytester.runpytest("--mlrun").assert_outcomes(passed=2)

    assert [{name: json.loads(text) for name, text in run.params.items()} for run in stored_runs()] == [
        {"model": {"$id": "written"}, "other": {"$id": "listed"}},
        {"model": {"$id": "keyword"}},
    ]
