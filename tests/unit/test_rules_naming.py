"""Names of runs, params, tags, metrics and artifacts keep to the team's vocabulary."""

from __future__ import annotations

import pytest
from sklearn.linear_model import Ridge

from pytest_mlrun.errors import ArtifactError, MetricError, NamingError
from pytest_mlrun.records.project import Naming
from pytest_mlrun.rules.naming import (
    check_artifact_name,
    check_metric_name,
    check_param_names,
    check_params,
    check_tag,
    run_name,
)
from pytest_mlrun.rules.params import describe_param

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


# -- run names ---------------------------------------------------------------------------------------------------------


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
    params = {"model": describe_param("model", Ridge())}

    name = run_name("{model}", params=params, experiment="e", test="t", case="")

    assert name == "Ridge(alpha=1.0, copy_X=True, fit_inter…"


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

    assert caught.value.where == f"run_name = {template!r} in [naming]"
    assert caught.value.next_step


def test_a_misspelt_field_lists_the_known_ones() -> None:
    with pytest.raises(NamingError) as caught:
        run_name("{deph}", params={"depth": "3"}, experiment="e", test="t", case="")

    assert caught.value.details == ("known: depth, experiment, test, case",)


def test_a_template_with_a_param_that_the_test_lacks_is_for_other_tests() -> None:
    assert (
        run_name("gbm-{learning_rate}", params={}, experiment="e", test="a.py::test_winner", case="") == "test_winner"
    )


# -- params ------------------------------------------------------------------------------------------------------------

NAMING = Naming(
    allowed=("learning_rate", "depth", "optimizer_*"),
    refused={"lr": "learning_rate", "d": "say depth"},
    required_params=("learning_rate", "depth"),
)


def test_params_of_the_vocabulary_are_accepted() -> None:
    check_params(["learning_rate", "depth", "optimizer_beta"], NAMING)
    check_params(["anything"], Naming())


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["lr"], ["param 'lr' is refused: say 'learning_rate'", "rename it to learning_rate"]),
        (["d"], ["param 'd' is refused: say 'depth'", "rename it to depth"]),
        (["dpeth"], ["param 'dpeth' is not in the vocabulary; did you mean 'depth'?", "use an allowed name"]),
        (["momentum"], ["param 'momentum' is not in the vocabulary", "allowed: learning_rate, depth, optimizer_*"]),
    ],
)
def test_a_param_outside_the_vocabulary_is_refused(names: list[str], text: list[str]) -> None:
    with pytest.raises(NamingError) as caught:
        check_param_names(names, NAMING)

    assert caught.value.headline == text[0]
    assert text[1] in str(caught.value)


def test_required_params_that_are_missing_are_named() -> None:
    with pytest.raises(NamingError, match=r"^required params are missing: depth\n") as caught:
        check_params(["learning_rate"], NAMING)

    assert caught.value.next_step == "parametrize the test with depth"


def test_names_alone_may_be_incomplete() -> None:
    check_param_names(["learning_rate"], NAMING)


# -- tags --------------------------------------------------------------------------------------------------------------

TAGS = Naming(tags={"team": ("fraud", "growth"), "note": ()})


@pytest.mark.parametrize(("key", "value"), [("team", "fraud"), ("note", "anything, really")])
def test_tags_of_the_vocabulary_are_accepted(key: str, value: str) -> None:
    check_tag(key, value, TAGS)


def test_without_a_vocabulary_any_tag_is_accepted() -> None:
    check_tag("anything", "", Naming())


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("taem", "fraud", "tag 'taem' is not in the vocabulary; did you mean 'team'?"),
        ("team", "frod", "tag 'team' cannot be 'frod'; did you mean 'fraud'?"),
        ("mlrun.x", "a", "tag name 'mlrun.x' begins with 'mlrun.', which is reserved"),
        ("", "a", "tag name '' must have 1 to 250 characters, found 0"),
        ("note", "x" * 8001, "the value of tag 'note' must be text of at most 8000 characters, found 8001 characters"),
        ("note", 3, "the value of tag 'note' must be text of at most 8000 characters, found int"),
    ],
)
def test_a_tag_outside_the_vocabulary_is_refused(key: str, value: str, reason: str) -> None:
    with pytest.raises(NamingError) as caught:
        check_tag(key, value, TAGS)

    assert caught.value.headline == reason
    assert caught.value.next_step


# -- metrics and artifacts ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["auc", "val/loss", "val.loss-1_a", "f1 score", "recall@10", "größe", "a:b", "x" * 250]
)
def test_a_metric_name_is_accepted(name: str) -> None:
    check_metric_name(name)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "metric name '' must have 1 to 250 characters, found 0"),
        ("x" * 251, f"metric name 'x{'x' * 48}… must have 1 to 250 characters, found 251"),
        ("a\nb", r"metric name 'a\nb' may hold letters, digits and _ . - / : @, and spaces within"),
        ("a\x00", r"metric name 'a\x00' may hold letters, digits and _ . - / : @, and spaces within"),
        ("a%", "metric name 'a%' may hold letters, digits and _ . - / : @, and spaces within"),
        (" a", "metric name ' a' may hold letters, digits and _ . - / : @, and spaces within"),
        ("/a", "metric name '/a' has an empty, '.' or '..' part between slashes"),
        ("a/../b", "metric name 'a/../b' has an empty, '.' or '..' part between slashes"),
        ("mlrun.x", "metric name 'mlrun.x' begins with 'mlrun.', which is reserved"),
        (3, "metric name 3 must be text"),
    ],
)
def test_a_metric_name_that_cannot_be_kept_is_refused(name: str, reason: str) -> None:
    with pytest.raises(MetricError) as caught:
        check_metric_name(name)

    assert caught.value.headline == reason
    assert caught.value.next_step == "rename the metric"


@pytest.mark.parametrize("name", ["roc.png", "plots/roc curve.png", "a..b", "data/churn.json"])
def test_an_artifact_name_is_accepted(name: str) -> None:
    check_artifact_name(name)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("/etc/passwd", "artifact name '/etc/passwd' must be a relative path without empty, '.' or '..' parts"),
        ("../x", "artifact name '../x' must be a relative path without empty, '.' or '..' parts"),
        ("a/./b", "artifact name 'a/./b' must be a relative path without empty, '.' or '..' parts"),
        ("a//b", "artifact name 'a//b' must be a relative path without empty, '.' or '..' parts"),
        ("", "artifact name '' must be a relative path without empty, '.' or '..' parts"),
        ("C:x", "artifact name 'C:x' must be a relative path without empty, '.' or '..' parts"),
        ("a\\b", r"artifact name 'a\\b' must be one line of 1 to 250 characters without backslashes"),
        ("a\nb", r"artifact name 'a\nb' must be one line of 1 to 250 characters without backslashes"),
        (3, "artifact name 3 is no text"),
    ],
)
def test_an_artifact_name_that_leads_out_of_a_folder_is_refused(name: str, reason: str) -> None:
    with pytest.raises(ArtifactError) as caught:
        check_artifact_name(name)

    assert caught.value.headline == reason
