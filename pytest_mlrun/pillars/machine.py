"""Find who runs the session and on which machine."""

from __future__ import annotations

import getpass
import os
import socket

from pytest_mlrun.pillars.cpu import find_cpu
from pytest_mlrun.pillars.facts import context_of


def find_machine() -> dict[str, str]:
    """Return user, host name, processor, memory and kernel as context of a run."""
    cpu, system = find_cpu(), os.uname()
    return context_of(
        {
            "who.user": _find_user(),
            "host.name": socket.gethostname(),
            "host.cpu": cpu.model,
            "host.cores": cpu.usable_cores,
            "host.memory_bytes": _find_memory_bytes(),
            "host.kernel": f"{system.sysname} {system.release}",
        }
    )


def _find_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container started with a bare number has no entry in the password database.
        return f"uid {os.getuid()}"


def _find_memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None
