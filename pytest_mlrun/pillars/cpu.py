"""Find the processor that the arithmetic runs on."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from pytest_mlrun.pillars.facts import digest_of

_CPUINFO = Path("/proc/cpuinfo")
_SYSCTL = "/usr/sbin/sysctl"


@dataclass(frozen=True, slots=True)
class Cpu:
    """The processor, as far as it decides the bits of a result.

    Attributes:
        model: Name that the maker gives it.
        architecture: Such as ``x86_64``.
        flags: ``sha256:<hex>`` over the sorted instruction-set flags, where the system tells them.
        cores: Number of logical cores of the machine.
        usable_cores: Number of cores that this process may run on.
    """

    model: str
    architecture: str
    flags: str | None
    cores: int
    usable_cores: int


def find_cpu(*, cpuinfo: Path = _CPUINFO) -> Cpu:
    """Return the processor of this machine."""
    cores = os.cpu_count() or 1
    affinity = len(os.sched_getaffinity(0)) if sys.platform == "linux" else cores
    model, flags = _read_cpuinfo(cpuinfo)
    return Cpu(model or _ask_system(), os.uname().machine, flags, cores, affinity)


def _read_cpuinfo(cpuinfo: Path) -> tuple[str, str | None]:
    try:
        first_core = cpuinfo.read_text("utf-8", "replace").split("\n\n", 1)[0]
    except OSError:
        return "", None
    lines = (line.partition(":") for line in first_core.splitlines())
    facts = {name.strip().lower(): value.strip() for name, _, value in lines}
    flags = facts.get("flags") or facts.get("features")
    # ARM kernels give numbers instead of a name.
    numbers = [facts[name] for name in ("cpu implementer", "cpu part", "cpu variant", "cpu revision") if name in facts]
    model = facts.get("model name") or " ".join(numbers)
    return model, digest_of(" ".join(sorted(flags.split())).encode()) if flags else None


def _ask_system() -> str:
    if sys.platform == "darwin":
        command = [_SYSCTL, "-n", "machdep.cpu.brand_string"]
        try:
            return subprocess.run(command, capture_output=True, check=True, text=True, timeout=5).stdout.strip()
        except (OSError, subprocess.SubprocessError):
            return platform.machine()
    return platform.machine()
