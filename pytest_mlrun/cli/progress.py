"""Show on a terminal that something long is still going on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from pytest_mlrun.cli.console import Console
from pytest_mlrun.report.table import clean_text, cut_text

_PATIENCE_S = 2.0
_PERIOD_S = 0.2
_WIDTH = 78


class Progress:
    """A line on the terminal behind standard error, from the third second on; nothing anywhere else.

    Args:
        console: Surroundings.
        task: What is going on, such as ``verifying the store``.
        clock: Seconds, from any start.

    Attributes:
        detail: What is being worked on now; may change at any time.
    """

    def __init__(self, console: Console, task: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.detail = ""
        self._console = console
        self._task = task
        self._clock = clock
        self._began_s = clock()
        self._ended = threading.Event()
        self._shown = False
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        if self._console.live:
            self._thread = threading.Thread(target=self._keep_ticking, daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._shown:
            self._console.err.write("\r\x1b[K")
            self._console.err.flush()

    def tick(self) -> None:
        """Rewrite the line, if it is time to have one."""
        elapsed_s = self._clock() - self._began_s
        if elapsed_s < _PATIENCE_S:
            return
        self._shown = True
        text = cut_text(clean_text(f"{self._task} · {elapsed_s:.0f} s · {self.detail}".rstrip(" ·")), _WIDTH)
        self._console.err.write(f"\r{text}\x1b[K")
        self._console.err.flush()

    def _keep_ticking(self) -> None:
        while not self._ended.wait(_PERIOD_S):
            self.tick()
