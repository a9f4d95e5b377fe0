"""A fingerprint tells whether arrays are equal bit by bit, and how far apart they are if not."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from pytest_mlrun.errors import ArtifactError
from pytest_mlrun.records.fingerprint import Fingerprint
from pytest_mlrun.rules.fingerprints import Fingerprinter, distance, is_kept

Array = NDArray[np.float64]


@pytest.fixture(scope="module")
def take() -> Callable[[object], Fingerprint]:
    fingerprinter = Fingerprinter()
    return lambda value: fingerprinter.take("weights", value)


Take = Callable[[object], Fingerprint]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (np.array([0.0]), np.array([-0.0])),
        (np.array([1.0]), np.array([1.0], dtype=np.float32)),
        (np.zeros((2, 3)), np.zeros((3, 2))),
        (np.zeros(1), np.zeros(())),
        (np.array([1, 2]), np.array([2, 1])),
        (np.array([math.nan]), np.array([0.0])),
        (np.array([0x7FF8000000000000], np.uint64).view(float), np.array([0x7FF8000000000001], np.uint64).view(float)),
        ({"a": np.ones(2)}, {"b": np.ones(2)}),
        ({"a": np.ones(2)}, {"a": [np.ones(2)]}),
        (np.array(["a"]), np.array(["b"])),
    ],
    ids=["zero", "type", "shape", "no dimension", "order", "nan", "nan bits", "name", "nesting", "text"],
)
def test_what_differs_in_one_bit_of_content_or_form_has_another_digest(take: Take, one: object, other: object) -> None:
    assert take(one).digest != take(other).digest


def test_equal_content_has_one_digest_whatever_its_layout_in_memory(take: Take) -> None:
    array = np.arange(12.0).reshape(3, 4)

    digests = {
        take(form).digest
        for form in (array, np.asfortranarray(array), array.astype(">f8"), np.repeat(array, 2, axis=0)[::2])
    }

    assert len(digests) == 1


def test_the_order_of_a_mapping_does_not_count_and_lists_are_told_from_numbers(take: Take) -> None:
    a, b = np.ones(2), np.zeros(3)

    assert take({"a": a, "b": b}) == take({"b": b, "a": a})
    assert take([1.0, 2.0]) == take(np.array([1.0, 2.0]))
    assert take([a, b]).count == 5


@dataclass
class Tensor:
    """What is asked of a torch tensor, with torch's refusal of a type that numpy lacks."""

    array: NDArray[np.float32]
    numpy_knows: bool = True

    def detach(self) -> Tensor:
        return self

    def cpu(self) -> Tensor:
        return self

    def float(self) -> Tensor:
        return Tensor(self.array)

    def numpy(self) -> NDArray[np.float32]:
        if not self.numpy_knows:
            raise TypeError("Got unsupported ScalarType BFloat16")
        return self.array


@pytest.mark.parametrize("numpy_knows", [True, False])
def test_a_tensor_counts_by_its_values(take: Take, numpy_knows: bool) -> None:
    array = np.arange(4, dtype=np.float32)

    assert take({"w": Tensor(array, numpy_knows)}) == take({"w": array})


@pytest.mark.parametrize("size", [1e-7, 1e-5, 1e-3, 0.1, 1.0])
@pytest.mark.parametrize("where", ["everywhere", "one column", "one cell"])
@pytest.mark.parametrize("shape", [(10, 64), (300, 640)])
def test_the_distance_is_estimated_within_40_percent(
    take: Take, shape: tuple[int, int], where: str, size: float
) -> None:
    rng = np.random.default_rng(shape[0])
    array, change = rng.normal(size=shape), rng.normal(size=shape)
    if where == "one column":
        change[:, np.arange(shape[1]) != 3] = 0
    elif where == "one cell":
        change = np.zeros(shape)
        change[3, 5] = 1.0
    changed = array + change * (size / np.linalg.norm(change))

    estimated = distance(take(array), take(changed))

    assert estimated == pytest.approx(np.linalg.norm(changed - array), rel=0.4)


def splitmix64(at: int) -> int:
    mask = 2**64 - 1
    z = (at + 1) * 0x9E3779B97F4A7C15 & mask
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & mask
    z = (z ^ z >> 27) * 0x94D049BB133111EB & mask
    return z ^ z >> 31


def test_sketch_and_digest_are_those_of_the_page(take: Take) -> None:
    array = np.zeros(65_540)
    array[3], array[65_538] = 2.0, 5.0
    expected = np.zeros(64)
    for place, chunk, value in ((3, 0, 2.0), (2, 1, 5.0)):
        h, g = splitmix64(place), splitmix64(2**32 + chunk)
        expected[(h + g) % 64] += value * (-1) ** ((h >> 63) + (g >> 63))
    header = b"/w\n<f8\n65540\n"

    found = take({"w": array})

    assert found.sketch == tuple(expected)
    assert found.digest == f"sha256:{hashlib.sha256(b'%d:' % len(header) + header + array.tobytes()).hexdigest()}"


def test_changes_in_several_arrays_add_up(take: Take) -> None:
    rng = np.random.default_rng(1)
    parts = {name: rng.normal(size=(70, 1000)).astype(np.float32) for name in "ab"}
    changed = {name: part + np.float32(0.25) for name, part in parts.items()}

    estimated = distance(take(parts), take(changed))

    assert estimated == pytest.approx(0.25 * math.sqrt(140_000), rel=0.4)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([1.0, math.nan], [1.0, 2.0], math.inf),
        ([1.0, math.nan, math.inf], [1.5, math.nan, math.inf], 0.5),
        ([1.0], [1.0, 2.0], None),
        ([0.0], [-0.0], 0.0),
        (np.array([1 + 2j]), np.array([1 + 5j]), 3.0),
        ([True, False], [True, True], 1.0),
        (["a"], ["b"], 0.0),
    ],
)
def test_the_distance_of_what_is_no_finite_number_is_stated(
    take: Take, one: object, other: object, expected: float | None
) -> None:
    assert distance(take(one), take(other)) == (None if expected is None else pytest.approx(expected))


def test_every_step_of_the_first_thousand_is_kept_then_500_for_each_doubling() -> None:
    assert all(map(is_kept, range(1000)))
    assert [sum(map(is_kept, range(low, 2 * low))) for low in (1000, 2000, 16_000)] == [500, 500, 500]
    assert is_kept(2**20)


@pytest.mark.parametrize(
    "value", [object(), [object()], None, {"a": {"b": {1, 2}}}, [np.ones(2), None], np.longdouble(1)]
)
def test_what_has_no_bytes_of_its_own_is_refused_by_name(take: Take, value: object) -> None:
    with pytest.raises(ArtifactError, match=r"^fingerprint 'weights' takes arrays of numbers or texts, found "):
        take(value)
