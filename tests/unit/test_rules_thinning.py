"""Thinning keeps every peak and every gap that a drawing can show."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pytest_mlrun.rules.thinning import thin


def pieces(values: list[float], steps: list[int] | None = None, most_bins: int = 10) -> list[list[tuple[float, float]]]:
    found = thin(np.array(steps or range(len(values))), np.array(values, dtype=float), most_bins=most_bins)
    return [list(zip(xs.tolist(), ys.tolist(), strict=True)) for xs, ys in found]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], []),
        ([1.0], [[(0, 1)]]),
        ([1.0, 2.0], [[(0, 1), (1, 2)]]),
        ([math.nan, math.inf], []),
        ([1.0, math.nan, 2.0, 3.0], [[(0, 1)], [(2, 2), (3, 3)]]),
        ([-math.inf, 1.0, math.nan], [[(1, 1)]]),
    ],
)
def test_few_points_are_all_kept_and_a_gap_ends_a_piece(
    values: list[float], expected: list[list[tuple[float, float]]]
) -> None:
    assert pieces(values) == expected


def test_points_are_drawn_in_the_order_of_their_steps() -> None:
    assert pieces([3.0, 1.0, 2.0], steps=[2, 0, 1]) == [[(0, 1), (1, 2), (2, 3)]]


def test_of_a_million_points_both_extremes_of_every_bin_stay() -> None:
    values = np.random.default_rng(1).normal(size=1_000_000)
    values[[123_456, 654_321]] = 99.0, -99.0

    ((xs, ys),) = thin(np.arange(1_000_000), values, most_bins=200)

    assert len(xs) <= 402
    assert (ys.max(), ys.min()) == (99.0, -99.0)
    assert (xs[0], xs[-1]) == (0, 999_999)
    for low in range(0, 1_000_000, 5000):
        inside = ys[(xs >= low) & (xs < low + 5000)]
        assert (inside.max(), inside.min()) == (values[low : low + 5000].max(), values[low : low + 5000].min())


def test_steps_far_apart_and_all_equal_ones_are_binned() -> None:
    assert pieces([1.0, 5.0, 2.0], steps=[0, 2**62, 2**62], most_bins=2)[0][0] == (0, 1)
    assert pieces([1.0, 5.0, 2.0], steps=[7, 7, 7], most_bins=1) == [[(7, 1), (7, 5), (7, 2)]]
