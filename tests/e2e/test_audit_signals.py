"""An audit that is interrupted leaves no process, no folder, and no trace in the repository."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_mlrun.records.run import RunEnd, RunRecord, RunStart
from pytest_mlrun.store.store import Store

SESSION = "01900000-0000-7000-8000-00000000beef"


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


def listen(door: Path) -> int:
    """Return the process id that somebody writes into a pipe."""
    descriptor = os.open(door, os.O_RDWR | os.O_NONBLOCK)  # open for writing too: it has no end before it begins
    try:
        ready, _, _ = select.select([descriptor], [], [], 60)
        assert ready, "nobody came to the door"
        return int(os.read(descriptor, 100))
    finally:
        os.close(descriptor)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository with one run, trained with a Python that only a fake pyenv has, and that never answers."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / ".gitignore").write_text(".pytest_mlrun/\n")
    (folder / "mlrun.toml").write_text("")
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "begin")
    store = Store.open(folder / ".pytest_mlrun", create=True)
    context = {"code.commit": json.dumps(git(folder, "rev-parse", "HEAD")), "env.python": '"3.99.1"', "rand.seed": "1"}
    writer = store.writer(session_id=SESSION)
    run_id = "01900000-0000-7000-8000-000000000001"
    writer.start(RunStart(run_id, SESSION, "churn", "first", "test_a.py::test_a", context=context))
    writer.finish(run_id, RunEnd("finished", "passed"))
    writer.close()
    assert isinstance(store.reader().find("first"), RunRecord)
    python = tmp_path / "home" / ".pyenv" / "versions" / "3.99.1" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\necho $$ > "{tmp_path / "door"}"\nexec sleep 600\n')
    python.chmod(0o755)
    os.mkfifo(tmp_path / "door")
    (tmp_path / "scratch").mkdir()
    return folder


PROGRAM = """
import signal, sys
from pytest_mlrun.cli import main
# A shell starts what runs in the background with such a signal ignored, and so does everything below it.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
sys.exit(main())
"""


@pytest.mark.parametrize(
    ("number", "code"),
    [
        pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, 129, marks=pytest.mark.slow),
    ],
    ids=["SIGINT", "SIGTERM", "SIGHUP"],
)
def test_an_interrupted_audit_leaves_nothing_behind(project: Path, number: signal.Signals, code: int) -> None:
    around = project.parent
    environ = {**os.environ, "HOME": str(around / "home"), "TMPDIR": str(around / "scratch")}
    environ.pop("PYENV_ROOT", None)
    before = {path: path.read_bytes() for path in sorted((project / ".git").rglob("*")) if path.is_file()}
    auditor = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "audit", "first"],
        cwd=project,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        asked = listen(around / "door")  # until the tree is checked out and Python is asked
        trees = list((around / "scratch").glob("mlrun-audit-*/tree/mlrun.toml"))

        auditor.send_signal(number)
        out, err = auditor.communicate(timeout=60)
    finally:
        auditor.kill()

    assert len(trees) == 1
    assert (auditor.returncode, out, err) == (code, b"", b"")
    assert list((around / "scratch").iterdir()) == []
    assert not Path(f"/proc/{asked}").exists()
    assert git(project, "worktree", "list").splitlines()[1:] == []
    assert {path: path.read_bytes() for path in sorted((project / ".git").rglob("*")) if path.is_file()} == before
