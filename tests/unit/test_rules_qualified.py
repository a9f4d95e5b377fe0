"""A class or function is named by an import path that lasts, or not at all."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import Ridge

from pytest_mlrun.rules.qualified import qualified_name


def build() -> None: ...


class Net:
    def forward(self) -> None: ...

    @classmethod
    def small(cls) -> None: ...


class CallableInstance:
    def __call__(self) -> None: ...


@functools.lru_cache
def cached() -> None: ...


def _renamed() -> Callable[[], None]:
    def inner() -> None: ...

    inner.__qualname__ = "build"
    return inner


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (Ridge, "sklearn.linear_model.Ridge"),
        (HistGradientBoostingClassifier, "sklearn.ensemble.HistGradientBoostingClassifier"),
        (np.log1p, "numpy.log1p"),
        (np.mean, "numpy.mean"),
        (math.sqrt, "math.sqrt"),
        (len, "builtins.len"),
        (dict, "builtins.dict"),
        (build, f"{__name__}.build"),
        (Net, f"{__name__}.Net"),
        (Net.forward, f"{__name__}.Net.forward"),
        (Net.small, f"{__name__}.Net.small"),
        (cached, f"{__name__}.cached"),
    ],
)
def test_what_can_be_imported_is_named_by_its_public_path(value: object, name: str) -> None:
    assert qualified_name(value) == name


@pytest.mark.parametrize(
    "value",
    [
        lambda: None,
        Net().forward,
        CallableInstance(),
        _renamed(),
        list[int],
        functools.partial(build),
        3,
    ],
    ids=["lambda", "method of an instance", "callable instance", "impostor", "generic", "partial", "number"],
)
def test_what_no_import_reaches_has_no_name(value: object) -> None:
    assert qualified_name(value) is None


def test_a_class_inside_a_function_has_no_name() -> None:
    class Local: ...

    assert qualified_name(Local) is None
