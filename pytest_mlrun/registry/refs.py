"""Read how people name a model version: ``churn/3``, ``churn@production``, and MLflow's spellings."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from pytest_mlrun.errors import RegistryError

_MODEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_ALIAS: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,49}")
_MLFLOW: Final = "models:/"


@dataclass(frozen=True, slots=True)
class VersionRef:
    """A model version as it was named.

    Attributes:
        model: Name of the model.
        version: Number, or 0 where an alias is meant.
        alias: Alias, or empty.
        stage: Whether the alias was spelt as a stage of MLflow's, where capitals do not count.
    """

    model: str
    version: int = 0
    alias: str = ""
    stage: bool = False

    def __str__(self) -> str:
        return f"{self.model}@{self.alias}" if self.alias else f"{self.model}/{self.version}"


def is_model_name(text: str) -> bool:
    """Whether a text can name a model: as a folder, and as part of a git ref."""
    return bool(_MODEL.fullmatch(text)) and ".." not in text and not text.endswith((".", ".lock"))


def check_model_name(text: str) -> str:
    """Return a model's name.

    Raises:
        RegistryError: If it can be none.
    """
    if not is_model_name(text):
        raise RegistryError(
            f"{text!r} cannot name a model",
            details=("letters, digits, '.', '_' and '-', 100 at most, beginning with a letter or a digit",),
            next_step="name it like churn or churn-eu",
        )
    return text


def check_alias(text: str) -> str:
    """Return an alias.

    Raises:
        RegistryError: If it can be none.
    """
    if not _ALIAS.fullmatch(text):
        raise RegistryError(
            f"{text!r} cannot be an alias",
            details=("letters, digits, '_' and '-', 50 at most, beginning with a letter",),
            next_step="name it like production or champion",
        )
    return text


def parse_ref(text: str) -> VersionRef | None:
    """Return what a text names, or None if it has not the form of a model version's name."""
    stage = text.startswith(_MLFLOW)
    rest = text.removeprefix(_MLFLOW)
    model, at, alias = rest.partition("@")
    if at:
        return VersionRef(model, alias=alias) if is_model_name(model) and _ALIAS.fullmatch(alias) else None
    model, slash, tail = rest.partition("/")
    if not slash or not is_model_name(model):
        return None
    if re.fullmatch(r"[1-9]\d{0,8}", tail):
        return VersionRef(model, version=int(tail))
    return VersionRef(model, alias=tail, stage=True) if stage and _ALIAS.fullmatch(tail) else None


def expect_ref(text: str) -> VersionRef:
    """Return what a text names.

    Raises:
        RegistryError: If it has not the form of a model version's name.
    """
    found = parse_ref(text)
    if found is None:
        raise RegistryError(
            f"{text!r} names no model version",
            next_step="name one like churn/3 or churn@production; pytest-mlrun models",
        )
    return found
