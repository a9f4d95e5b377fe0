"""Runs are named by the team's template."""

from __future__ import annotations

import pytest
from sklearn.linear_model import Ridge

from pytest_mlrun.errors import NamingError
from pytest_mlrun.rules.params import describe_param
from pytest_mlrun.rules.run_names import example_name, run_name

PARAMS = {
    "learning_rate": "0.05",
    "depth": "3",
    "kind": '"gini"',
    "deep": "true",
    "none": "null",
    "layers": "[8,16]",
    "gap": '{"$f":"nan"}',
    "model": '{"$estimator":"sklearn.linear_model.Ridge","params":{"alpha":1.0}}',
}


def name_by(template: str, *, case: str = "0.05-3") -> str:
    return run_name(
        template, params=PARAMS, experiment="churn", test="tests/test_churn.py::TestGbm::test_sweep", case=case
    )


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("", "test_sweep[0.05-3]"),
        ("gbm-{learning_rate:g}", "gbm-0.05"),
        ("{learning_rate:.1e}/{depth:03d}", "5.0e-02/003"),
        ("{kind}-{deep}-{none}-{layers}-{gap}", "gini-True-None-[8, 16]-nan"),
        ("{kind!r:>8}", "'gini'"),
        ("{model}", "Ridge(alpha=1.0)"),
        ("{experiment} {test} {case}", "churn test_sweep 0.05-3"),
        ("{{{kind}}}", "{gini}"),
        (" padded ", "padded"),
    ],
)
def test_a_run_is_named_by_the_template(template: str, name: str) -> None:
    assert name_by(template) == name


def test_a_test_without_params_is_named_by_its_function() -> None:
    assert name_by("", case="") == "test_sweep"


def test_a_long_default_name_is_cut_and_stays_on_one_line() -> None:
    name = name_by("", case="a\nb" + "x" * 300)

    assert len(name) == 250
    assert name.startswith("test_sweep[a b")
    assert name.endswith("x…")


def test_a_described_estimator_can_be_part_of_a_name() -> None:
    params = {"model": describe_param("model", Ridge(alpha=0.5))}

    name = run_name("{model}", params=params, experiment="e", test="t", case="")

    assert name == "Ridge(alpha=0.5)"


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{learning_rat}", "the run-name template has an unknown field 'learning_rat'; did you mean 'learning_rate'?"),
        ("{}", "the run-name template has an unknown field ''"),
        ("{model.__class__}", r"the run-name template has an unknown field 'model.__class__'"),
        ("{layers[0]}", r"the run-name template has an unknown field 'layers\[0\]'; did you mean 'layers'?"),
        ("{kind:d}", "the run-name template cannot format kind='gini' as 'd'"),
        ("{", "the run-name template cannot be read: "),
        ("{none:<9}{deep:s}", "the run-name template cannot format deep=True as 's'"),
        ("a\nb", r"the run name must be one line of 1 to 250 characters, found 'a\\nb'"),
        ("   ", "the run name must be one line of 1 to 250 characters, found 0 characters"),
        ("x" * 251, "the run name must be one line of 1 to 250 characters, found 251 characters"),
    ],
)
def test_a_template_that_cannot_be_filled_is_refused(template: str, reason: str) -> None:
    with pytest.raises(NamingError, match=reason) as caught:
        name_by(template)

    assert caught.value.where == f"run_name = {template!r} in [naming] of mlrun.toml"
    assert caught.value.next_step


def test_a_misspelt_field_lists_the_known_ones() -> None:
    with pytest.raises(NamingError) as caught:
        run_name("{deph}", params={"depth": "3"}, experiment="e", test="t", case="")

    assert caught.value.details == ("known: depth, experiment, test, case",)


def test_a_template_with_a_param_that_the_test_lacks_is_for_other_tests() -> None:
    assert (
        run_name("gbm-{learning_rate}", params={}, experiment="e", test="a.py::test_winner", case="") == "test_winner"
    )


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("lgbm-lr{learning_rate:g}-leaves{num_leaves}", "lgbm-lr0.05-leaves<num_leaves>"),
        ("{experiment}/{test}/{case}", "churn/test_sweep/0.05-32"),
        ("{alpha:.3f}-{depth:03d}-{share:.0%}-{kind:>8}", "0.050-032-5%-  <kind>"),
        ("plain", "plain"),
    ],
)
def test_an_example_shows_what_the_template_makes_of_fitting_values(template: str, name: str) -> None:
    assert example_name(template, experiment="churn") == name
