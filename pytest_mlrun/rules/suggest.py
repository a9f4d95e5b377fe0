"""Guess which known word a misspelt one was meant to be."""

from __future__ import annotations

from collections.abc import Iterable


def did_you_mean(word: str, options: Iterable[str]) -> str:
    """Return the end of an error's headline, such as ``; did you mean 'floors'?``, or nothing.

    Args:
        word: What was written.
        options: What could have been meant.
    """
    # Loaded when something is misspelt: every session that collects experiments imports this module.
    from difflib import get_close_matches

    by_lower = {option.lower(): option for option in options}
    close = get_close_matches(word.lower(), list(by_lower), n=1, cutoff=0.6)
    return f"; did you mean {by_lower[close[0]]!r}?" if close else ""
