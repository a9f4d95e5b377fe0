"""Collect what went wrong outside any test, so that the session ends with one clear error and loses nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from pytest_mlrun.errors import MlrunError


class Troubles:
    """What went wrong while runs were announced, or while the store was closed."""

    def __init__(self) -> None:
        self._texts: Counter[str] = Counter()

    def __bool__(self) -> bool:
        return bool(self._texts)

    def note(self, text: str) -> None:
        """Keep a text; the same one is said once."""
        self._texts[text] += 1

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Keep the text of an error of ours, which no hook may raise at the end of the session."""
        try:
            yield
        except MlrunError as error:
            self.note(str(error))

    def announce(self, hook: Callable[[], object], *, name: str) -> None:
        """Call a hook that others implement; what it raises must not stop the session."""
        stops = (KeyboardInterrupt, pytest.exit.Exception)
        done = pytest.CallInfo.from_call(hook, when="call", reraise=stops)
        if done.excinfo is not None:
            entry = done.excinfo.traceback[-1]
            where = f"{entry.path}:{entry.lineno + 1}"
            error = MlrunError(
                f"{name} raised {done.excinfo.exconly()}",
                where=where,
                next_step="the runs are recorded: correct the hook",
            )
            self.note(str(error))

    def lines(self) -> list[str]:
        """Return what to say, each text once."""
        return [f"{text}\n  ({count} times)" if count > 1 else text for text, count in self._texts.items()]
