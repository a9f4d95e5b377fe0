"""Let processes that start one after the other begin at the same moment."""

from __future__ import annotations

import os


class Meeting:
    """A point that processes reach one by one and leave together.

    Attributes:
        descriptors: What ``meet`` needs, to be passed on to each process.
    """

    def __init__(self) -> None:
        self._arrivals, arrive = os.pipe()
        leave, self._release = os.pipe()
        self.descriptors = (arrive, leave)

    def begin(self) -> None:
        """Stop counting ourselves among those who may come; call it when all processes were started."""
        for descriptor in self.descriptors:
            os.close(descriptor)

    def dismiss(self, count: int) -> None:
        """Wait until so many have come, or no more can come, and let them go."""
        came = 0
        while came < count and (found := os.read(self._arrivals, count)):
            came += len(found)
        os.close(self._release)
        os.close(self._arrivals)


def meet(arrive: int, leave: int) -> None:
    """Wait for the others; if whoever started us is gone, go on."""
    os.write(arrive, b".")
    os.close(arrive)
    os.read(leave, 1)  # nothing is ever written: it ends when the other side is closed, for everybody at once
    os.close(leave)
