"""A gate never contradicts the numbers that it prints."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_mlrun.rules.gates import judge_ceiling, judge_floor, show_beside

finite = st.floats(allow_nan=False, allow_infinity=False)


@settings(max_examples=200, deadline=None)
@given(finite, finite)
def test_the_printed_value_stands_on_the_same_side_of_the_bound(value: float, bound: float) -> None:
    shown = float(show_beside(value, bound))

    assert (shown < bound, shown > bound) == (value < bound, value > bound)


@settings(max_examples=100, deadline=None)
@given(finite, st.integers(1, 4))
def test_neighbours_are_told_apart(bound: float, steps: int) -> None:
    value = bound
    for _ in range(steps):
        value = _below(value)

    assert value == bound or show_beside(value, bound) != show_beside(bound, bound)


@settings(max_examples=100, deadline=None)
@given(st.floats(), finite)
def test_floor_and_ceiling_both_hold_only_at_the_bound(value: float, bound: float) -> None:
    both = judge_floor("m", value, bound).passed and judge_ceiling("m", value, bound).passed

    assert both == (value == bound)


def _below(value: float) -> float:
    lower = math.nextafter(value, -math.inf)
    return value if math.isinf(lower) else lower
