"""Warn at the line of the test, where the reader can do something about it."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any


def warn_at_test(text: str, category: type[Warning]) -> None:
    """Warn of the innermost line that is not ours.

    Args:
        text: What to say.
        category: The class that ``filterwarnings`` can name.
    """
    __tracebackhide__ = True
    frame: Any = sys._getframe()  # noqa: SLF001 - what warnings itself walks
    package = str(Path(__file__).parents[1])
    while frame.f_back is not None and frame.f_code.co_filename.startswith(package):
        frame = frame.f_back
    warnings.warn_explicit(text, category, frame.f_code.co_filename, frame.f_lineno)
