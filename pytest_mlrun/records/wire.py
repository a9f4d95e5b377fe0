"""Turn run records into plain values that any process can receive, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import TypeAlias, TypeVar, cast

from pytest_mlrun.records.run import Artifact, RunRecord
from pytest_mlrun.records.verdict import Verdict

Plain: TypeAlias = str | int | float | bool | list["Plain"] | dict[str, "Plain"] | None
_Struct = TypeVar("_Struct", Artifact, Verdict)


def to_plain(record: RunRecord) -> dict[str, Plain]:
    """Return a record as text, numbers, truth values, None, lists and dicts only.

    Args:
        record: Any record. Subclasses of the plain types, such as ``numpy.float64``, become the plain types.

    Returns:
        Field name to plain value; NaN and infinities stay floats.

    Raises:
        TypeError: If a field holds something that is not what its annotation says.
    """
    return {field.name: _plain(getattr(record, field.name)) for field in fields(record)}


def from_plain(plain: Mapping[str, Plain]) -> RunRecord:
    """Rebuild the record that ``to_plain`` took apart.

    Args:
        plain: What ``to_plain`` returned.

    Returns:
        An equal record.
    """
    values = cast("dict[str, object]", dict(plain))
    values["artifacts"] = _structs(Artifact, plain["artifacts"])
    values["gates"] = _structs(Verdict, plain["gates"])
    return RunRecord(**values)  # type: ignore[arg-type]


def _structs(kind: type[_Struct], plain: Plain) -> tuple[_Struct, ...]:
    items = cast("list[dict[str, object]]", plain)
    return tuple(kind(**item) for item in items)  # type: ignore[arg-type]


def _plain(value: object) -> Plain:
    if value is None or isinstance(value, bool):
        return value
    # execnet looks at the exact type: a numpy.float64 would kill the worker, although it is a float.
    for kind in (str, int, float):
        if isinstance(value, kind):
            return kind(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Sequence):
        return [_plain(item) for item in value]
    raise TypeError(f"{type(value).__name__} is not a value that a run record holds")
