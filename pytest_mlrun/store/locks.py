"""Hold the operating system's locks, and say which boot of the machine this is."""

from __future__ import annotations

import errno
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from pytest_mlrun.errors import StoreError
from pytest_mlrun.records.identity import new_id
from pytest_mlrun.store.files import write_error
from pytest_mlrun.store.layout import LogFiles

_NO_LOCKS = frozenset({errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK})


def try_lock(path: Path) -> BaseFileLock | None:
    """Take a lock if nobody holds it.

    Args:
        path: The lock file; created if missing, never removed.

    Returns:
        The held lock, or None if somebody else holds it.

    Raises:
        StoreWriteError: The lock file cannot be written.
        StoreError: The file system has no locks.
    """
    return _acquire(path, timeout_s=0)


def claim_log(root: Path) -> tuple[LogFiles, BaseFileLock]:
    """Take the lock of a log that does not exist yet: a log whose lock is free is taken for abandoned.

    Args:
        root: The store's folder.

    Returns:
        The new log's files, and its held lock.

    Raises:
        StoreWriteError: The store cannot be written.
    """
    while True:
        files = LogFiles(root, new_id())
        try:
            files.lock.parent.mkdir(exist_ok=True)
        except OSError as error:
            raise write_error(files.lock, error) from error
        # None: a recovery met the new lock file before it was held, and removed it as a leftover.
        lock = try_lock(files.lock)
        if lock is not None:
            return files, lock


@contextmanager
def hold(path: Path, *, timeout_s: float) -> Iterator[None]:
    """Hold a lock for the length of a block.

    Args:
        path: The lock file; created if missing, never removed.
        timeout_s: How long to wait for it.

    Raises:
        StoreWriteError: The lock file cannot be written.
        StoreError: The lock is held for longer, or the file system has no locks.
    """
    lock = _acquire(path, timeout_s=timeout_s)
    if lock is None:
        raise StoreError(
            f"a lock of the run store was not free within {timeout_s:g} s",
            where=str(path),
            next_step="see which process holds it (lsof), end it or wait, then run again",
        )
    try:
        yield
    finally:
        lock.release()


def _acquire(path: Path, *, timeout_s: float) -> BaseFileLock | None:
    # A soft lock (a file that means "held") would outlive a killed process: its runs would stay "running" for ever.
    lock = FileLock(path, timeout=timeout_s, thread_local=False, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        return None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise write_error(path, error) from error
        raise StoreError(
            "the run store needs file locks; this file system has none",
            where=str(path),
            next_step="put the store on a local disk: pytest --mlrun --mlrun-store PATH",
        ) from error
    return lock


def find_boot_id() -> str:
    """Name this boot of this machine: locks of another boot are gone, and their holders with them.

    Returns:
        The kernel's id of the boot, or the host's name where the kernel gives none.
    """
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        pass
    if sys.platform == "darwin":
        answer = subprocess.run(["sysctl", "-n", "kern.bootsessionuuid"], capture_output=True, text=True, check=False)
        if answer.returncode == 0 and answer.stdout.strip():
            return answer.stdout.strip().lower()
    return f"host:{platform.node()}"


def describe_writer(session_id: str) -> dict[str, str | int]:
    """Say who writes a log: the first event of every log.

    Args:
        session_id: Session of the writing process.

    Returns:
        Facts to store as JSON.
    """
    # Not at the top: it loads the parser of mail, which every reader of a store would wait for.
    from importlib.metadata import PackageNotFoundError, version

    try:
        written_by = version("pytest-mlrun")
    except PackageNotFoundError:
        written_by = "unknown"
    return {
        "host": platform.node(),
        "boot": find_boot_id(),
        "pid": os.getpid(),
        "session_id": session_id,
        "version": written_by,
    }
