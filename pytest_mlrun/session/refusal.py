"""Show an error of ours as its text, without a line of ours above it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

import pytest

from pytest_mlrun.errors import MlrunError

_BETWEEN = ("pluggy.", "_pytest.", "contextlib.")


class Refusal(pytest.fail.Exception):  # type: ignore[misc, name-defined]
    """A failure that shows the text of an error of ours, and no traceback."""

    # The short summary prints module and class before the text, and has little room: "mlrun: data 'churn' changed".
    __module__ = "builtins"
    __qualname__ = "mlrun"

    def __init__(self, cause: MlrunError) -> None:
        super().__init__(str(cause), pytrace=False)
        self.cause = cause


@contextmanager
def refusing() -> Iterator[None]:
    """Turn an error that a hook or fixture of ours raises into a failure that shows its text alone."""
    try:
        yield
    except MlrunError as error:
        # From nothing: pytest would print the chained exception, the same text, a second time.
        raise Refusal(error) from None


@contextmanager
def trimmed() -> Iterator[None]:
    """Cut our own frames off the end of a traceback, so that it ends in the user's line."""
    try:
        yield
    except MlrunError as error:
        last = _find_users_line(error.__traceback__)
        if last is not None:
            last.tb_next = None
        # The text says what it came from; the traceback of that is ours from its first line.
        error.__cause__ = None
        raise


def _find_users_line(entry: TracebackType | None) -> TracebackType | None:
    """Return the last entry before the user's code called ours."""
    last, users = None, False
    while entry is not None:
        module = f"{entry.tb_frame.f_globals.get('__name__', '')}."
        ours = module.startswith("pytest_mlrun.")
        if ours and users:
            return last
        if not ours:
            last, users = entry, users or not module.startswith(_BETWEEN)
        entry = entry.tb_next
    return last
