"""Whatever JSON can say, a param's text keeps and keeps apart."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_mlrun.rules.params import describe_param, read_param, show_param

scalars = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=8)
keys = st.text(alphabet="$abf", max_size=3)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3))


def _typed(value: object) -> object:
    # 1 == 1.0 == True in Python; a param keeps them apart, and so must the comparison.
    if isinstance(value, list):
        return ["list", *(_typed(item) for item in value)]
    if isinstance(value, dict):
        return {key: _typed(item) for key, item in value.items()}
    return (type(value).__name__, repr(value))


@settings(max_examples=150, deadline=None)
@given(values)
def test_a_value_is_read_back_as_it_was(value: object) -> None:
    text = describe_param("x", value)

    assert _typed(read_param(text)) == _typed(value)
    assert json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"), allow_nan=False) == text


@settings(max_examples=150, deadline=None)
@given(values, values)
def test_texts_are_equal_exactly_where_values_are(first: object, second: object) -> None:
    same_text = describe_param("x", first) == describe_param("x", second)

    assert same_text == (_typed(first) == _typed(second))


@settings(max_examples=100, deadline=None)
@given(values, st.integers(5, 60))
def test_the_short_form_fits_its_width(value: object, width: int) -> None:
    shown = show_param(describe_param("x", value), width=width)

    assert len(shown) <= width
