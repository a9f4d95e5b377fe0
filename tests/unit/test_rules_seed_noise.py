"""What another seed moves is told from what the rows leave open."""

from __future__ import annotations

import math

import pytest

from pytest_mlrun.rules.seed_noise import balance, narrow_margin, retraining_sd

STORED = (0.40, 0.41, 0.42)


def test_two_trainings_differ_by_the_spread_of_both() -> None:
    assert retraining_sd(STORED) == pytest.approx(0.01 * math.sqrt(2))
    assert retraining_sd(STORED[:2]) is None
    assert retraining_sd((0.4, 0.4, math.nan)) is None


@pytest.mark.parametrize(("margin", "narrow"), [(0.0233, True), (0.0234, False), (0.0, True)])
def test_a_margin_is_narrow_below_1_65_standard_deviations(margin: float, narrow: bool) -> None:
    assert bool(narrow_margin(margin, STORED)) is narrow


def test_where_seeds_change_nothing_no_margin_is_narrow() -> None:
    assert narrow_margin(0.0, (0.4, 0.4, 0.4)) == narrow_margin(0.0, ()) == ""


def test_what_is_scarce_is_what_leaves_more_open() -> None:
    assert balance(1_000, 4e-6, 1e-6) == "rows and seeds weigh alike at n*=4,000: add rows"
    assert balance(8_000, 5e-7, 1e-6) == "rows and seeds weigh alike at n*=4,000: add seeds"
    assert balance(1_000, 4e-6, 0.0) == balance(1_000, math.inf, 1e-6) == ""
