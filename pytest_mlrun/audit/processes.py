"""Run what an audit needs as child processes that cannot outlive it, and see nothing of the auditor's environment."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO, Final

# How a machine reaches its package index, and nothing that decides what is installed or where.
_INDEX: Final = frozenset(
    {
        *("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX", "PIP_TRUSTED_HOST", "PIP_CERT"),
        *("PIP_CLIENT_CERT", "PIP_PROXY", "PIP_DEFAULT_TIMEOUT", "PIP_CONFIG_FILE", "UV_INDEX", "UV_INDEX_URL"),
        *("UV_DEFAULT_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_NO_INDEX", "UV_OFFLINE", "UV_NATIVE_TLS"),
        *("UV_SYSTEM_CERTS", "UV_INSECURE_HOST", "UV_HTTP_TIMEOUT", "UV_CONFIG_FILE", "UV_INDEX_STRATEGY"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"),
        *("http_proxy", "https_proxy", "no_proxy", "all_proxy", "NETRC", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS"),
    }
)
_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_TAIL_BYTES: Final = 64 << 10


@dataclass(frozen=True, slots=True)
class Ended:
    """A child process that is over.

    Attributes:
        status: Its exit status; None if it took too long.
        output: The end of what it wrote.
    """

    status: int | None
    output: str

    @property
    def good(self) -> bool:
        """Whether it did what it was asked."""
        return self.status == 0


def run_child(
    command: Sequence[str], *, folder: Path, environ: Mapping[str, str], log: Path, timeout_s: float
) -> Ended:
    """Run a program; it and what it started are killed if it takes too long or the audit is interrupted.

    Args:
        command: Program and arguments.
        folder: Where it runs.
        environ: All environment variables that it gets.
        log: File that what it writes is added to.
        timeout_s: How long it may take.
    """
    with log.open("ab") as out:
        out.write(f"$ {' '.join(command)}\n".encode("utf-8", "backslashreplace"))
        out.flush()
        began = out.tell()
        status: int | None = None
        with started(command, folder=folder, environ=environ, out=out) as child, suppress(subprocess.TimeoutExpired):
            status = child.wait(timeout_s)
    return Ended(status, _read_tail(log, began))


@contextmanager
def started(
    command: Sequence[str], *, folder: Path | None, environ: Mapping[str, str] | None, out: int | IO[bytes]
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a program; it and what it started are killed if it still runs at the end of the block.

    Args:
        command: Program and arguments.
        folder: Where it runs; the current folder if None.
        environ: All environment variables that it gets; those of this process if None.
        out: Where it writes, errors too.
    """
    child: subprocess.Popen[bytes] | None = None
    try:
        with uninterrupted():
            child = subprocess.Popen(
                list(command),
                cwd=folder,
                env=None if environ is None else dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        with child:
            try:
                yield child
            finally:
                _kill(child)
    finally:
        if child is not None:
            _kill(child)
            child.wait()


def _kill(child: subprocess.Popen[bytes]) -> None:
    if child.returncode is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold back what would end this process until the block is over: a child must be known before it can be killed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    seen: list[int] = []

    def remember(number: int, _frame: FrameType | None) -> None:
        seen.append(number)

    before = {number: signal.signal(number, remember) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if seen:
        signal.raise_signal(seen[0])


def index_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return those environment variables that say how a package index is reached."""
    return {
        name: text
        for name, text in environ.items()
        if name in _INDEX or (name.startswith("UV_INDEX_") and name.endswith(("_USERNAME", "_PASSWORD")))
    }


def _read_tail(log: Path, began: int) -> str:
    with log.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(began, end - _TAIL_BYTES))
        return file.read().decode("utf-8", "replace")
