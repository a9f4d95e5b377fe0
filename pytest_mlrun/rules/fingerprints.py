"""Take the fingerprint of arrays: a digest that tells whether two are equal, a sketch that tells how far apart."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, cast

from pytest_mlrun.errors import ArtifactError
from pytest_mlrun.records.fingerprint import Fingerprint
from pytest_mlrun.rules.arguments import show

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BUCKETS: Final = 64
EVERY_STEP: Final = 1_000
"""Steps below this one are all kept."""

_CHUNK: Final = 65_536
_CHUNK_OFFSET: Final = 2**32
_NUMBERS: Final = "biufc"
_PADDED: Final = "gG"
_TEXTS: Final = "SU"
_TIMES: Final = "mM"


def is_kept(step: int) -> bool:
    """Say whether the fingerprints of a step are kept: each of the first thousand, then 500 for each doubling.

    It depends on the step alone, so two runs keep the same ones.
    """
    if step < EVERY_STEP:
        return True
    return step % (1 << (step // EVERY_STEP).bit_length()) == 0


def distance(one: Fingerprint, other: Fingerprint) -> float | None:
    """Estimate the Euclidean distance of two arrays, with a standard error of 9 %.

    Args:
        one: Fingerprint of one.
        other: Fingerprint of the other.

    Returns:
        The distance; infinite where one has NaN or infinities that the other has not, None where they hold different
        numbers of values.
    """
    if one.count != other.count:
        return None
    if one.not_finite != other.not_finite:
        return math.inf
    return math.sqrt(math.fsum((a - b) ** 2 for a, b in zip(one.sketch, other.sketch, strict=True)))


class Fingerprinter:
    """Takes fingerprints; keeps the table of signs and buckets that all of them share."""

    def take(self, name: str, value: object) -> Fingerprint:
        """Return the fingerprint of an array, a tensor, a number, or a mapping or list of these.

        Args:
            name: What it is called, for the message.
            value: The arrays.

        Raises:
            ArtifactError: If it holds anything without bytes of its own, such as Python objects.
        """
        import numpy as np

        digest = hashlib.sha256()
        sketch = np.zeros(BUCKETS)
        count, not_finite, chunk = 0, 0, 0
        for path, array in _walk(name, value, ""):
            little = _as_little_endian(array)
            header = f"{path}\n{little.dtype.str}\n{','.join(map(str, little.shape))}\n".encode()
            digest.update(b"%d:" % len(header))
            digest.update(header)
            digest.update(little.reshape(-1).view(np.uint8).data if little.size else b"")
            flat = _as_numbers(little)
            count += flat.size
            for at in range(0, flat.size, _CHUNK):
                sums, lost = self._sketch(flat[at : at + _CHUNK], chunk)
                sketch += sums
                not_finite += lost
                chunk += 1
        return Fingerprint(f"sha256:{digest.hexdigest()}", count, not_finite, tuple(sketch.tolist()))

    @cached_property
    def _pattern(self) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        import numpy as np

        mixed = _mix(np.arange(_CHUNK, dtype=np.uint64))
        return (mixed & np.uint64(BUCKETS - 1)).astype(np.intp), _signs(mixed)

    def _sketch(self, flat: NDArray[Any], chunk: int) -> tuple[NDArray[np.float64], int]:
        import numpy as np

        buckets, signs = self._pattern
        mixed = _mix(np.array([_CHUNK_OFFSET + chunk], dtype=np.uint64))
        # Beyond what a double holds is beyond what can be told apart.
        with np.errstate(all="ignore"):
            signed = flat * signs[: flat.size]
            sums = np.bincount(buckets[: flat.size], weights=signed, minlength=BUCKETS)
            lost = 0
            if not np.isfinite(sums).all():
                finite = np.isfinite(signed)
                lost = int(flat.size - np.count_nonzero(finite))
                sums = np.bincount(buckets[: flat.size], weights=np.where(finite, signed, 0.0), minlength=BUCKETS)
        shift = int(mixed[0] & np.uint64(BUCKETS - 1))
        return np.roll(sums, shift) * _signs(mixed)[0], lost


def _mix(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the outputs at these places, counted from 0, of splitmix64 seeded with 0."""
    import numpy as np

    with np.errstate(over="ignore"):
        z = (numbers + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return cast("NDArray[np.uint64]", z ^ (z >> np.uint64(31)))


def _signs(mixed: NDArray[np.uint64]) -> NDArray[np.float64]:
    import numpy as np

    return np.where(mixed >> np.uint64(63), -1.0, 1.0)


def _walk(name: str, value: object, path: str) -> Iterator[tuple[str, NDArray[Any]]]:
    if isinstance(value, Mapping):
        for key in sorted(value, key=str):
            yield from _walk(name, value[key], f"{path}/{key}")
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes) and _holds_arrays(value):
        for index, part in enumerate(value):
            yield from _walk(name, part, f"{path}/{index}")
    else:
        yield path, _as_array(name, value)


def _holds_arrays(value: Sequence[object]) -> bool:
    return any(isinstance(part, Mapping) or getattr(part, "shape", ()) != () for part in value)


def _as_array(name: str, value: object) -> NDArray[Any]:
    import numpy as np

    is_tensor = hasattr(value, "detach") and hasattr(value, "cpu")
    try:
        array = np.asarray(_as_plain_tensor(value) if is_tensor else value)
    except (TypeError, ValueError, RuntimeError):
        raise _refuse(name, value) from None
    # A long double has bytes that belong to no digit, and hold anything.
    if array.dtype.kind not in _NUMBERS + _TEXTS + _TIMES or array.dtype.char in _PADDED:
        raise _refuse(name, value)
    return array


def _as_plain_tensor(tensor: Any) -> object:
    """Return a tensor of torch as an array, without importing torch."""
    plain = tensor.detach().cpu()
    if getattr(plain, "is_sparse", False):
        plain = plain.to_dense()
    try:
        return plain.numpy()
    except TypeError:
        # numpy has no bfloat16; every value of it is one of float32.
        return plain.float().numpy()


def _refuse(name: str, value: object) -> ArtifactError:
    return ArtifactError(
        f"fingerprint {name!r} takes arrays of numbers or texts, found {show(value)}",
        next_step="pass an array, a tensor, or a mapping or list of them, such as model.state_dict()",
    )


def _as_little_endian(array: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).reshape(array.shape)


def _as_numbers(array: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    flat = array.reshape(-1)
    if array.dtype.kind in _TEXTS:
        return flat[:0].view(np.uint8)
    if array.dtype.kind == "c":
        return flat.view(flat.real.dtype)
    return flat.view(np.int64) if array.dtype.kind in _TIMES else flat
