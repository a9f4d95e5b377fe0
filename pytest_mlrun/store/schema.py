"""Say which fields a record has, and of which kind: digest, log and columns all follow this table."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final, Literal, TypeVar, cast

from pytest_mlrun.records.run import Artifact, RunEnd, RunRecord, RunStart
from pytest_mlrun.records.verdict import Verdict

Kind = Literal["text", "text?", "int", "int?", "float?", "bool", "time", "texts", "numbers", "artifacts", "gates"]
Fields = Mapping[str, Kind]
Scalar = str | int | float | bool | None
Struct = Artifact | Verdict
Loaded = TypeVar("Loaded")

RUN_FIELDS: Final[Fields] = {
    "run_id": "text",
    "session_id": "text",
    "experiment": "text",
    "name": "text",
    "test": "text",
    "case": "text",
    "attempt": "int",
    "parent_id": "text?",
    "status": "text",
    "outcome": "text",
    "cause": "text",
    "cause_detail": "text",
    "error": "text",
    "started_us": "time",
    "ended_us": "time",
    "params": "texts",
    "metrics": "numbers",
    "tags": "texts",
    "context": "texts",
    "artifacts": "artifacts",
    "gates": "gates",
    "series": "texts",
    "v": "int",
    "digest": "text",
}
"""Every field of ``RunRecord``, in the order of the columns."""

ARTIFACT_FIELDS: Final[Fields] = {
    "name": "text",
    "digest": "text",
    "size_bytes": "int",
    "media_type": "text",
    "role": "text",
    "unsafe": "bool",
    "time_us": "time",
}

GATE_FIELDS: Final[Fields] = {
    "gate": "text",
    "metric": "text",
    "decision": "text",
    "calibrated": "bool",
    "method": "text",
    "claim": "text",
    "estimate": "float?",
    "bound": "float?",
    "low": "float?",
    "high": "float?",
    "margin": "float?",
    "alpha": "float?",
    "m": "int?",
    "p": "float?",
    "n": "int?",
    "n_eff": "float?",
    "mde": "float?",
    "at": "text",
    "require": "text",
    "primary": "bool",
    "baseline_id": "text?",
    "baseline_digest": "text?",
    "reason": "text",
}

START_FIELDS: Final[Fields] = {
    "run_id": "text",
    "session_id": "text",
    "experiment": "text",
    "name": "text",
    "test": "text",
    "case": "text",
    "attempt": "int",
    "parent_id": "text?",
    "started_us": "time",
    "params": "texts",
    "tags": "texts",
    "context": "texts",
}

END_FIELDS: Final[Fields] = {
    "status": "text",
    "outcome": "text",
    "cause": "text",
    "cause_detail": "text",
    "error": "text",
    "ended_us": "time",
}


ANNOTATION_FIELDS: Final[Fields] = {
    "annotation_id": "text",
    "run_id": "text",
    "time_us": "time",
    "who": "text",
    "note": "text",
    "tags": "texts",
    "v": "int",
    "digest": "text",
}


TOMBSTONE_FIELDS: Final[Fields] = {
    "tombstone_id": "text",
    "time_us": "time",
    "who": "text",
    "objects": "texts",
    "v": "int",
    "digest": "text",
}


def clean(text: str) -> str:
    r"""Make text that UTF-8 can carry: node ids and paths may hold lone surrogates.

    Args:
        text: Any text.

    Returns:
        The text, lone surrogates written as ``\udc80``.
    """
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def clean_texts(values: Mapping[str, str]) -> dict[str, str]:
    """Clean names and texts.

    Args:
        values: Name to text.

    Returns:
        A new mapping.
    """
    return {clean(str(name)): clean(str(text)) for name, text in values.items()}


def dump_fields(record: RunStart | RunEnd | RunRecord | Artifact | Verdict, fields: Fields) -> dict[str, object]:
    """Turn a record into what JSON can hold, forcing every field to its kind.

    Args:
        record: The record.
        fields: Its fields.

    Returns:
        Field name to text, number, truth value, null, list or mapping; floats that JSON lacks as ``{"$f": "nan"}``.
    """
    return {name: _DUMP[kind](getattr(record, name)) for name, kind in fields.items()}


def load_fields(kind: Callable[..., Loaded], fields: Fields, content: Mapping[str, object]) -> Loaded:
    """Rebuild a record from what JSON held; fields that an older version did not write keep their defaults.

    Args:
        kind: The record's class.
        fields: Its fields.
        content: What ``dump_fields`` made.

    Returns:
        The record.
    """
    return kind(**{name: _LOAD[what](content[name]) for name, what in fields.items() if name in content})


def dump_float(value: float) -> object:
    """Write a float for JSON.

    Args:
        value: Any float.

    Returns:
        The float, or ``{"$f": "nan" | "inf" | "-inf"}``.
    """
    value = float(value)
    return value if math.isfinite(value) else {"$f": str(value)}


def load_float(value: object) -> float:
    """Read a float that ``dump_float`` wrote.

    Args:
        value: A number or ``{"$f": ...}``.

    Returns:
        The float.
    """
    if isinstance(value, Mapping):
        return float(str(value["$f"]))
    return float(cast("float", value))


def _optional(convert: Callable[..., object]) -> Callable[..., object]:
    return lambda value: None if value is None else convert(value)


_text: Callable[..., object] = lambda value: clean(str(value))  # noqa: E731

_DUMP: Final[Mapping[Kind, Callable[..., object]]] = {
    "text": _text,
    "text?": _optional(_text),
    "int": int,
    "int?": _optional(int),
    "float?": _optional(dump_float),
    "bool": bool,
    "time": int,
    "texts": clean_texts,
    "numbers": lambda values: {clean(str(name)): dump_float(value) for name, value in values.items()},
    "artifacts": lambda items: [dump_fields(item, ARTIFACT_FIELDS) for item in items],
    "gates": lambda items: [dump_fields(item, GATE_FIELDS) for item in items],
}

_LOAD: Final[Mapping[Kind, Callable[..., object]]] = {
    "text": str,
    "text?": _optional(str),
    "int": int,
    "int?": _optional(int),
    "float?": _optional(load_float),
    "bool": bool,
    "time": int,
    "texts": dict,
    "numbers": lambda values: {name: load_float(value) for name, value in values.items()},
    "artifacts": lambda items: tuple(load_fields(Artifact, ARTIFACT_FIELDS, item) for item in items),
    "gates": lambda items: tuple(load_fields(Verdict, GATE_FIELDS, item) for item in items),
}
