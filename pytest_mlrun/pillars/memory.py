"""Measure the memory of a run, and notice when the system killed a process for want of it."""

from __future__ import annotations

import os
import resource
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pytest_mlrun.pillars.facts import context_of

_PROCESS = Path("/proc/self")
_RESET_PEAK = b"5"
_MOST_BYTES = 1 << 14


@dataclass(frozen=True, slots=True)
class Peak:
    """The most memory that was resident at once.

    Attributes:
        size_bytes: Resident set of the whole process.
        method: ``run``: within the run only; ``process``: since the process began, the run's own peak is unknown.
    """

    size_bytes: int
    method: Literal["run", "process"]

    def context(self) -> dict[str, str]:
        """Return the facts as context of a run."""
        return context_of({"memory.peak_bytes": self.size_bytes, "memory.method": self.method})


class PeakMemory:
    """Measure the peak of runs in this process, nested and overlapping ones too.

    The kernel keeps one high-water mark a process. It is reset when a run begins, after the runs already under way
    have taken note of it.

    Args:
        process: Folder of the process in ``/proc``.
    """

    def __init__(self, *, process: Path = _PROCESS) -> None:
        self._status = str(process / "status")
        self._clear_refs = str(process / "clear_refs")
        self._lock = threading.Lock()
        self._peaks: dict[str, int | None] = {}

    def begin(self, key: str) -> None:
        """Start to measure the run of that key."""
        with self._lock:
            self._note()
            self._peaks[key] = 0 if self._reset() else None

    def end(self, key: str) -> Peak:
        """Return the peak since the run of that key began.

        Raises:
            KeyError: If no run of that key began.
        """
        with self._lock:
            self._note()
            noted = self._peaks.pop(key)
        return Peak(_read_process_peak(), "process") if noted is None else Peak(noted, "run")

    def _note(self) -> None:
        if not self._peaks:
            return
        marked = self._read_mark()
        for key, peak in self._peaks.items():
            self._peaks[key] = None if marked is None or peak is None else max(peak, marked)

    def _read_mark(self) -> int | None:
        try:
            status = _read(self._status)
        except OSError:
            return None
        _, found, rest = status.partition(b"VmHWM:")
        return int(rest.split(maxsplit=1)[0]) * 1024 if found else None

    def _reset(self) -> bool:
        try:
            descriptor = os.open(self._clear_refs, os.O_WRONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            os.write(descriptor, _RESET_PEAK)
        except OSError:
            return False
        finally:
            os.close(descriptor)
        return True


def find_oom_counter(*, membership: Path = _PROCESS / "cgroup", mount: Path = Path("/sys/fs/cgroup")) -> Path | None:
    """Return the file in which the kernel counts this control group's killed processes, if it keeps one.

    Args:
        membership: File that names the control groups of a process.
        mount: Where the control groups are mounted.
    """
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return None
    for _, controllers, group in (line.split(":", 2) for line in lines if line.count(":") > 1):
        if controllers == "" or "memory" in controllers.split(","):
            top = mount / "memory" if controllers else mount
            name = "memory.oom_control" if controllers else "memory.events"
            # Inside a container the group's path may be the host's: then the mount's top is the container's own group.
            for folder in (top / group.strip("/"), top):
                if (folder / name).is_file():
                    return folder / name
    return None


def read_oom_kills(counter: Path | None) -> int | None:
    """Return how many processes of the control group were killed for want of memory, if the kernel tells."""
    if counter is None:
        return None
    try:
        fields = dict(line.split(maxsplit=1) for line in _read(counter).splitlines() if b" " in line)
        return int(fields[b"oom_kill"])
    except (OSError, KeyError, ValueError):
        return None


def _read(path: str | Path) -> bytes:
    # Several times for every run, however short: a file object asks for its kind, its size and its place first.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, _MOST_BYTES)
    finally:
        os.close(descriptor)


def _read_process_peak() -> int:
    # Linux counts in KiB, macOS in bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
