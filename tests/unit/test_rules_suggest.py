"""A misspelt word is answered with the one that was meant."""

from __future__ import annotations

import pytest

from pytest_mlrun.rules.suggest import did_you_mean


@pytest.mark.parametrize(
    ("word", "options", "hint"),
    [
        ("floor", ("floors", "seed"), "; did you mean 'floors'?"),
        ("Finished", ("finished", "failed"), "; did you mean 'finished'?"),
        ("exprimnt", ("experiment", "entropy"), "; did you mean 'experiment'?"),
        ("zzz", ("floors", "seed"), ""),
        ("floor", (), ""),
    ],
)
def test_the_closest_known_word_is_suggested(word: str, options: tuple[str, ...], hint: str) -> None:
    assert did_you_mean(word, options) == hint
