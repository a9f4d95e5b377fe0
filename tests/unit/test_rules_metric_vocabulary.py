"""Metrics, and the bounds of their gates, keep to what mlrun.toml declares of them."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from pytest_mlrun.errors import MarkerError, MetricError, NamingError
from pytest_mlrun.records.project import MetricDefinition, Naming, Project
from pytest_mlrun.rules.marker import MarkerArguments
from pytest_mlrun.rules.metric_vocabulary import check_gates, check_metric, check_value, has_range, show_range

AUC = MetricDefinition("*_roc_auc", "max", 0.0, 1.0)
REVENUE = MetricDefinition("revenue_eur", "max", 0.0, math.inf, "EUR", "retention")
PROJECT = Project(
    root=Path("/project"),
    metrics={"*_roc_auc": AUC, "revenue_eur": REVENUE, "epochs": MetricDefinition("epochs")},
    naming=Naming(closed_metrics=True, refused={"auc": "val_roc_auc"}),
)


@pytest.mark.parametrize(
    ("name", "definition"), [("val_roc_auc", AUC), ("test_roc_auc", AUC), ("revenue_eur", REVENUE)]
)
def test_a_metric_is_declared_by_its_name_or_by_a_pattern(name: str, definition: MetricDefinition) -> None:
    assert check_metric(name, PROJECT) == definition


def test_a_section_of_its_own_comes_before_a_pattern() -> None:
    own = MetricDefinition("val_roc_auc", owner="risk")

    assert check_metric("val_roc_auc", Project(root=Path("/p"), metrics={"*": AUC, "val_roc_auc": own})) == own


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("revenue_euro", "metric 'revenue_euro' is not in the vocabulary; did you mean 'revenue_eur'?"),
        ("auc", "metric 'auc' is refused: say 'val_roc_auc'"),
    ],
)
def test_an_unknown_metric_of_a_closed_vocabulary_is_refused_with_the_right_spelling(name: str, text: str) -> None:
    with pytest.raises(NamingError) as caught:
        check_metric(name, PROJECT)

    assert caught.value.headline == text
    assert caught.value.next_step


def test_an_open_vocabulary_knows_nothing_of_other_metrics() -> None:
    assert check_metric("anything", Project(root=Path("/p"), metrics={"epochs": AUC})) is None


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0, math.nan])
def test_a_value_within_the_range_is_accepted_and_so_is_nan(value: float) -> None:
    check_value("val_roc_auc", value, AUC)


@pytest.mark.parametrize(("value", "shown"), [(1.2, "1.2"), (-0.001, "-0.001"), (math.inf, "inf"), (85.0, "85")])
def test_a_value_outside_the_range_is_refused(value: float, shown: str) -> None:
    with pytest.raises(MetricError) as caught:
        check_value("val_roc_auc", value, AUC)

    assert caught.value.headline == f"metric 'val_roc_auc' is {shown}, outside its range 0 to 1"
    assert caught.value.where == '[metrics."*_roc_auc"] range in mlrun.toml'


@pytest.mark.parametrize(
    ("marker", "text"),
    [
        ({"floors": {"val_roc_auc": 85}}, "the floor of 'val_roc_auc' is 85, outside its range 0 to 1"),
        ({"ceilings": {"revenue_eur": -1}}, "the ceiling of 'revenue_eur' is -1, outside its range 0 to inf"),
    ],
)
def test_a_bound_where_the_metric_never_is_is_refused(marker: dict[str, dict[str, float]], text: str) -> None:
    with pytest.raises(MarkerError) as caught:
        check_gates(MarkerArguments(**marker), PROJECT)  # type: ignore[arg-type]

    assert caught.value.headline == text


@pytest.mark.parametrize(
    "marker",
    [
        MarkerArguments(floors={"val_rocauc": 0.8}),
        MarkerArguments(ceilings={"val_rocauc": 0.8}),
        MarkerArguments(primary="val_rocauc"),
        MarkerArguments(must_detect={"val_rocauc": 0.1}),
    ],
    ids=["floors", "ceilings", "primary", "must_detect"],
)
def test_an_unknown_metric_anywhere_in_a_marker_is_refused(marker: MarkerArguments) -> None:
    with pytest.raises(NamingError, match="metric 'val_rocauc' is not in the vocabulary"):
        check_gates(marker, PROJECT)


def test_bounds_within_the_range_are_accepted() -> None:
    check_gates(MarkerArguments(floors={"val_roc_auc": 1}, ceilings={"epochs": -5}, primary="epochs"), PROJECT)


@pytest.mark.parametrize(
    ("definition", "text"),
    [
        (AUC, "0 to 1"),
        (REVENUE, "0 to inf"),
        (MetricDefinition("a"), ""),
        (MetricDefinition("a", low=1.0), "1 to inf"),
        (MetricDefinition("a", high=1.0), "-inf to 1"),
    ],
)
def test_a_range_is_shown_with_both_ends(definition: MetricDefinition, text: str) -> None:
    assert show_range(definition) == text
    assert has_range(definition) is bool(text)
