"""Compute digests over canonical forms that another language can recompute (docs/format.md)."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from pytest_mlrun.records.annotation import Annotation
from pytest_mlrun.records.retention import Tombstone
from pytest_mlrun.records.run import Artifact, RunRecord
from pytest_mlrun.records.verdict import Verdict
from pytest_mlrun.store.schema import (
    ANNOTATION_FIELDS,
    ARTIFACT_FIELDS,
    GATE_FIELDS,
    RUN_FIELDS,
    TOMBSTONE_FIELDS,
    Fields,
    Kind,
)

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from pytest_mlrun.store.points import Series

Canonical = str | list["Canonical"]

_NAN: Final = "7ff8000000000000"
_COVERED: Final[Fields] = {name: kind for name, kind in RUN_FIELDS.items() if name != "digest"}
_to_json: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def compute_run_digest(record: RunRecord) -> str:
    """Compute the digest of a run record.

    Args:
        record: The record; its own ``digest`` is not looked at.

    Returns:
        ``sha256:<hex>``.
    """
    return "sha256:" + hashlib.sha256(canonical_text(record).encode("utf-8")).hexdigest()


def canonical_text(record: RunRecord) -> str:
    """Write a run record as JSON of strings and arrays only.

    Args:
        record: The record.

    Returns:
        Text without spaces; what is hashed is its UTF-8.
    """
    return _to_json(["mlrun-run-1", _struct(record, _COVERED)])


def compute_annotation_digest(event: Annotation) -> str:
    """Compute the digest of an event.

    Args:
        event: The event; its own ``digest`` is not looked at.

    Returns:
        ``sha256:<hex>``.
    """
    return _digest_of("mlrun-annotation-1", event, ANNOTATION_FIELDS)


def compute_tombstone_digest(tombstone: Tombstone) -> str:
    """Compute the digest of a tombstone.

    Args:
        tombstone: The tombstone; its own ``digest`` is not looked at.

    Returns:
        ``sha256:<hex>``.
    """
    return _digest_of("mlrun-tombstone-1", tombstone, TOMBSTONE_FIELDS)


def _digest_of(form: str, event: Annotation | Tombstone, fields: Fields) -> str:
    covered: Fields = {name: kind for name, kind in fields.items() if name != "digest"}
    text = _to_json([form, _struct(event, covered)])
    return "sha256:" + hashlib.sha256(text.encode("utf-8")).hexdigest()


def compute_series_digests(
    steps: npt.NDArray[np.int64], times_us: npt.NDArray[np.int64], values: npt.NDArray[np.float64], ends: list[int]
) -> list[str]:
    """Compute the digests of series that lie one after the other in three arrays.

    Args:
        steps: Steps.
        times_us: Microseconds since the epoch.
        values: Values; every NaN must be the canonical one.
        ends: Where each series ends.

    Returns:
        ``<count>:sha256:<hex>`` for each series.
    """
    import numpy as np

    rows = np.empty((len(steps), 3), dtype=">i8")
    rows[:, 0] = steps
    rows[:, 1] = times_us
    rows[:, 2] = np.ascontiguousarray(values).view(np.int64)
    starts = [0, *ends[:-1]] if ends else []
    return [
        f"{end - start}:sha256:{hashlib.sha256(rows[start:end].data).hexdigest()}"
        for start, end in zip(starts, ends, strict=True)
    ]


def series_bytes(series: Series) -> bytes:
    """Write the points of a series as its digest reads them: 24 bytes each, big-endian.

    Args:
        series: The series.
    """
    import numpy as np

    rows = np.empty((len(series), 3), dtype=">i8")
    rows[:, 0] = series.steps
    rows[:, 1] = series.times_us
    rows[:, 2] = np.ascontiguousarray(series.values).view(np.int64)
    return rows.tobytes()


def _struct(item: RunRecord | Artifact | Verdict | Annotation | Tombstone, fields: Fields) -> Canonical:
    return [[name, _WRITE[fields[name]](getattr(item, name))] for name in sorted(fields)]


def _float(value: float) -> str:
    return _NAN if value != value else struct.pack(">d", value).hex()  # noqa: PLR0124 - only NaN differs from itself


def _pairs(values: Mapping[str, str]) -> Canonical:
    # Code points and UTF-8 bytes sort alike; UTF-16 units, JavaScript's default, do not.
    return [[name, values[name]] for name in sorted(values)]


def _optional(write: Callable[..., Canonical]) -> Callable[..., Canonical]:
    return lambda value: ["n"] if value is None else write(value)


def _text(value: str) -> Canonical:
    return value


def _number(value: int) -> Canonical:
    return str(int(value))


_WRITE: Final[Mapping[Kind, Callable[..., Canonical]]] = {
    "text": _text,
    "text?": _optional(_text),
    "int": _number,
    "int?": _optional(_number),
    "float?": _optional(_float),
    "bool": lambda value: "true" if value else "false",
    "time": _number,
    "texts": _pairs,
    "numbers": lambda values: [[name, _float(values[name])] for name in sorted(values)],
    "artifacts": lambda items: [_struct(item, ARTIFACT_FIELDS) for item in items],
    "gates": lambda items: [_struct(item, GATE_FIELDS) for item in items],
}
