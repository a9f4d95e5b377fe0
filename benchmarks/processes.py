"""Start measured processes: offline, on one core, with nothing of the caller's settings."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OFFLINE = {
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "1",
    "HF_HUB_OFFLINE": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "WANDB_MODE": "offline",
    "WANDB_SILENT": "true",
}
KEPT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR", "VIRTUAL_ENV")


def measured_environment(home: Path, *, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of a measured process: offline, with a home of its own."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {
        **kept,
        **OFFLINE,
        "HOME": str(home),
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": str(ROOT),
        **(extra or {}),
    }


def python_command(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module; -P keeps the working folder off the import path."""
    return [sys.executable, "-P", "-m", module, *arguments]


def pin(core: int, *, realtime: bool = False) -> None:
    """Keep this process, and those it starts, on one core; on request before everything else that runs there.

    Raises:
        PermissionError: If the priority is not allowed.
    """
    if core >= 0 and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})
    if realtime and hasattr(os, "sched_setscheduler"):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))


def default_core() -> int:
    """Return the last core we may use: interrupts tend to land on the first. Negative where cores cannot be chosen."""
    return max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else -1


def family_of(pid: int) -> list[int]:
    """Return the ids of the children of a process and of theirs; empty where there is no ``/proc``."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        children.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found: list[int] = []
    waiting = [pid]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def positive(text: str) -> int:
    """Read a whole number above zero from the command line.

    Raises:
        ValueError: If it is not one.
    """
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def end_orphans(pids: Sequence[int], *, patience_s: float = 10.0) -> None:
    """Wait until processes are gone, and kill those that stay."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline and any(_is_alive(pid) for pid in pids):
        time.sleep(0.05)
    for pid in pids:
        if _is_alive(pid):
            os.kill(pid, signal.SIGKILL)


def run_timed(
    command: Sequence[str], *, cwd: Path, environment: Mapping[str, str], output: Path
) -> tuple[float, float, int]:
    """Run a command and return wall seconds, CPU seconds and exit code."""
    with output.open("wb") as file:
        began = time.perf_counter()
        process = subprocess.Popen(command, cwd=cwd, env=dict(environment), stdout=file, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    return wall_s, usage.ru_utime + usage.ru_stime, process.returncode


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
