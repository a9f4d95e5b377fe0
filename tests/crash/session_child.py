"""Be the process that dies: a pytest plugin and a script that say, outside the process, what calls returned from.

Loaded by ``-p session_child`` it announces the phases of a session; ``train`` is what its tests do. Run as a script it
records the same runs without pytest.
"""

from __future__ import annotations

import json
import mmap
import os
import resource
import struct
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from pytest_mlrun.records.run import RunRecord
    from pytest_mlrun.run.run import Run

POINTS: Final = (50, 20_000, 3_000)
"""Points of the runs of a session, in turn: some outgrow the points file, and take long enough to be hit."""
PHASES: Final = {
    "begin": b"b",
    "logging": b"l",
    "artifact": b"a",
    "finish": b"f",
    "seal": b"s",
    "recovery": b"r",
    "collection": b"c",
}
PYTEST: Final = (
    "-m",
    "pytest",
    "--mlrun",
    "-p",
    "pytest_mlrun.plugin",
    "-p",
    "session_child",
    "-p",
    "no:cacheprovider",
)
_ACKS: Final = "MLRUN_CRASH_ACKS"
_PHASE_PIPE: Final = "MLRUN_CRASH_PIPE"
_FILE_LIMIT: Final = "MLRUN_CRASH_FILE_BYTES"
_PACK: Final = struct.Struct("<q").pack_into


def environment() -> dict[str, str]:
    """Give the environment of a child: not measured, and with no plugins but those it names."""
    # A killed process leaves a coverage file that spoils the others when they are combined.
    foreign = ("COVERAGE_", "COV_", "PYTEST_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    here = str(Path(__file__).parent)
    # Wide: pytest cuts the reason of a failure off at the end of the line.
    return inherited | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": here, "COLUMNS": "200"}


def run_session(
    folder: Path, *arguments: str, under: tuple[str, ...] = (), **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a session in a folder to its end."""
    return subprocess.run(
        [*under, sys.executable, *PYTEST, *arguments],
        cwd=folder,
        env=environment() | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def verify(store: Path) -> subprocess.CompletedProcess[str]:
    """Run ``pytest-mlrun verify``."""
    return subprocess.run(
        [sys.executable, "-m", "pytest_mlrun", "verify", "--store", str(store)],
        cwd=store.parent,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def points_of(number: int) -> int:
    """Say how many points a run gets."""
    return POINTS[number % len(POINTS)]


def values_of(number: int, count: int) -> npt.NDArray[np.float64]:
    """Give the values of a run's points, exactly."""
    import numpy as np

    return (number + 1) / (np.arange(count, dtype=np.float64) + 3)


def note_of(number: int, run_id: str) -> str:
    """Give the text of a run's artifact; some runs share theirs, and so the object."""
    return f"note {number if number % 3 == 0 else run_id} " * 1000


class Acks:
    """Remember outside the process what calls returned from."""

    def __init__(self) -> None:
        base = Path(os.environ[_ACKS])
        self._lines = os.open(base.with_suffix(".lines"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        with base.with_suffix(".points").open("r+b") as file:
            self.points = mmap.mmap(file.fileno(), 0)

    def write(self, kind: str, *facts: object) -> None:
        """Write one line, in one call."""
        os.write(self._lines, json.dumps([kind, *facts]).encode() + b"\n")


_ACKS_HERE: list[Acks] = []


def acks() -> Acks:
    """Return this process's memory."""
    if not _ACKS_HERE:
        _ACKS_HERE.append(Acks())
    return _ACKS_HERE[0]


def announce(phase: str) -> None:
    """Tell whoever may want to end this process that a phase begins."""
    if _PHASE_PIPE in os.environ:
        os.write(int(os.environ[_PHASE_PIPE]), PHASES[phase])


def train(run: Run, number: int) -> None:
    """Log points, a summary value and a file."""
    log = acks()
    log.write("start", run.id, number)
    announce("logging")
    points = log.points
    for step in range(points_of(number)):
        run.log_metric("loss", (number + 1) / (step + 3), step=step)
        _PACK(points, 8 * number, step + 1)
    run.log_metric("best", number / 7)
    log.write("metric", run.id, number / 7)
    announce("artifact")
    artifact = run.log_text(note_of(number, run.id), "note.txt")
    log.write("artifact", run.id, artifact.digest)


def pytest_configure() -> None:
    """Make the disk small, if that is asked for."""
    if _FILE_LIMIT in os.environ:
        limit = int(os.environ[_FILE_LIMIT])
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))


def pytest_collection() -> None:
    announce("collection")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    announce("begin")


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown() -> None:
    announce("finish")


def pytest_mlrun_run_finished(run: RunRecord) -> None:
    """Write down that the run's end was reported."""
    if _ACKS in os.environ and run.status != "orphaned":
        acks().write("finish", run.run_id, run.digest)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish() -> Generator[None, None, None]:
    """Announce the two things that a session does last."""
    from pytest_mlrun.store import recovery

    recover_logs = recovery.recover_logs

    def announced(*args: object, **options: object) -> tuple[RunRecord, ...]:
        announce("recovery")
        return recover_logs(*args, **options)  # type: ignore[arg-type]

    recovery.recover_logs = announced
    announce("seal")
    try:
        return (yield)
    finally:
        recovery.recover_logs = recover_logs


def record_runs(store: str, first: int, end: int) -> None:
    """Record runs as a script does."""
    import pytest_mlrun

    for number in range(first, end):
        announce("begin")
        with pytest_mlrun.record(experiment="crash", params={"number": number}, store=store) as run:
            train(run, number)
            announce("finish")
        acks().write("finish", run.id, None)


def record_short_runs(store: str, writer: int, count: int) -> None:
    """Record runs of one point each, as fast as it goes."""
    import pytest_mlrun

    for number in range(count):
        params = {"writer": writer, "number": number}
        with pytest_mlrun.record(experiment="crowd", params=params, store=store) as run:
            run.log_metric("loss", writer + number / 1000, step=number)


if __name__ == "__main__":
    verb, folder, one, other = sys.argv[1:]
    {"runs": record_runs, "short": record_short_runs}[verb](folder, int(one), int(other))
