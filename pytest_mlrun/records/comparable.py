"""Say what a constraint compares a param with: one answer for rules and store."""

from __future__ import annotations

import math
from typing import Final

_FLOATS: Final = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_NAMES: Final = ("$estimator", "$object", "$callable", "$enum", "$id", "$date", "$decimal")


def comparable_value(plain: object) -> object:
    """Return a param's value, or the name, id or text that stands for it.

    ``params.model == "sklearn.linear_model.Ridge"`` is about an estimator's class, whatever its params.

    Args:
        plain: What the JSON text of the param says.
    """
    if not isinstance(plain, dict):
        return plain
    if "$f" in plain and plain["$f"] in _FLOATS:
        return _FLOATS[plain["$f"]]
    return next((plain[name] for name in _NAMES if name in plain), plain)
