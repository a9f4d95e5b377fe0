"""Say what a stored model is: its bytes, its format, and what made it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version


@dataclass(frozen=True, slots=True)
class ModelFormat:
    """One way to write a model down.

    Attributes:
        name: Such as ``lightgbm`` or ``skops``; for people and for the record.
        suffix: What an artifact's name ends in.
        media_type: MIME type; what chooses the reader.
        unsafe: Whether reading it can run code.
    """

    name: str
    suffix: str
    media_type: str
    unsafe: bool = False


LIGHTGBM = ModelFormat("lightgbm", ".lightgbm.txt", "text/vnd.lightgbm")
XGBOOST = ModelFormat("xgboost", ".xgboost.json", "application/vnd.xgboost+json")
SKOPS = ModelFormat("skops", ".skops", "application/vnd.skops")
ONNX = ModelFormat("onnx", ".onnx", "application/vnd.onnx")
SAFETENSORS = ModelFormat("safetensors", ".safetensors", "application/vnd.safetensors")
PICKLE = ModelFormat("pickle", ".pkl", "application/x-python-pickle", unsafe=True)
FORMATS = (LIGHTGBM, XGBOOST, SKOPS, ONNX, SAFETENSORS, PICKLE)


@dataclass(frozen=True, slots=True)
class EncodedModel:
    """A model as bytes.

    Attributes:
        content: The file's bytes.
        format: How they are to be read.
        class_name: Qualified name of the model's class.
        libraries: Distribution to version, of what wrote them.
    """

    content: bytes
    format: ModelFormat
    class_name: str
    libraries: Mapping[str, str] = field(default_factory=dict)

    def facts(self) -> dict[str, object]:
        """Return what a reader in five years needs to know beside the bytes."""
        return {"format": self.format.name, "class": self.class_name, "libraries": dict(self.libraries)}


def class_name_of(model: object) -> str:
    """Return the qualified name of a model's class."""
    return f"{type(model).__module__}.{type(model).__qualname__}"


def is_from(model: object, root: str) -> bool:
    """Say whether an object's class, or one that it derives from, is of a package; nothing is imported."""
    return any(kind.__module__.partition(".")[0] == root for kind in type(model).__mro__)


def plain_settings(settings: Mapping[str, object]) -> dict[str, object]:
    """Return those settings that have a JSON form; what is code, such as a callback, has none."""
    plain = {}
    for name, value in settings.items():
        try:
            plain[name] = json.loads(json.dumps(value))
        except (TypeError, ValueError):
            continue
    return plain


def versions_of(*distributions: str) -> dict[str, str]:
    """Return the versions of those distributions that are installed."""
    found = {}
    for name in distributions:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
