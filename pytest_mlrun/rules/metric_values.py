"""Turn what a test logs as a metric's value into a float, or refuse it."""

from __future__ import annotations

from typing import SupportsFloat

from pytest_mlrun.errors import MetricError
from pytest_mlrun.rules.arguments import show


def as_float(name: str, value: SupportsFloat) -> float:
    """Return the value as a float.

    Raises:
        MetricError: If it is not one number.
    """
    try:
        if isinstance(value, (str, bytes, bytearray)):
            raise TypeError
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise MetricError(
            f"metric {name!r} is not a number: {show(value)}",
            next_step="pass one number; a table goes to log_table, a text to set_tag",
        ) from None
