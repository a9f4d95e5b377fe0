"""Send jobs to processes that may die, for all tests of the folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.store_jobs import Server


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Send jobs to processes that may die."""
    command = [sys.executable, str(Path(__file__).with_name("store_child.py"))]
    # Not measured: a killed process leaves a coverage file that spoils the others when they are combined.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        stdin, stdout = process.stdin, process.stdout
        if stdin is None or stdout is None:
            pytest.fail("the server has no pipes")

        def send(verb: str, folder: Path, **facts: str | int) -> list[int]:
            job = {"store": str(folder / "store"), "acks": str(folder / "acks"), "trace": str(folder / "trace")}
            stdin.write(json.dumps({"verb": verb, **job, **facts}) + "\n")
            stdin.flush()
            codes: list[int] = json.loads(stdout.readline())
            return codes

        yield send
        stdin.close()
        process.wait(timeout=30)
