"""Write an event as one line of JSON, and read back nothing but what such a line can say."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from pytest_mlrun.records.annotation import Annotation
    from pytest_mlrun.records.retention import Tombstone
    from pytest_mlrun.store.schema import Fields

_Event = TypeVar("_Event")
_KINDS: Final[Mapping[str, type]] = {"text": str, "int": int, "time": int, "texts": dict}


def encode_event(event: Annotation | Tombstone, fields: Fields) -> bytes:
    """Write an event as its file holds it: one line of JSON, keys sorted.

    Args:
        event: The event.
        fields: Its fields.

    Returns:
        UTF-8.
    """
    values = {name: getattr(event, name) for name in fields}
    plain = {name: dict(value) if isinstance(value, Mapping) else value for name, value in values.items()}
    text = json.dumps(plain, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return text.encode("utf-8") + b"\n"


def decode_event(content: bytes, kind: Callable[..., _Event], fields: Fields) -> _Event:
    """Read an event whose fields are all there and of their kinds; its digest is the caller's affair.

    Args:
        content: The bytes of its file.
        kind: The event's class.
        fields: Its fields.

    Returns:
        The event.

    Raises:
        ValueError: A field is missing or of another kind.
    """
    values = json.loads(content)
    if not isinstance(values, dict) or any(
        type(values.get(name)) is not _KINDS[known] for name, known in fields.items()
    ):
        raise ValueError("a field is missing or of another kind")
    for name, known in fields.items():
        if known == "texts" and not all(isinstance(text, str) for text in values[name].values()):
            raise ValueError(f"one of the {name} is no text")
    return kind(**{name: values[name] for name in fields})
