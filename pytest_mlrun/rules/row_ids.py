"""Read the identities of a split's rows, whatever holds them, and compare them quickly."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from json.encoder import encode_basestring_ascii
from typing import TYPE_CHECKING

from pytest_mlrun.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

_MAX_DIMENSIONS = 2


@dataclass(frozen=True)
class RowIds:
    """The identities of a split's rows.

    Attributes:
        numbers: Sorted whole numbers; None where the ids are anything else.
        texts: Sorted JSON texts; empty where the ids are whole numbers.
    """

    numbers: NDArray[np.int64] | None
    texts: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.texts) if self.numbers is None else len(self.numbers)

    @cached_property
    def digest(self) -> str:
        """``sha256:<hex>`` over the ids, each as JSON text and a line feed: numbers by value, all others by text."""
        texts = self.texts if self.numbers is None else map(str, self.numbers.tolist())
        content = "".join(f"{text}\n" for text in texts)
        return f"sha256:{hashlib.sha256(content.encode()).hexdigest()}"

    @cached_property
    def twice(self) -> list[object]:
        """The ids that are there more than once."""
        if self.numbers is not None:
            again = self.numbers[1:][self.numbers[1:] == self.numbers[:-1]]
            return sorted(set(again.tolist()))
        pairs = zip(self.texts, self.texts[1:], strict=False)
        return [json.loads(text) for text in sorted({text for text, following in pairs if text == following})]

    def shared(self, other: RowIds) -> list[object]:
        """Return the ids that both hold."""
        if self.numbers is not None and other.numbers is not None:
            import numpy as np

            found: list[object] = np.intersect1d(self.numbers, other.numbers, assume_unique=True).tolist()
            return found
        # Numbers among texts are told apart by their JSON: 1 is not "1".
        return [json.loads(text) for text in sorted(self._as_texts() & other._as_texts())]

    def _as_texts(self) -> set[str]:
        return set(self.texts) if self.numbers is None else set(map(str, self.numbers.tolist()))


def read_row_ids(split: str, given: ArrayLike, *, where: str) -> RowIds:
    """Return the identities of rows: numbers, texts, dates, a pandas index, pairs as rows of two columns, or a mask.

    Args:
        split: Name of the split, for the message.
        given: One entry a row; of a mask of truth values, the positions that are true.
        where: Place, for the message.

    Raises:
        DataError: If it does not hold one entry a row.
    """
    import numpy as np

    array = _as_array(given)
    if not 1 <= array.ndim <= _MAX_DIMENSIONS:
        found = repr(given) if array.ndim == 0 else f"{array.ndim} dimensions"
        raise DataError(
            f"split {split!r} must list the identity of each row, found {found[:40]}",
            where=where,
            next_step=f"pass ids: mlrun.log_split({split}=frame.index), or the array of their numbers",
        )
    if array.dtype.kind == "b":
        array = np.flatnonzero(array)
    if array.ndim == 1 and array.dtype.kind in "iu" and _fits(array):
        return RowIds(np.sort(array.astype(np.int64, copy=False)))
    return RowIds(None, tuple(sorted(_texts_of(array))))


def _as_array(given: ArrayLike) -> NDArray[np.generic]:
    import numpy as np

    if isinstance(given, set | frozenset | list | tuple | range):
        values = list(given)
        if {type(value) for value in values} & {tuple, list} or len({type(value) for value in values}) > 1:
            # numpy would turn numbers beside texts into texts, and ids that differ into ids that are equal.
            mixed = np.empty(len(values), dtype=object)
            mixed[:] = values
            return mixed
        given = np.asarray(values)
    array: NDArray[np.generic] = np.asarray(given)
    if array.dtype.kind == "O" and array.ndim == 1 and all(type(value) is int for value in array.tolist()):
        plain = np.asarray(array.tolist())
        return plain if plain.dtype.kind == "i" else array
    return array


def _fits(array: NDArray[np.generic]) -> bool:
    import numpy as np

    return array.dtype.kind == "i" or not array.size or int(array.max()) <= np.iinfo(np.int64).max


def _texts_of(array: NDArray[np.generic]) -> list[str]:
    import numpy as np

    if array.dtype.kind == "M":
        # In one unit: the same moment can be counted in days and in nanoseconds.
        array = np.datetime_as_string(array.astype("datetime64[ns]"))
    values = array.tolist()
    if array.dtype.kind == "U" or all(type(value) is str for value in values):
        return list(map(encode_basestring_ascii, values))
    return [json.dumps(value, default=str) for value in values]
