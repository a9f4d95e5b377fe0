"""Write an event as its file holds it, and read it back only if it is exactly what was written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Final

from pytest_mlrun.records.event import Event, Value

_KINDS: Final[Mapping[str, type]] = {
    "model": str,
    "number": int,
    "prev": str,
    "kind": str,
    "time_us": int,
    "who": str,
    "note": str,
    "body": dict,
    "v": int,
    "digest": str,
}


def canonical(value: Value | Mapping[str, Value]) -> bytes:
    """Return the one form of a value that is hashed and signed: JSON in UTF-8, keys sorted, without spaces."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("utf-8")


def digest_of(content: bytes) -> str:
    """Return ``sha256:<hex>`` of some bytes."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def compute_event_digest(event: Event) -> str:
    """Return the digest of an event; its own ``digest`` is not looked at."""
    return digest_of(canonical({name: value for name, value in _plain(event).items() if name != "digest"}))


def encode(event: Event) -> bytes:
    """Return the bytes of an event's file: JSON that a reviewer can read, keys sorted, two spaces, LF at its end."""
    return (json.dumps(_plain(event), ensure_ascii=False, sort_keys=True, indent=2) + "\n").encode("utf-8")


def decode(content: bytes, *, model: str, number: int, prev: str) -> Event:
    """Read an event, and hold it to its digest, its place and the event before it.

    Args:
        content: The bytes of its file.
        model: Model that the folder's name says.
        number: Number that the file's name says.
        prev: Digest of the event before; empty for the first.

    Returns:
        The event.

    Raises:
        ValueError: It is not what was written; a sentence.
    """
    try:
        plain = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError("it is not JSON") from error
    if not isinstance(plain, dict) or set(plain) != set(_KINDS):
        raise ValueError("its fields are not those of an event")
    for name, kind in _KINDS.items():
        if type(plain[name]) is not kind:
            raise ValueError(f"its field {name!r} is of another kind")
    event = Event(**plain)
    if event.v != 1:
        raise ValueError(f"it is of version {event.v}, which this program does not read")
    try:
        intact = compute_event_digest(event) == event.digest and encode(event) == content
    except (ValueError, RecursionError) as error:  # a lone surrogate, a NaN
        raise ValueError("it holds what no event can hold") from error
    if not intact:
        raise ValueError("it is not what its digest says")
    if (event.model, event.number) != (model, number):
        raise ValueError(f"it calls itself {event.model} {event.number:06}")
    if event.prev != prev:
        raise ValueError("it does not follow the event before it")
    return event


def clean(text: str) -> str:
    """Return a text that UTF-8 can hold: lone surrogates written out."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _plain(event: Event) -> dict[str, Value]:
    plain: dict[str, Value] = {entry.name: getattr(event, entry.name) for entry in fields(event)}
    return {**plain, "body": dict(event.body)}
