"""End a process when its parent is gone: what a killed test run leaves behind would burn a core for long."""

from __future__ import annotations

import os
import signal
from typing import Final

_LOOK_EVERY_S: Final = 0.2


def end_without(parent: int) -> None:
    """Let this process end as soon as somebody else is its parent, whatever it does.

    A timer asks, and not the loops: whoever adds one cannot forget it. Timers are not inherited by a fork.

    Args:
        parent: Id of the parent, as the parent knew it: it may be gone by now.
    """

    def look(*_: object) -> None:
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)

    # Not siginterrupt: a call that waits, and that the system restarts by itself, never lets Python look.
    signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, _LOOK_EVERY_S, _LOOK_EVERY_S)
