"""Turn the filters of the command line into constraints on runs."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from pytest_mlrun.errors import QueryError
from pytest_mlrun.records.query import Comparison
from pytest_mlrun.records.run import CAUSES, OUTCOMES, STATUSES
from pytest_mlrun.rules.suggest import did_you_mean

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SPAN = re.compile(r"(\d+)([mhdw])")


def read_tag(text: str) -> Comparison:
    """Return the constraint that ``--tag K=V`` means.

    Raises:
        QueryError: If there is no ``=``.
    """
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise QueryError(f"--tag {text}: expected a name and a value", next_step="write --tag name=value")
    return Comparison("tag", name, "==", value)


def read_since(text: str, *, now_us: int) -> Comparison:
    """Return the constraint that ``--since`` means: a span back from now, or a date or time of this time zone.

    Args:
        text: Such as ``7d`` or ``2026-11-01``.
        now_us: Microseconds since the epoch, UTC.

    Raises:
        QueryError: If it is neither.
    """
    span = _SPAN.fullmatch(text.strip())
    try:
        if span:
            back = timedelta(**{_UNITS[span[2]]: int(span[1])})
            since_us = max(0, now_us - back // timedelta(microseconds=1))
        else:
            since_us = int(datetime.fromisoformat(text.strip()).astimezone().timestamp() * 1_000_000)
    except (ValueError, OverflowError, OSError):
        raise QueryError(
            f"--since {text}: neither a span nor a date", next_step="write 90m, 12h, 7d, 2w or 2026-11-01"
        ) from None
    return Comparison("attribute", "started_us", ">=", since_us)


def check_status(word: str) -> str:
    """Return a status or an outcome.

    Raises:
        QueryError: If there is no such word.
    """
    return _check("--status", word, [*STATUSES, *filter(None, OUTCOMES)])


def read_cause(word: str) -> Comparison:
    """Return the constraint that ``--cause`` means.

    Raises:
        QueryError: If there is no such cause.
    """
    return Comparison("attribute", "cause", "==", _check("--cause", word, list(filter(None, CAUSES))))


def _check(option: str, word: str, known: list[str]) -> str:
    words = list(dict.fromkeys(known))
    if word not in words:
        raise QueryError(
            f"{option} {word}: there is no such word{did_you_mean(word, words)}",
            next_step=f"one of: {', '.join(words)}",
        )
    return word
