"""Send jobs to processes that may die, and write where nothing waits for a disk, for all tests of the folder."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.crash.store_jobs import Server, run_server

_MEMORY: Final = Path("/dev/shm")
_ENOUGH_BYTES: Final = 1 << 28


@pytest.fixture
def memory_path(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: processes die, and bytes change, on every file system alike."""
    if not _MEMORY.is_dir() or shutil.disk_usage(_MEMORY).free < _ENOUGH_BYTES:
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=_MEMORY, prefix="mlrun-tests-") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Send jobs to processes that may die."""
    with run_server() as send:
        yield send
