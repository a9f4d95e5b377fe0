"""Meter what a run costs: its peak memory, and the processes that the system killed meanwhile."""

from __future__ import annotations

from pytest_mlrun.pillars.memory import Peak, PeakMemory, find_oom_counter, read_oom_kills


class Meters:
    """The meters of one process, for runs that may be nested."""

    def __init__(self) -> None:
        self._memory = PeakMemory()
        self._oom_counter = find_oom_counter()

    def begin(self, run_id: str) -> int:
        """Start to measure a run; return how many processes had been killed for want of memory by then."""
        self._memory.begin(run_id)
        return read_oom_kills(self._oom_counter) or 0

    def end(self, run_id: str) -> tuple[Peak, int]:
        """Return the run's peak memory, and how many processes have been killed by now."""
        return self._memory.end(run_id), read_oom_kills(self._oom_counter) or 0
