"""No process of these tests outlives the test run that started it, however that ends."""

from __future__ import annotations

import os
import select
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIMIT_S = 30
RUN = """
import sys
from pathlib import Path
from tests.crash.store_jobs import run_server
with run_server("{module}") as send:
    send(sys.argv[1], Path(sys.argv[2]), **{facts})
"""
STREAM = "{'kill_at': 1 << 60}"
CROWD = "{'count': 2, 'runs': 1 << 20, 'stop': sys.argv[2] + '/stop', 'kills': 0}"
STRESS = "{'seed': 1, 'kills': 1 << 20, 'sessions': 1 << 20}"


def count_points(folder: Path) -> int:
    points: int = struct.unpack_from("<q", (folder / "acks").read_bytes())[0]
    return points


def count_finished(folder: Path) -> int:
    return len((folder / "acks").read_bytes())


def count_objects(folder: Path) -> int:
    return len(list((folder / "store").glob("objects/*/*")))


@pytest.mark.parametrize(
    ("verb", "module", "facts", "progress"),
    [
        ("stream", "store_child", STREAM, count_points),
        pytest.param("crowd", "store_child", CROWD, count_finished, marks=pytest.mark.slow),
        ("stress", "collection_child", STRESS, count_objects),
    ],
    ids=["a loop", "a crowd", "somebody who waits"],
)
def test_jobs_without_end_end_with_the_killed_test_run_that_gave_them(
    tmp_path: Path, verb: str, module: str, facts: str, progress: Callable[[Path], int]
) -> None:
    (tmp_path / "acks").write_bytes(bytes(16) if verb == "stream" else b"")
    code = RUN.format(module=module, facts=facts)
    # Everybody inherits its standard error: it is at its end when nobody is left.
    process = subprocess.Popen([sys.executable, "-c", code, verb, str(tmp_path)], stderr=subprocess.PIPE, cwd=ROOT)
    assert process.stderr is not None
    while progress(tmp_path) == 0 and process.poll() is None:
        select.select([], [], [], 0.02)
    os.kill(process.pid, signal.SIGKILL)

    ended, _, _ = select.select([process.stderr], [], [], LIMIT_S)

    assert process.wait() == -signal.SIGKILL
    assert ended, "somebody lives on"
    assert process.stderr.read() == b""
    process.stderr.close()
