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
            next_step=_how_to_log(name, value),
        ) from None


def _how_to_log(name: str, value: object) -> str:
    if isinstance(value, str):
        return f'pass a number: float(…); a text is a tag: mlrun.set_tag("{name}", …)'
    if hasattr(value, "__len__"):
        return (
            f'pass one number, such as its mean; a curve goes point by point: mlrun.log_metric("{name}", value, step)'
        )
    return "pass one number; a table goes to log_table, a text to set_tag"
