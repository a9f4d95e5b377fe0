"""A planted drop is the drop that was asked for, in every metric, and the same twice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pytest_mlrun.rules.goals import default_goal
from pytest_mlrun.rules.planting import worsen
from pytest_mlrun.rules.scored_rows import ScoredRows, value_of

N = 400
RNG_SEED = 20261201
SCORED = ("roc_auc", "log_loss", "brier")
DECIDED = ("accuracy", "f1", "precision", "recall", "balanced_accuracy", "matthews_corrcoef")
NUMBERS = ("rmse", "mse", "mae", "r2", "mape", "median_absolute_error", "max_error", "explained_variance")
DROP = 0.03


def scored(metric: str) -> ScoredRows:
    rng = np.random.default_rng(RNG_SEED)
    truth = (rng.random(N) < 0.4).astype(np.int64)
    out = 1 / (1 + np.exp(-(2.0 * truth - 1 + rng.standard_normal(N))))
    return ScoredRows(metric, np.arange(N), truth, out)


def of_three_classes(metric: str) -> ScoredRows:
    rng = np.random.default_rng(RNG_SEED)
    truth = rng.integers(0, 3, N)
    out = rng.dirichlet([1, 1, 1], N) + 0.3 * (np.arange(3) == truth[:, None])
    return ScoredRows(metric, np.arange(N), truth, out / out.sum(axis=1, keepdims=True))


def numbers(metric: str) -> ScoredRows:
    rng = np.random.default_rng(RNG_SEED)
    truth = 5 + rng.standard_normal(N)
    return ScoredRows(metric, np.arange(N), truth, truth + 0.5 * rng.standard_normal(N))


def drop_of(rows: ScoredRows, asked: float, *, short: bool = False) -> float:
    sign = 1 if default_goal(rows.metric) == "max" else -1
    worse = worsen(rows, to=value_of(rows) - sign * asked, seed=7, short=short)
    assert worse is not None
    return sign * (value_of(rows) - value_of(worse))


@pytest.mark.parametrize(
    "rows",
    [
        *map(scored, SCORED[1:]),
        *map(of_three_classes, ("log_loss", "brier")),
        *map(numbers, NUMBERS),
    ],
    ids=lambda rows: f"{rows.metric}-{rows.out.ndim}",
)
def test_where_predictions_are_numbers_the_drop_is_exact(rows: ScoredRows) -> None:
    assert drop_of(rows, DROP) == pytest.approx(DROP, abs=1e-9)


@pytest.mark.parametrize(
    ("rows", "step"),
    [
        (scored("roc_auc"), 1 / N),
        (of_three_classes("roc_auc_ovr"), 1 / N),
        *((scored(metric), 6 / N) for metric in DECIDED),
        *((of_three_classes(metric), 6 / N) for metric in ("accuracy", "f1_macro")),
    ],
    ids=lambda rows: f"{rows.metric}-{rows.out.ndim}" if isinstance(rows, ScoredRows) else "",
)
def test_where_whole_rows_count_the_drop_is_exact_to_one_of_them(rows: ScoredRows, step: float) -> None:
    assert DROP <= drop_of(rows, DROP) < DROP + step


def test_it_can_stop_before_the_drop_rather_than_after() -> None:
    assert drop_of(scored("accuracy"), 0.0312, short=True) == pytest.approx(12 / N)
    assert drop_of(scored("accuracy"), 0.0312) == pytest.approx(13 / N)
    assert drop_of(scored("accuracy"), 0.03, short=True) == pytest.approx(12 / N)


@pytest.mark.parametrize("rows", [*map(scored, SCORED), *map(numbers, NUMBERS)], ids=lambda rows: rows.metric)
def test_what_stops_before_a_drop_is_not_past_it_by_rounding_either(rows: ScoredRows) -> None:
    assert DROP - 1 / N < drop_of(rows, DROP, short=True) < DROP


def test_labels_and_a_perfect_regression_get_worse_too() -> None:
    words = np.array(["cat", "dog"])[np.arange(N) % 2]
    perfect = numbers("rmse")

    assert drop_of(ScoredRows("accuracy", np.arange(N), words, words), 0.25) == 0.25
    assert drop_of(replace(perfect, out=perfect.truth), 0.25) == pytest.approx(0.25)


def test_a_drop_that_no_predictions_have_is_none() -> None:
    for rows in (scored("accuracy"), scored("roc_auc"), scored("brier"), of_three_classes("f1_macro")):
        sign = 1 if default_goal(rows.metric) == "max" else -1
        assert worsen(rows, to=value_of(rows) - sign * 2, seed=7) is None


def test_the_same_seed_plants_the_same_rows_and_another_one_others() -> None:
    rows = scored("accuracy")
    to = value_of(rows) - DROP

    first, again, other = (worsen(rows, to=to, seed=seed) for seed in (1, 1, 2))

    assert first is not None
    assert again is not None
    assert other is not None
    assert np.array_equal(first.out, again.out)
    assert not np.array_equal(first.out, other.out)
