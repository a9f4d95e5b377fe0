"""Find the process that runs the session: its command line, without secrets."""

from __future__ import annotations

import os
from collections.abc import Sequence

from pytest_mlrun.pillars.facts import context_of
from pytest_mlrun.pillars.redaction import redact_arguments


def find_process(argv: Sequence[str]) -> dict[str, str]:
    """Return the redacted command line and the process id as context of a run."""
    return context_of({"process.argv": redact_arguments(argv), "process.pid": os.getpid()})
