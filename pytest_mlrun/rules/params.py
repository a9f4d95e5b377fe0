"""Describe a param as JSON text that means the same in every process, on every machine, for years."""

from __future__ import annotations

import functools
import hashlib
import json
import math
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import PurePath
from typing import TYPE_CHECKING, TypeAlias

from pytest_mlrun.errors import ParamError
from pytest_mlrun.rules.qualified import qualified_name

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_TEXT_CHARS = 6000
MAX_DEPTH = 30
MAX_INT_BITS = 12_000
GIVE_AN_ID = 'give it an id: pytest.param(…, id="…"), or log text or numbers that say what it is'
_FLOATS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}

JSON: TypeAlias = bool | int | float | str | list["JSON"] | dict[str, "JSON"] | None


class _UndescribableError(Exception):
    """Part of a value has no stable description; the message says which and why, and perhaps a better cure."""

    def __init__(self, reason: str, *, cure: str = "") -> None:
        super().__init__(reason)
        self.cure = f"{cure}, or {GIVE_AN_ID}" if cure else GIVE_AN_ID


def describe_param(name: str, value: object, *, explicit_id: str | None = None) -> str:
    """Return the JSON text that stands for a param.

    JSON values stand for themselves; ``1``, ``1.0`` and ``True`` stay apart. An estimator becomes its class and
    ``get_params()``, a class or function its qualified name, ``functools.partial`` its parts, an array its digest, an
    enum member its name. A key of the user's that begins with ``$`` is written with ``$$``.

    Args:
        name: Name of the param, for the message.
        value: What the test receives.
        explicit_id: Id that a person wrote, ``pytest.param(…, id="…")``: stands for a value that nothing else
            describes.

    Raises:
        ParamError: If nothing stable describes the value and it has no id of its own.
    """
    try:
        text = json.dumps(_describe(value, name, 0), sort_keys=True, separators=(",", ":"), allow_nan=False)
        if len(text) > MAX_TEXT_CHARS:
            raise _UndescribableError(
                f"{len(text)} characters of JSON are more than {MAX_TEXT_CHARS}",
                cure="keep it in a file under [data.…]",
            )
    except _UndescribableError as reason:
        if explicit_id is not None:
            return json.dumps({"$id": explicit_id}, separators=(",", ":"))
        raise ParamError(f"param {name!r} cannot be recorded: {reason}", next_step=reason.cure) from None
    return text


def read_param(text: str) -> JSON:
    """Return what a JSON text of ``describe_param`` says: NaN and infinities as floats, keys as the user wrote."""
    return _read(json.loads(text))


def comparable_param(text: str) -> JSON:
    """Return what a constraint compares a param with: its value, or the name or id that stands for it.

    ``params.model == "sklearn.linear_model.Ridge"`` is about an estimator's class, whatever its params.

    Args:
        text: JSON text of the param.
    """
    plain: JSON = json.loads(text)
    match plain:
        case {"$f": str(word)}:
            return _FLOATS[word]
        case {"$estimator": name} | {"$callable": name} | {"$enum": name} | {"$id": name}:
            return name
    return plain


def estimator_params(text: str | None) -> tuple[str, dict[str, str]] | None:
    """Return the class of an estimator and its params as JSON texts, or None for any other param.

    Args:
        text: JSON text of the param.
    """
    match None if text is None else json.loads(text):
        case {"$estimator": str(name), "params": dict(params)}:
            return name, {str(key): json.dumps(value, sort_keys=True) for key, value in params.items()}
    return None


def show_param(text: str, *, width: int = 40) -> str:
    """Return a short form for tables: ``0.05``, ``gini``, ``Ridge(alpha=1.0)``, ``sha256:5f3a91…``.

    Args:
        text: JSON text of the param.
        width: Longest result, in characters.
    """
    shown = _show(json.loads(text), 0)
    return shown if len(shown) <= width else shown[: width - 1] + "…"


# -- describe ----------------------------------------------------------------------------------------------------------


def _describe(value: object, path: str, depth: int) -> JSON:
    if depth > MAX_DEPTH:
        raise _UndescribableError(f"it is nested more than {MAX_DEPTH} levels deep")
    if isinstance(value, Enum):
        return _describe_enum(value, path, depth)
    if value is None or isinstance(value, bool | int | float | str):
        return _describe_scalar(value)
    if isinstance(value, list | tuple):
        return [_describe(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(value)]
    if type(value) is dict:
        return _describe_dict(value, path, depth)
    return _describe_object(value, path, depth)


def _describe_object(value: object, path: str, depth: int) -> JSON:
    if isinstance(value, PurePath):
        raise _UndescribableError(
            "a path is not a param, it names another file elsewhere", cure="name it under [data.…] in mlrun.toml"
        )
    if isinstance(value, functools.partial):
        parts = {"args": list(value.args), "callable": value.func, "keywords": dict(value.keywords)}
        return {"$partial": {key: _describe(part, f"{path}.{key}", depth + 1) for key, part in parts.items()}}
    if not isinstance(value, type) and callable(getattr(value, "get_params", None)):
        return _describe_estimator(value, path, depth)
    if hasattr(value, "__array__") and hasattr(value, "dtype") and not isinstance(value, type):
        return _describe_array(value, path)
    if callable(value):
        return {"$callable": _name_of(value, path)}
    raise _UndescribableError(_unstable(value, path))


def _describe_scalar(value: bool | float | str | None) -> JSON:
    # Subclasses such as numpy.float64 or numpy.str_ are their plain Python value.
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        if value.bit_length() > MAX_INT_BITS:
            raise _UndescribableError("it is a number of thousands of digits")
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
        described["value"] = _describe(plain, path, depth + 1)
    except _UndescribableError:
        pass  # The qualified name alone is stable.
    return described


def _describe_dict(value: Mapping[object, object], path: str, depth: int) -> JSON:
    if all(isinstance(key, str) and not isinstance(key, Enum) for key in value):
        texts = {str(key): item for key, item in value.items()}
        return {
            f"${key}" if key.startswith("$") else key: _describe(item, f"{path}.{key}", depth + 1)
            for key, item in texts.items()
        }
    # class_weight={0: 1, 1: 10}: JSON's keys are text, which would make 0 and "0" one key.
    pairs: list[JSON] = [
        [_describe(key, f"{path} key", depth + 1), _describe(item, f"{path}[{key!r}]", depth + 1)]
        for key, item in value.items()
    ]
    return {"$dict": sorted(pairs, key=lambda pair: json.dumps(pair, sort_keys=True))}


def _describe_estimator(value: object, path: str, depth: int) -> JSON:
    kind = _name_of(type(value), path)
    get_params: Callable[..., object] = value.get_params  # type: ignore[attr-defined]
    try:
        params = get_params(deep=False)
    except (TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise _UndescribableError(f"{path}: get_params() of {kind} failed: {error}") from error
    if not isinstance(params, Mapping):
        raise _UndescribableError(_unstable(value, path))
    return {
        "$estimator": kind,
        "params": {str(key): _describe(item, f"{path}.{key}", depth + 1) for key, item in params.items()},
    }


def _describe_array(value: object, path: str) -> JSON:
    import numpy as np

    item: object = value.item() if isinstance(value, np.generic) else None
    if isinstance(item, bool | int | float | str):
        return _describe_scalar(item)
    if isinstance(value, np.generic | np.ma.MaskedArray):
        raise _UndescribableError(_unstable(value, path))
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise _UndescribableError(f"{path}: {type(value).__name__} cannot be read as an array: {error}") from error
    # Records and long doubles have padding between their values, which is whatever memory held before.
    if array.dtype.hasobject or array.dtype.kind == "V" or array.dtype.char in "gG":
        raise _UndescribableError(f"{path} is an array of {array.dtype}, whose bytes have no stable digest")
    return _digest_array(array)


def _digest_array(array: NDArray[object]) -> JSON:  # type: ignore[type-var]
    little = array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)
    digest = hashlib.sha256(little.tobytes(order="C")).hexdigest()
    return {"$array": f"sha256:{digest}", "dtype": little.dtype.str, "shape": list(array.shape)}


def _name_of(value: object, path: str) -> str:
    name = qualified_name(value)
    if name is None:
        raise _UndescribableError(_unstable(value, path))
    return name


def _unstable(value: object, path: str) -> str:
    kind = getattr(value, "__qualname__", type(value).__name__) if callable(value) else type(value).__name__
    inside = f"{path} is a {kind}, which" if any(mark in path for mark in ".[ ") else str(kind)
    return f"{inside} has no stable description"


# -- read and show -----------------------------------------------------------------------------------------------------


def _read(plain: JSON) -> JSON:
    if isinstance(plain, list):
        return [_read(item) for item in plain]
    if not isinstance(plain, dict):
        return plain
    if set(plain) == {"$f"}:
        return _FLOATS[str(plain["$f"])]
    return {key[1:] if key.startswith("$$") else key: _read(item) for key, item in plain.items()}


def _show(plain: JSON, depth: int) -> str:
    if isinstance(plain, list):
        return "[" + ", ".join(_show(item, depth + 1) for item in plain) + "]"
    if isinstance(plain, dict):
        return _show_object(plain, depth)
    if isinstance(plain, str):
        return _show_text(plain, depth)
    return str(plain)


def _show_text(text: str, depth: int) -> str:
    # Quotes are noise in a table, unless the text would read as something else without them.
    try:
        json.loads(text)
    except ValueError:
        quoted = depth > 0 or text in {"", "None", "True", "False"} or not text.isprintable() or text != text.strip()
    else:
        quoted = True
    return repr(text) if quoted else text


def _show_object(plain: dict[str, JSON], depth: int) -> str:
    match plain:
        case {"$f": text} | {"$id": text}:
            return str(text)
        case {"$array": digest}:
            return f"{str(digest)[:13]}…"
        case {"$callable": name}:
            shown = str(name).rpartition(".")[2]
        case {"$enum": name}:
            shown = ".".join(str(name).split(".")[-2:])
        case {"$estimator": name, "params": params}:
            shown = str(name).rpartition(".")[2] + _show_keywords(params, depth)
        case {"$partial": parts}:
            shown = _show_partial(parts, depth)
        case {"$dict": pairs}:
            items = [_items(pair) for pair in _items(pairs)]
            shown = "{" + ", ".join(": ".join(_show(part, depth + 1) for part in pair) for pair in items) + "}"
        case _:
            named = ((key[1:] if key.startswith("$$") else key, item) for key, item in plain.items())
            shown = "{" + ", ".join(f"{key}: {_show(item, depth + 1)}" for key, item in named) + "}"
    return shown


def _show_keywords(params: JSON, depth: int) -> str:
    items = params.items() if isinstance(params, dict) else ()
    return "(" + ", ".join(f"{key}={_show(item, depth + 1)}" for key, item in items) + ")"


def _show_partial(parts: JSON, depth: int) -> str:
    known = parts if isinstance(parts, dict) else {}
    keywords = _show_keywords(known.get("keywords"), depth)
    arguments = ", ".join(_show(item, depth + 1) for item in _items(known.get("args")))
    inner = ", ".join(part for part in (arguments, keywords[1:-1]) if part)
    return f"{_show(known.get('callable'), depth)}({inner})"


def _items(plain: JSON) -> list[JSON]:
    return plain if isinstance(plain, list) else []
