"""Names of params, tags, metrics and artifacts keep to the team's vocabulary."""

from __future__ import annotations

import pytest

from pytest_mlrun.errors import ArtifactError, MetricError, NamingError
from pytest_mlrun.records.project import Naming
from pytest_mlrun.rules.naming import (
    check_artifact_name,
    check_metric_name,
    check_param_names,
    check_required,
    check_tag,
)

# -- params ------------------------------------------------------------------------------------------------------------

NAMING = Naming(
    allowed=("learning_rate", "depth", "optimizer_*"),
    refused={"lr": "learning_rate", "d": "say depth"},
)


def test_params_of_the_vocabulary_are_accepted() -> None:
    check_param_names(["learning_rate", "depth", "optimizer_beta"], NAMING)
    check_param_names(["anything"], Naming())


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


@pytest.mark.parametrize(
    ("naming", "text", "cure"),
    [
        (Naming(required_params=("depth", "seed")), "required params are missing: depth, seed", "log_param("),
        (Naming(required_tags=("owner",)), "required tags are missing: owner", 'tags={"owner": "…"}'),
        (
            Naming(required_artifacts=("model.*", "features.json")),
            "required artifacts are missing: model.*",
            "log_model",
        ),
    ],
)
def test_what_a_run_lacks_at_its_end_is_named_with_its_cure(naming: Naming, text: str, cure: str) -> None:
    with pytest.raises(NamingError) as caught:
        check_required(naming, params=["lr"], tags=["team"], artifacts=["features.json", "models"])

    assert caught.value.headline == text
    assert cure in caught.value.next_step


def test_everything_that_a_run_lacks_is_named_at_once() -> None:
    naming = Naming(required_params=("depth",), required_tags=("owner",), required_artifacts=("model.*",))

    with pytest.raises(NamingError, match=r"^required params are missing: depth\n") as caught:
        check_required(naming, params=[])

    assert caught.value.details == ("required tags are missing: owner", "required artifacts are missing: model.*")


def test_a_run_that_has_everything_is_complete() -> None:
    naming = Naming(required_params=("depth",), required_tags=("owner",), required_artifacts=("model.*",))

    check_required(naming, params=["depth"], tags=["owner"], artifacts=["model.skops"])


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


def test_a_refused_name_is_no_tag_either() -> None:
    with pytest.raises(NamingError, match=r"^tag 'lr' is refused: say 'learning_rate'"):
        check_tag("lr", "0.1", NAMING)


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
        (3, "an artifact's name must be text, found int"),
    ],
)
def test_an_artifact_name_that_leads_out_of_a_folder_is_refused(name: str, reason: str) -> None:
    with pytest.raises(ArtifactError) as caught:
        check_artifact_name(name)

    assert caught.value.headline == reason
