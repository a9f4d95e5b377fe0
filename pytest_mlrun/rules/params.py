"""Describe a param as JSON text that means the same in every process, on every machine, for years."""

from __future__ import annotations

import json
import math
from typing import Final, cast

from pytest_mlrun.errors import ParamError
from pytest_mlrun.records.comparable import comparable_value
from pytest_mlrun.rules.values import JSON, UndescribableError, describe_value

MAX_TEXT_CHARS = 6000
_to_json: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode
_FLOATS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def describe_param(name: str, value: object, *, explicit_id: str | None = None) -> str:
    """Return the JSON text that stands for a param.

    JSON values stand for themselves; ``1``, ``1.0`` and ``True`` stay apart. ``describe_value`` says what becomes of
    everything else.

    Args:
        name: Name of the param, for the message.
        value: What the test receives.
        explicit_id: Id that a person wrote, ``pytest.param(…, id="…")``: stands for a value that nothing else
            describes.

    Raises:
        ParamError: If nothing stable describes the value and it has no id of its own.
    """
    try:
        text = _to_json(describe_value(value, name))
        if len(text) > MAX_TEXT_CHARS:
            raise UndescribableError(
                f"{len(text)} characters of JSON are more than {MAX_TEXT_CHARS}",
                cure="keep it in a file under [data.…]",
            )
    except UndescribableError as reason:
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
    return cast("JSON", comparable_value(json.loads(text)))


def estimator_params(text: str | None) -> tuple[str, dict[str, str]] | None:
    """Return the class of an estimator and its params as JSON texts, or None for any other param.

    Args:
        text: JSON text of the param.
    """
    match None if text is None else json.loads(text):
        case {"$estimator": str(name), "params": dict(params)}:
            return name, {str(key): json.dumps(value, sort_keys=True) for key, value in params.items()}
    return None


def show_param(text: str, *, width: int = 40, whole: bool = False) -> str:
    """Return a short form for tables: ``0.05``, ``gini``, ``Ridge(alpha=0.5)``, ``sha256:5f3a91…``.

    Args:
        text: JSON text of the param.
        width: Longest result, in characters.
        whole: Whether an estimator shows the params that it has by default, too.
    """
    plain: JSON = json.loads(text)
    shown = _show(plain if whole else _without_defaults(plain), 0)
    return shown if len(shown) <= width else shown[: width - 1] + "…"


# -- read and show -----------------------------------------------------------------------------------------------------


def _read(plain: JSON) -> JSON:
    if isinstance(plain, list):
        return [_read(item) for item in plain]
    if not isinstance(plain, dict):
        return plain
    if set(plain) == {"$f"}:
        return _FLOATS[str(plain["$f"])]
    return {key[1:] if key.startswith("$$") else key: _read(item) for key, item in plain.items()}


def _without_defaults(plain: JSON) -> JSON:
    if isinstance(plain, list):
        return [_without_defaults(item) for item in plain]
    if not isinstance(plain, dict):
        return plain
    match plain:
        case {"$estimator": name, "params": dict(params), "given": list(given)}:
            return {
                "$estimator": name,
                "params": {key: _without_defaults(params[key]) for key in params if key in given},
            }
    return {key: _without_defaults(item) for key, item in plain.items()}


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
        case {"$array": digest}:
            return f"{str(digest)[:13]}…"
        case {"$callable": name}:
            shown = str(name).rpartition(".")[2]
        case {"$enum": name}:
            shown = ".".join(str(name).split(".")[-2:])
        case {"$estimator": name, "params": params} | {"$object": name, "fields": params}:
            shown = str(name).rpartition(".")[2] + _show_keywords(params, depth)
        case {"$partial": parts}:
            shown = _show_partial(parts, depth)
        case {"$dict": pairs}:
            items = [_items(pair) for pair in _items(pairs)]
            shown = "{" + ", ".join(": ".join(_show(part, depth + 1) for part in pair) for pair in items) + "}"
        case _:
            shown = _show_quantity(plain, depth) or _show_mapping(plain, depth)
    return shown


def _show_quantity(plain: dict[str, JSON], depth: int) -> str:
    match plain:
        case {"$f": text} | {"$id": text} | {"$date": text} | {"$decimal": text}:
            return str(text)
        case {"$timedelta": seconds}:
            return f"{seconds} s"
        case {"$set": members}:
            return "{" + ", ".join(_show(item, depth + 1) for item in _items(members)) + "}"
        case {"$range": bounds}:
            return f"range({', '.join(str(bound) for bound in _items(bounds))})"
    return ""


def _show_mapping(plain: dict[str, JSON], depth: int) -> str:
    named = ((key[1:] if key.startswith("$$") else key, item) for key, item in plain.items())
    return "{" + ", ".join(f"{key}: {_show(item, depth + 1)}" for key, item in named) + "}"


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
