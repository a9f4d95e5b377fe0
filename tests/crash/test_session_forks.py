"""Processes forked inside a training test cannot spoil its run, nor hold up its recovery."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest_mlrun
from tests.crash import session_child

REFUSED = "this run belongs to the parent process: a forked child cannot log to it"


def record(folder: Path, body: str) -> subprocess.CompletedProcess[str]:
    """Run a session of two tests: one that forks, one that comes after."""
    indented = "\n".join(f"    {line}" for line in body.strip().splitlines())
    (folder / "test_fork.py").write_text(
        f"""
import multiprocessing, os, sys, pytest

pytestmark = pytest.mark.mlrun(experiment="fork")

def test_forks(mlrun):
    mlrun.log_metric("loss", 0.5, step=0)
{indented}
    mlrun.log_metric("loss", 0.25, step=1)

def test_after(mlrun):
    mlrun.log_metric("loss", 1.0, step=0)
"""
    )
    return session_child.run_session(folder, "-W", "ignore::DeprecationWarning")


def check_parent(folder: Path) -> None:
    reader = pytest_mlrun.open_store(folder / ".pytest_mlrun")
    runs = reader.runs()
    assert [(run.name, run.status, run.outcome) for run in runs] == [
        ("test_forks", "finished", "passed"),
        ("test_after", "finished", "passed"),
    ]
    assert reader.series(runs[0].run_id, "loss").values.tolist() == [0.5, 0.25]
    assert runs[0].tags == {}
    assert session_child.verify(folder / ".pytest_mlrun").stdout.startswith("every digest holds: 2 runs")
    assert list((folder / ".pytest_mlrun" / "live").iterdir()) == []


def test_a_forked_child_that_logs_is_refused_and_leaves_the_run_alone(tmp_path: Path) -> None:
    done = record(
        tmp_path,
        """
child = os.fork()
if child == 0:
    refusals = []
    for log in (
        lambda: mlrun.log_metric("loss", 9.0, step=9),
        lambda: mlrun.log_metric("other", 9.0, step=9),
        lambda: mlrun.set_tag("who", "child"),
        lambda: mlrun.log_text("child", "child.txt"),
    ):
        try:
            log()
        except Exception as error:
            refusals.append(error.args[0])
    with open("refusals.txt", "w") as file:
        file.write("\\n".join(refusals))
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
""",
    )

    assert done.returncode == 0, done.stdout
    assert (tmp_path / "refusals.txt").read_text().splitlines() == [REFUSED] * 4
    check_parent(tmp_path)


def test_workers_of_a_data_loader_come_and_go_while_the_run_goes_on(tmp_path: Path) -> None:
    done = record(
        tmp_path,
        """
with multiprocessing.get_context("fork").Pool(2) as pool:
    for step, total in enumerate(pool.imap(sum, [[1, 2], [3, 4], [5, 6]])):
        mlrun.log_metric("total", total, step=step)
""",
    )

    assert done.returncode == 0, done.stdout
    reader = pytest_mlrun.open_store(tmp_path / ".pytest_mlrun")
    assert reader.series(reader.find("test_forks").run_id, "total").values.tolist() == [3.0, 7.0, 11.0]
    check_parent(tmp_path)


def test_a_forked_child_that_leaves_the_test_by_an_exception_ends_no_run_of_its_parent(tmp_path: Path) -> None:
    done = record(
        tmp_path,
        """
child = os.fork()
if child == 0:
    raise SystemExit(0)
os.waitpid(child, 0)
""",
    )

    assert done.returncode == 0, done.stdout
    check_parent(tmp_path)


def test_a_child_that_outlives_its_killed_session_does_not_hold_up_the_next_one(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    (tmp_path / "test_fork.py").write_text(
        f"""
import os, signal, pytest

pytestmark = pytest.mark.mlrun(experiment="fork")

def test_forks(mlrun):
    mlrun.log_metric("loss", 0.5, step=0)
    if os.fork() == 0:
        os.close({writing})
        os.read({reading}, 1)
        os._exit(0)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    )
    dead = subprocess.run(
        [sys.executable, *session_child.PYTEST],
        cwd=tmp_path,
        env=session_child.environment(),
        pass_fds=(reading, writing),
        stdout=subprocess.DEVNULL,  # the child would keep a pipe open
        stderr=subprocess.DEVNULL,
        check=False,
        timeout=60,
    )
    assert dead.returncode == -signal.SIGKILL
    (tmp_path / "test_fork.py").write_text("def test_next(mlrun): mlrun.log_metric('loss', 1.0, step=0)\n")

    done = session_child.run_session(tmp_path)

    os.close(writing)  # only now may the child end
    os.close(reading)
    assert done.returncode == 0, done.stdout
    runs = pytest_mlrun.open_store(tmp_path / ".pytest_mlrun").runs()
    assert [(run.name, run.status, run.metrics) for run in runs] == [
        ("test_forks", "orphaned", {"loss": 0.5}),
        ("test_next", "finished", {"loss": 1.0}),
    ]
    assert list((tmp_path / ".pytest_mlrun" / "live").iterdir()) == []
