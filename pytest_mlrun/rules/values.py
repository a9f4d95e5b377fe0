"""Describe a value as plain JSON that means the same in every process, on every machine, for years."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import inspect
import json
import math
from argparse import Namespace
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from types import SimpleNamespace
from typing import TYPE_CHECKING, TypeAlias

from pytest_mlrun.rules.qualified import default_arguments, qualified_name

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_DEPTH = 30
MAX_INT_BITS = 12_000
GIVE_AN_ID = 'give it an id: pytest.param(…, id="…"), or log text or numbers that say what it is'

JSON: TypeAlias = bool | int | float | str | list["JSON"] | dict[str, "JSON"] | None


class UndescribableError(Exception):
    """Part of a value has no stable description; the message says which and why, and perhaps a better cure."""

    def __init__(self, reason: str, *, cure: str = "") -> None:
        super().__init__(reason)
        self.cure = f"{cure}, or {GIVE_AN_ID}" if cure else GIVE_AN_ID


def describe_value(value: object, path: str, depth: int = 0) -> JSON:
    """Return plain JSON for a value; what JSON lacks is an object with a key that begins with ``$``.

    An estimator becomes its class, ``get_params()`` and the names of those that are no defaults, a dataclass its class
    and fields, a class or function its qualified name, ``functools.partial`` its parts, an array its digest, an enum
    member its name, a date its ISO text. A key of the user's that begins with ``$`` is written with ``$$``.

    Args:
        value: The value.
        path: Where it stands, for the message, such as ``model.steps[0]``.
        depth: How deep it is nested.

    Raises:
        UndescribableError: If it, or a part of it, has no stable description.
    """
    if depth > MAX_DEPTH:
        raise UndescribableError(f"it is nested more than {MAX_DEPTH} levels deep")
    if isinstance(value, Enum):
        return _describe_enum(value, path, depth)
    if value is None or isinstance(value, bool | int | float | str):
        return _describe_scalar(value)
    if isinstance(value, list | tuple):
        return [describe_value(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(value)]
    if isinstance(value, date | time | timedelta | Decimal | range):
        return _describe_quantity(value)
    return _describe_object(value, path, depth)


def _describe_object(value: object, path: str, depth: int) -> JSON:
    if isinstance(value, PurePath):
        raise UndescribableError(
            "a path is not a param, it names another file elsewhere", cure="name it under [data.…] in mlrun.toml"
        )
    if isinstance(value, type):
        return {"$callable": _name_of(value, path)}
    if callable(getattr(value, "get_params", None)):
        return _describe_estimator(value, path, depth)
    if hasattr(value, "__array__") and hasattr(value, "dtype"):
        return _describe_array(value, path, depth)
    if isinstance(value, Mapping):
        return _describe_dict(value, path, depth)
    return _describe_parts(value, path, depth)


def _describe_parts(value: object, path: str, depth: int) -> JSON:
    if isinstance(value, functools.partial):
        parts = {"args": list(value.args), "callable": value.func, "keywords": dict(value.keywords)}
        return {"$partial": {key: describe_value(part, f"{path}.{key}", depth + 1) for key, part in parts.items()}}
    if isinstance(value, AbstractSet):
        items = [describe_value(item, f"{path} item", depth + 1) for item in value]
        return {"$set": sorted(items, key=lambda item: json.dumps(item, sort_keys=True))}
    fields = fields_of(value)
    if fields is not None:
        named = {key: describe_value(item, f"{path}.{key}", depth + 1) for key, item in fields.items()}
        return {"$object": _name_of(type(value), path), "fields": named}
    if callable(value):
        return {"$callable": _name_of(value, path)}
    table = hasattr(value, "columns") and hasattr(value, "shape")
    raise UndescribableError(
        _unstable(value, path), cure="a table is data: name its file under [data.…]" if table else ""
    )


def _describe_quantity(value: date | time | timedelta | Decimal | range) -> JSON:
    if isinstance(value, date | time):
        return {"$date": value.isoformat()}
    if isinstance(value, timedelta):
        return {"$timedelta": value.total_seconds()}
    if isinstance(value, Decimal):
        return {"$decimal": str(value)}
    return {"$range": [value.start, value.stop, value.step]}


def _describe_scalar(value: bool | float | str | None) -> JSON:
    # Subclasses such as numpy.float64 or numpy.str_ are their plain Python value.
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        if value.bit_length() > MAX_INT_BITS:
            raise UndescribableError("it is a number of thousands of digits")
        return int(value)
    if isinstance(value, str):
        return str.__str__(value)
    if math.isfinite(value):
        return float(value)
    return {"$f": "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"}


def _describe_enum(value: Enum, path: str, depth: int) -> JSON:
    described: dict[str, JSON] = {"$enum": f"{_name_of(type(value), path)}.{value.name}"}
    try:
        plain = value.value
        described["value"] = describe_value(plain, path, depth + 1)
    except UndescribableError:
        pass  # The qualified name alone is stable.
    return described


def _describe_dict(value: Mapping[object, object], path: str, depth: int) -> JSON:
    if all(isinstance(key, str) and not isinstance(key, Enum) for key in value):
        texts = {str(key): item for key, item in value.items()}
        return {
            f"${key}" if key.startswith("$") else key: describe_value(item, f"{path}.{key}", depth + 1)
            for key, item in texts.items()
        }
    # class_weight={0: 1, 1: 10}: JSON's keys are text, which would make 0 and "0" one key.
    pairs: list[JSON] = [
        [describe_value(key, f"{path} key", depth + 1), describe_value(item, f"{path}[{key!r}]", depth + 1)]
        for key, item in value.items()
    ]
    return {"$dict": sorted(pairs, key=lambda pair: json.dumps(pair, sort_keys=True))}


def _describe_estimator(value: object, path: str, depth: int) -> JSON:
    kind = _name_of(type(value), path)
    get_params: Callable[..., object] = value.get_params  # type: ignore[attr-defined]
    try:
        params = get_params(deep=False)
    except (TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise UndescribableError(f"{path}: get_params() of {kind} failed: {error}") from error
    if not isinstance(params, Mapping):
        raise UndescribableError(_unstable(value, path))
    described = {str(key): describe_value(item, f"{path}.{key}", depth + 1) for key, item in params.items()}
    return {"$estimator": kind, "params": described, "given": _find_given(type(value), described)}


def _find_given(kind: type, described: Mapping[str, JSON]) -> list[JSON]:
    """Return the params that are not the class's defaults: what a person wrote, and what a table shows."""
    defaults = default_arguments(kind)
    return [name for name in described if name not in defaults or not _is_described(defaults[name], described[name])]


def _is_described(default: object, described: JSON) -> bool:
    try:
        return describe_value(default, "") == described
    except UndescribableError:
        return False


def _describe_array(value: object, path: str, depth: int) -> JSON:
    import numpy as np

    if isinstance(value, np.datetime64):
        return {"$date": str(np.datetime_as_string(value))}
    if isinstance(value, np.timedelta64):
        return {"$timedelta": float(value / np.timedelta64(1, "s"))}
    item: object = value.item() if isinstance(value, np.generic) else None
    if isinstance(item, bool | int | float | str):
        return _describe_scalar(item)
    if isinstance(value, np.generic | np.ma.MaskedArray):
        raise UndescribableError(_unstable(value, path))
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UndescribableError(f"{path}: {type(value).__name__} cannot be read as an array: {error}") from error
    # Records and long doubles have padding between their values, which is whatever memory held before.
    if array.dtype.kind == "O":
        # Names of columns, for instance: what the array holds says more than where it lies in memory.
        return describe_value(array.tolist(), path, depth + 1)
    if array.dtype.hasobject or array.dtype.kind == "V" or array.dtype.char in "gG":
        raise UndescribableError(f"{path} is an array of {array.dtype}, whose bytes have no stable digest")
    return _digest_array(array)


def _digest_array(array: NDArray[object]) -> JSON:  # type: ignore[type-var]
    little = array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)
    digest = hashlib.sha256(little.tobytes(order="C")).hexdigest()
    return {"$array": f"sha256:{digest}", "dtype": little.dtype.str, "shape": list(array.shape)}


def fields_of(value: object) -> dict[str, object] | None:
    """Return what a configuration object holds, by name: a dataclass, an attrs or pydantic object, a namespace, or one
    that splits data for cross-validation. None for any other.
    """  # noqa: D205 - the kinds are one list
    if dataclasses.is_dataclass(value):
        # What does not take part in comparison is not part of what the value is.
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value) if field.compare}
    if isinstance(value, Namespace | SimpleNamespace):
        return dict(vars(value))
    for listed in ("__attrs_attrs__", "model_fields"):
        fields = getattr(type(value), listed, None)
        if isinstance(fields, tuple | Mapping):
            names = [getattr(field, "name", field) for field in fields]
            return {name: getattr(value, name) for name in names if isinstance(name, str)}
    if callable(getattr(value, "split", None)) and callable(getattr(value, "get_n_splits", None)):
        return _arguments_of(value)
    return None


def _arguments_of(value: object) -> dict[str, object] | None:
    """Return the arguments that an object of scikit-learn's kind was made with: it keeps them under their names."""
    kept = {**getattr(value, "cvargs", {}), **vars(value)}
    names = [name for name in inspect.signature(type(value)).parameters if name in kept]
    return (
        {name: kept[name] for name in names} if len(names) == len(inspect.signature(type(value)).parameters) else None
    )


def _name_of(value: object, path: str) -> str:
    name = qualified_name(value)
    if name is None:
        raise UndescribableError(_unstable(value, path))
    return name


def _unstable(value: object, path: str) -> str:
    kind = getattr(value, "__qualname__", type(value).__name__) if callable(value) else type(value).__name__
    inside = f"{path} is a {kind}, which" if any(mark in path for mark in ".[ ") else str(kind)
    return f"{inside} has no stable description"
