"""Open a store in a process that may die at any step, and remember outside it what was acknowledged."""

from __future__ import annotations

import errno
import functools
import io
import itertools
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pytest_mlrun.records.run import RunEnd
from pytest_mlrun.store.files import Steps
from pytest_mlrun.store.store import Store
from tests.crash.store_jobs import DIED

Job = dict[str, str | int]

ENDED = RunEnd("finished", "passed")
_write = os.write  # what a test writes down is written though the disk be broken


class Deadly(Steps):
    """Write down every step reached, and end the process at one of them: by a signal, or by leaving at once.

    Where asked, it writes down which functions of the package were at work as well.
    """

    def __init__(self, trace: Path, last: int, *, how: str, sites: bool) -> None:
        self._sites = sites
        self._how = how
        self._trace = os.open(trace, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._left = last

    def reach(self, step: str) -> None:
        told = "\t".join([step, *name_callers()]) if self._sites else step
        _write(self._trace, f"{told}\n".encode())
        self._left -= 1
        if self._left == 0 and self._how == "exit":
            os._exit(DIED)
        elif self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def name_callers() -> Iterator[str]:
    """Yield ``file:function`` of all that is at work in the package."""
    frame = sys._getframe(1)
    while frame.f_back is not None:
        frame = frame.f_back
        path = Path(frame.f_code.co_filename)
        if path.parent.name == "store":
            yield f"{path.name}:{frame.f_code.co_qualname}"


class Acks:
    """Remember outside the process what a call returned from."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def write(self, kind: str, *facts: object) -> None:
        _write(self._file, json.dumps([kind, *facts]).encode() + b"\n")


def run_id(job: Job, number: int) -> str:
    """Give the id of a job's run."""
    return f"{int(job.get('nonce', 1)):08x}-0000-7000-8000-{number:012x}"


def open_store(job: Job) -> Store:
    return Store.open(Path(str(job["store"])), create=True, steps=deadly(job))


def deadly(job: Job) -> Deadly:
    return Deadly(
        Path(str(job["trace"])), int(job["last"]), how=str(job.get("how", "kill")), sites=bool(job.get("sites", 0))
    )


def points_of(number: int) -> int:
    """Say how many points the stream's run gets: some runs outgrow the points file, most are short."""
    return 3000 if number % 10 == 9 else 20 + 37 * number % 200


NO_SPACE_FAILS = ("write", "fsync", "fdatasync", "replace", "rename", "link", "mkdir", "posix_fallocate")
ALL_FAILS = (*NO_SPACE_FAILS, "unlink", "ftruncate")


def break_disk(job: Job) -> None:
    """Let the operating system refuse the n-th call that writes, and all after it where the disk stays broken."""
    code, left, lasts = int(job["errno"]), itertools.count(int(job["fail_at"]), -1), bool(job["lasts"])

    def wrap(call: Callable[..., Any], *, writes: Callable[..., bool] = lambda *_, **__: True) -> Callable[..., Any]:
        @functools.wraps(call)
        def refuse(*args: Any, **kwargs: Any) -> Any:
            if writes(*args, **kwargs):
                now = next(left)
                if now == 1 or (lasts and now < 1):
                    os.close(os.open(f"{job['trace']}.refused", os.O_CREAT | os.O_WRONLY))
                    raise OSError(code, os.strerror(code))
            return call(*args, **kwargs)

        return refuse

    for name in NO_SPACE_FAILS if code == errno.ENOSPC else ALL_FAILS:
        setattr(os, name, wrap(getattr(os, name)))
    io.open = wrap(io.open, writes=_opens_to_write)


def _opens_to_write(_: object, mode: str = "r", *__: object, **___: object) -> bool:
    return not set(mode).isdisjoint("wxa+")
