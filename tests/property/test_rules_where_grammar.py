"""What a person can write as a constraint is read back, and anything else is refused politely."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_mlrun.errors import MarkerError, MlrunError, QueryError
from pytest_mlrun.records.query import Comparison, FieldKind, Operator
from pytest_mlrun.rules.marker import MarkerKeys, read_marker
from pytest_mlrun.rules.where import parse_where

PREFIXES: dict[FieldKind, str] = {"metric": "metrics", "param": "params", "tag": "tags"}
names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_/@-]{0,8}", fullmatch=True).filter(
    lambda name: name.lower() not in {"and", "or", "not"}
)
operators: st.SearchStrategy[Operator] = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
numbers = st.floats(allow_nan=False)
texts = st.text(st.characters(exclude_characters="'", exclude_categories=["Cs"]), max_size=8)


@st.composite
def comparisons(draw: st.DrawFn) -> Comparison:
    kind: FieldKind = draw(st.sampled_from(["metric", "param", "tag"]))
    if kind == "tag":
        return Comparison(kind, draw(names), draw(st.sampled_from(["==", "!="])), draw(texts))
    value = draw(numbers if kind == "metric" else numbers | texts)
    return Comparison(kind, draw(names), draw(operators), value)


def write(comparison: Comparison, space: str) -> str:
    value = f"'{comparison.value}'" if isinstance(comparison.value, str) else repr(comparison.value)
    return f"{PREFIXES[comparison.kind]}.{comparison.field}{space}{comparison.operator}{space}{value}"


@settings(max_examples=150, deadline=None)
@given(st.lists(comparisons(), max_size=4), st.sampled_from([" and ", ",", " && "]), st.sampled_from(["", " ", "  "]))
def test_a_constraint_is_read_back(wanted: list[Comparison], joint: str, space: str) -> None:
    text = joint.join(write(comparison, space) for comparison in wanted)

    assert parse_where(text) == tuple(wanted)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=30) | st.text(alphabet="ab.=<>!'\"(), &|`1e-", max_size=20))
def test_any_text_is_read_or_refused_with_its_place(text: str) -> None:
    refusal = _refusal_of(lambda: parse_where(text))

    if refusal is not None:
        assert refusal.details[0] == text
        assert 0 <= refusal.details[1].index("^") <= len(text)


odd = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
anything = odd | st.lists(odd, max_size=3) | st.dictionaries(st.text(max_size=3), odd, max_size=3)
keys = st.sampled_from(sorted(MarkerKeys.__annotations__))


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(keys, anything, max_size=4))
def test_any_marker_is_read_or_refused_by_name(kwargs: dict[str, object]) -> None:
    refusal = _refusal_of(lambda: read_marker((), kwargs, owner="test_x"))

    if refusal is not None:
        assert refusal.headline.startswith("test_x: the ")
        assert refusal.next_step


def _refusal_of(action: Callable[[], object]) -> MlrunError | None:
    # Any other exception fails the test.
    try:
        action()
    except (QueryError, MarkerError) as error:
        return error
    return None
