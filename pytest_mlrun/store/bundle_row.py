"""Read a run record back from the text that its digest is computed over."""

from __future__ import annotations

import hashlib
import json
import math
import re
import struct
from collections.abc import Callable, Mapping
from typing import Final, TypeVar, cast

from pytest_mlrun.records.run import OUTCOMES, RECORD_VERSION, STATUSES, Artifact, RunRecord
from pytest_mlrun.records.verdict import Verdict
from pytest_mlrun.store.digest import canonical_text
from pytest_mlrun.store.schema import ARTIFACT_FIELDS, GATE_FIELDS, RUN_FIELDS, Fields, Kind

_FORM: Final = "mlrun-run-1"
_RUN_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MOST_DIGITS: Final = 20

Loaded = TypeVar("Loaded")


def parse_run(content: bytes) -> RunRecord:
    """Read a record.

    Args:
        content: UTF-8 of the canonical text (docs/format.md), whoever wrote it.

    Returns:
        The record, with the digest that follows from the text. It has ended, and writing it gives the same text.

    Raises:
        ValueError: It is no such text.
    """
    text = content.decode("utf-8")
    try:
        form, fields = json.loads(text)
        if form != _FORM:
            raise ValueError(f"a record of the form {str(form)[:40]!r} is not known")
        wanted: Fields = {name: kind for name, kind in RUN_FIELDS.items() if name != "digest"}
        record = _struct(RunRecord, wanted, fields, digest=f"sha256:{hashlib.sha256(content).hexdigest()}")
        same = canonical_text(record) == text
    except (TypeError, KeyError, AttributeError, RecursionError, struct.error) as error:
        raise ValueError("the record has not the form of one") from error
    if not same:
        raise ValueError("the record is not written in its canonical form")
    if record.v != RECORD_VERSION or record.status not in STATUSES or record.outcome not in OUTCOMES:
        raise ValueError("the record says what no record of this version says")
    if record.status == "running" or not _RUN_ID.fullmatch(record.run_id):
        raise ValueError("the record is not that of a run that has ended")
    return record


def _struct(make: Callable[..., Loaded], kinds: Fields, given: object, **more: str) -> Loaded:
    pairs = _mapping(given, lambda value: value)
    if pairs.keys() != kinds.keys():
        raise ValueError("the record has other fields than a record has")
    return make(**{name: _READ[kinds[name]](value) for name, value in pairs.items()}, **more)


def _mapping(given: object, read: Callable[[object], Loaded]) -> dict[str, Loaded]:
    return {_text(name): read(value) for name, value in cast("list[tuple[object, object]]", given)}


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _whole(value: object) -> int:
    text = _text(value)
    if len(text) > _MOST_DIGITS:
        raise ValueError("a number is too long")
    number = int(text)
    if not -(2**63) <= number < 2**63:
        raise ValueError("a number is too large")
    return number


def _float(value: object) -> float:
    (number,) = struct.unpack(">d", bytes.fromhex(_text(value)))
    return math.nan if math.isnan(number) else float(number)


def _bool(value: object) -> bool:
    return {"true": True, "false": False}[_text(value)]


def _optional(read: Callable[[object], object]) -> Callable[[object], object]:
    return lambda value: None if value == ["n"] else read(value)


_READ: Final[Mapping[Kind, Callable[[object], object]]] = {
    "text": _text,
    "text?": _optional(_text),
    "int": _whole,
    "int?": _optional(_whole),
    "float?": _optional(_float),
    "bool": _bool,
    "time": _whole,
    "texts": lambda value: _mapping(value, _text),
    "numbers": lambda value: _mapping(value, _float),
    "artifacts": lambda value: tuple(_struct(Artifact, ARTIFACT_FIELDS, item) for item in cast("list[object]", value)),
    "gates": lambda value: tuple(_struct(Verdict, GATE_FIELDS, item) for item in cast("list[object]", value)),
}
