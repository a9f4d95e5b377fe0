"""Derived seeds: in range, stable, and different for different purposes."""

from __future__ import annotations

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pytest_mlrun.pillars.randomness import MAX_SEED, derive_seed

SEEDS = st.integers(0, MAX_SEED)
NAMES = st.lists(st.text(max_size=8), max_size=4).map(tuple)


@given(SEEDS, NAMES)
@settings(max_examples=100)
def test_a_derived_seed_is_a_seed_and_always_the_same(seed: int, names: tuple[str, ...]) -> None:
    derived = derive_seed(seed, *names)

    assert 0 <= derived <= MAX_SEED
    assert derive_seed(seed, *names) == derived


@given(SEEDS, NAMES, NAMES)
@settings(max_examples=200)
def test_different_purposes_have_different_seeds(seed: int, one: tuple[str, ...], other: tuple[str, ...]) -> None:
    assume(one != other)

    assert derive_seed(seed, *one) != derive_seed(seed, *other)


@given(SEEDS, st.text(min_size=1, max_size=12), st.data())
@settings(max_examples=100)
def test_where_one_name_ends_and_the_next_begins_counts(seed: int, text: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(text)))
    other = data.draw(st.integers(0, len(text)))
    assume(at != other)

    assert derive_seed(seed, text[:at], text[at:]) != derive_seed(seed, text[:other], text[other:])


@given(SEEDS, st.text(max_size=8), st.text(max_size=8))
@settings(max_examples=100)
def test_the_order_of_names_counts(seed: int, one: str, other: str) -> None:
    assume(one != other)

    assert derive_seed(seed, one, other) != derive_seed(seed, other, one)


@given(SEEDS, SEEDS, NAMES)
@settings(max_examples=100)
def test_different_seeds_derive_different_seeds(one: int, other: int, names: tuple[str, ...]) -> None:
    assume(one != other)

    assert derive_seed(one, *names) != derive_seed(other, *names)


def test_the_seeds_of_a_thousand_replicates_do_not_collide() -> None:
    assert len({derive_seed(42, "replicate", str(number)) for number in range(1000)}) == 1000
