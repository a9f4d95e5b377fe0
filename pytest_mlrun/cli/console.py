"""Write to a terminal or a pipe, as wide and as plain as it needs."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from pytest_mlrun.errors import MlrunError
from pytest_mlrun.report.table import clean_text

_CODES = {"bold": "1", "red": "31", "green": "32", "yellow": "33", "faint": "2"}


@dataclass(frozen=True, slots=True)
class Console:
    """What a verb knows of its surroundings.

    Attributes:
        out: What was asked for goes here.
        err: What a person should know besides goes here.
        width: Terminal columns of ``out``; None if it is not a terminal, where nothing is cut.
        colour: Whether ``out`` shows colours.
        live: Whether ``err`` is a terminal, where progress can be shown.
        folder: Current folder.
        environ: Environment variables.
        now_us: Microseconds since the epoch, UTC.
    """

    out: TextIO
    err: TextIO
    width: int | None
    colour: bool
    live: bool
    folder: Path
    environ: Mapping[str, str]
    now_us: int

    def write(self, text: str, markup: Mapping[str, bool] | None = None) -> None:
        """Write a line of what was asked for.

        Args:
            text: The line, clean.
            markup: Such as ``{"bold": True}``; never the only bearer of a fact.
        """
        codes = [_CODES[name] for name, wanted in (markup or {}).items() if wanted]
        if self.colour and codes:
            text = f"\x1b[{';'.join(codes)}m{text}\x1b[0m"
        self.out.write(text + "\n")

    def write_all(self, lines: Iterable[str]) -> None:
        """Write lines of what was asked for."""
        for line in lines:
            self.write(line)

    def note(self, text: str) -> None:
        """Write a line beside what was asked for."""
        self.err.write(clean_text(text) + "\n")

    def write_error(self, error: MlrunError) -> None:
        """Write what went wrong, in four parts."""
        self.err.write("".join(f"{clean_text(line)}\n" for line in f"error: {error}".splitlines()))


def make_console() -> Console:
    """Return the console of this process."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            # A terminal that cannot show a sparkline should get "?" and not a traceback.
            reconfigure(errors="replace")
    terminal = sys.stdout.isatty()
    return Console(
        out=sys.stdout,
        err=sys.stderr,
        width=shutil.get_terminal_size().columns if terminal else None,
        colour=terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb",
        live=sys.stderr.isatty(),
        folder=Path.cwd(),
        environ=os.environ,
        now_us=time.time_ns() // 1000,
    )
