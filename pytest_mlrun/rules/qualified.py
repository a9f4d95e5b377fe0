"""Name a class or function by an import path that lasts."""

from __future__ import annotations

import inspect
import sys
from types import BuiltinMethodType, FunctionType, MethodType


def default_arguments(kind: type) -> dict[str, object]:
    """Return the defaults of the arguments that a class, or a base that it passes them on to, is made with.

    Args:
        kind: The class.
    """
    found: dict[str, object] = {}
    for base in kind.__mro__:
        try:
            parameters = inspect.signature(vars(base)["__init__"]).parameters if "__init__" in vars(base) else {}
        except (TypeError, ValueError):  # written in C, without a signature
            continue
        for name, parameter in parameters.items():
            if parameter.default is not inspect.Parameter.empty:
                found.setdefault(name, parameter.default)
    return found


def qualified_name(value: object) -> str | None:
    """Return such as ``sklearn.linear_model.Ridge``, or None where no import path leads to the value.

    A private module gives way to the public package that offers the same object: releases move
    ``sklearn.linear_model._ridge``, never ``sklearn.linear_model.Ridge``.

    Args:
        value: A class, a function, or another callable.
    """
    module = getattr(value, "__module__", None) or _module_of_ufunc(value)
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
    if not isinstance(module, str) or not isinstance(name, str) or "<" in name:
        return None
    if not (_is_at(value, module, name) if module in sys.modules else isinstance(value, type | FunctionType)):
        return None
    parts = module.split(".")
    private = next((index for index, part in enumerate(parts) if part.startswith("_")), len(parts))
    public = ".".join(parts[:private])
    return f"{public if _is_at(value, public, name) else module}.{name}"


def _module_of_ufunc(value: object) -> str | None:
    # Before numpy 2.2 a ufunc did not know its module.
    return "numpy" if type(value).__module__ == "numpy" and type(value).__name__ == "ufunc" else None


def _is_at(value: object, module: str, name: str) -> bool:
    found: object = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found is value or (isinstance(value, MethodType | BuiltinMethodType) and found == value)
