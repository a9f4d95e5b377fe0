"""Run what an audit needs as child processes that cannot outlive it, and see nothing of the auditor's environment."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

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
        with subprocess.Popen(
            list(command),
            cwd=folder,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as child:
            try:
                status: int | None = child.wait(timeout_s)
            except subprocess.TimeoutExpired:
                status = None
            finally:
                if child.returncode is None:
                    with suppress(ProcessLookupError, PermissionError):
                        os.killpg(child.pid, signal.SIGKILL)
    return Ended(status, _read_tail(log, began))


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
