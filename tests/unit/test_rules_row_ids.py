"""The rows of a split are compared by what they are, whatever holds them."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
import pytest

from pytest_mlrun.errors import DataError
from pytest_mlrun.rules.row_ids import RowIds, read_row_ids


def read(given: object) -> RowIds:
    return read_row_ids("train", given, where="here")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "given",
    [
        [3, 1, 2],
        (1, 2, 3),
        {1, 2, 3},
        range(1, 4),
        np.array([1, 2, 3], dtype=np.int8),
        np.array([1, 2, 3], dtype=np.uint64),
        np.array([1, 2, 3], dtype=object),
        np.array([False, True, True, True]),
        pd.Index([1, 2, 3]),
        pd.Series([3, 2, 1], dtype="Int64"),
    ],
    ids=lambda given: f"{type(given).__name__}-{getattr(given, 'dtype', '')}",
)
def test_equal_numbers_have_one_digest_whatever_holds_them(given: object) -> None:
    digest = hashlib.sha256(b"1\n2\n3\n").hexdigest()

    assert read(given).digest == f"sha256:{digest}"


@pytest.mark.parametrize(
    ("train", "val", "shared"),
    [
        ([1, 2, 3], [3, 4], [3]),
        (["a", "b"], np.array(["b", "c"]), ["b"]),
        (["é"], pd.Index(["é"]), ["é"]),
        ([1, 2], ["1", "2"], []),
        ([1, "a"], [1, 2], [1]),
        ([1, "2"], ["2", 3], ["2"]),
        (np.array([2**63], dtype=np.uint64), [2**63], [2**63]),
        ([("u1", 1), ("u2", 1)], pd.MultiIndex.from_tuples([("u1", 1), ("u1", 2)]), [["u1", 1]]),
        (np.array([[1, 2], [3, 4]]), np.array([[3, 4], [2, 1]]), [[3, 4]]),
        (np.array([True, False]), np.array([False, True]), []),
        (
            np.array(["2026-01-01"], dtype="datetime64[D]"),
            pd.DatetimeIndex(["2026-01-01"]),
            ["2026-01-01T00:00:00.000000000"],
        ),
        ([], [1], []),
    ],
)
def test_rows_that_two_splits_share_are_found(train: object, val: object, shared: list[object]) -> None:
    assert read(train).shared(read(val)) == shared
    assert read(val).shared(read(train)) == shared


@pytest.mark.parametrize(
    ("given", "twice"),
    [([1, 2, 1, 1], [1]), (["a", "b", "b"], ["b"]), (np.array([[1, 2], [1, 2]]), [[1, 2]]), ([], [])],
)
def test_rows_that_are_there_twice_are_found(given: object, twice: list[object]) -> None:
    assert read(given).twice == twice


@pytest.mark.parametrize(("given", "found"), [(800, "800"), (np.zeros((2, 2, 2)), "3 dimensions")])
def test_what_lists_no_rows_is_refused_with_the_cure(given: object, found: str) -> None:
    with pytest.raises(DataError) as caught:
        read(given)

    assert caught.value.headline == f"split 'train' must list the identity of each row, found {found}"
    assert "mlrun.log_split(train=frame.index)" in caught.value.next_step
