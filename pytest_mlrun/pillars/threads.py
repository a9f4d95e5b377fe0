"""Share the cores of a machine among the processes of a session, so that their thread pools do not fight."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import MutableMapping
from pathlib import Path

# What a person sets who has decided how many threads there are; each library reads its own when it loads.
VARIABLES = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS", "LOKY_MAX_CPU_COUNT",
)  # fmt: skip
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def share_cores(
    workers: int, *, environ: MutableMapping[str, str] = os.environ, cores: int | None = None
) -> int | None:
    """Limit the thread pools of this process, those that are loaded and those to come, to its share of the cores.

    Args:
        workers: Number of processes that share the machine.
        environ: Environment variables, of which libraries that load later read theirs.
        cores: Number of cores to share; those this process may use, if None.

    Returns:
        The threads that a pool may have, or None where nothing was limited: there is one process, or a person has
        decided by one of the variables.
    """
    if workers < 2 or any(name in environ for name in VARIABLES):  # noqa: PLR2004 - one has the machine to itself
        return None
    threads = max(1, (cores or usable_cores()) // workers)
    environ.update(dict.fromkeys(VARIABLES, str(threads)))
    _limit_loaded(threads)
    return threads


def usable_cores(*, quota: Path = _QUOTA) -> int:
    """Return how many cores this process may use: those it is bound to, or fewer where its container has a quota."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    try:
        limit, period = quota.read_text(encoding="ascii").split()
        return min(cores, max(1, math.ceil(int(limit) / int(period))))
    except (OSError, ValueError):  # no container, or one without a limit: "max 100000"
        return cores


def _limit_loaded(threads: int) -> None:
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return
    threadpool_limits(limits=threads)
    # torch counts its threads itself.
    limit_torch = getattr(sys.modules.get("torch"), "set_num_threads", None)
    if limit_torch is not None:
        limit_torch(threads)
