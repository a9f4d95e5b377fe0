"""Say on what machine, and how calm it was, figures were taken."""

from __future__ import annotations

import os
import platform
from pathlib import Path

JSON = str | int | float | bool | list[float]


def machine_facts(folder: Path, *, core: int, realtime: bool) -> dict[str, JSON]:
    """Return what a reader needs to judge the figures; ``folder`` is where files are written."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count() or 0,
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "file_system": file_system_of(folder.resolve(), _mounts()),
        "core": core,
        "realtime": realtime,
        "load_average": [round(load, 2) for load in os.getloadavg()],
    }


def render_facts(facts: dict[str, JSON], command: str) -> str:
    """Write the facts as two lines of Markdown."""
    pinned = f"core {facts['core']}" if int(str(facts["core"])) >= 0 else "not pinned"
    priority = "round-robin priority" if facts["realtime"] else "normal priority"
    return (
        f"{facts['cores']} x {facts['cpu']}, {facts['memory_gib']} GiB, {facts['system']}, {facts['file_system']}, "
        f"Python {facts['python']}; {pinned}, {priority}; load before {facts['load_average']}\n\n`{command}`"
    )


def file_system_of(folder: Path, mounts: str) -> str:
    """Return the type of the file system that holds a folder, from the text of ``/proc/self/mounts``."""
    found = ("", "unknown file system")
    for line in mounts.splitlines():
        _, point, kind, *_ = line.split()
        if folder.is_relative_to(point) and len(point) >= len(found[0]):
            found = (point, kind)
    return found[1]


def _mounts() -> str:
    try:
        return Path("/proc/self/mounts").read_text(encoding="utf-8")
    except OSError:
        return ""


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()
