"""Send jobs to processes that may die, for all tests of the folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.crash.store_jobs import Server, run_server


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Send jobs to processes that may die."""
    with run_server() as send:
        yield send
