"""Give an audit a folder that is gone afterwards, whatever ends it."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

from pytest_mlrun.audit.processes import uninterrupted

_ENDING: Final = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make a folder and remove it at the end of the block, be it by Ctrl-C, SIGTERM or a closed terminal."""
    with _ending_raises():
        folder: Path | None = None
        try:
            with uninterrupted():
                folder = Path(tempfile.mkdtemp(prefix="mlrun-audit-")).resolve()
            yield folder
        finally:
            with _undisturbed():
                if folder is not None:
                    shutil.rmtree(folder, onerror=_make_writable)


@contextmanager
def _ending_raises() -> Iterator[None]:
    """Turn the signals that end a process into an exception, so that the blocks around it are left in order."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, leave) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Hold back the signals of an impatient user while what must be removed is removed."""
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, *_ENDING})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)


def _make_writable(function: Callable[[str], object], path: str, _error: object) -> None:
    """Remove what a training protected from removal; what still cannot be removed stays."""
    try:
        os.chmod(os.path.dirname(path), 0o700)  # noqa: PTH101, PTH120 - as shutil names it
        os.chmod(path, 0o700)  # noqa: PTH101
        function(path)
    except OSError:
        return
