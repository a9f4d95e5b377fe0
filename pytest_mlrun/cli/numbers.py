"""Read numbers from the command line."""

from __future__ import annotations

import argparse


def seconds(text: str) -> float:
    """Read a time that something may take.

    Raises:
        argparse.ArgumentTypeError: If it is none.
    """
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < 1e9:  # noqa: PLR2004 - three decades
        raise argparse.ArgumentTypeError(f"expected a number of seconds, found {text!r}")
    return number


def whole(text: str) -> int:
    """Read a whole number of 0 or more.

    Raises:
        argparse.ArgumentTypeError: If it is none.
    """
    number = int(text) if text.isdecimal() else -1
    if number < 0:
        raise argparse.ArgumentTypeError(f"expected a whole number, found {text!r}")
    return number
