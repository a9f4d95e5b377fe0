"""Write files so that a reader sees them whole or not at all."""

from __future__ import annotations

import errno
import mmap
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pytest_mlrun.errors import StoreError, StoreWriteError

_FULL = {
    errno.ENOSPC: "no space is left",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file-size limit is reached",
}
_DENIED = {
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EROFS: "the file system is read-only",
}


_LEAST_MAPPED_BYTES = 128 * 1024


class Steps:
    """The instants at which a killed process would leave a different picture on disk.

    Tests pass a subclass that ends the process when a named step is reached.
    """

    def reach(self, step: str) -> None:
        """Do nothing: the process lives on.

        Args:
            step: Name of the step, such as ``publish.before-rename``.
        """


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the operating system's refusal of a write into a ``StoreWriteError``.

    Args:
        path: File or folder that is being written.

    Raises:
        StoreWriteError: The operating system refused.
    """
    try:
        yield
    except OSError as error:
        raise write_error(path, error) from error


def write_error(path: Path, error: OSError) -> StoreWriteError:
    """Word a refused write.

    Args:
        path: File or folder that was being written.
        error: What the operating system said.

    Returns:
        The error to raise.
    """
    code = error.errno or 0
    if code in _FULL:
        reason, cure = _FULL[code], "free some space; what was recorded before stays readable"
    elif code in _DENIED:
        reason, cure = _DENIED[code], "choose a folder you may write: pytest --mlrun --mlrun-store PATH"
    else:
        reason, cure = (os.strerror(code) if code else str(error)), "check the disk, then run again"
    return StoreWriteError(f"the run store cannot be written: {reason}", where=str(path), next_step=cure)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power loss.

    Args:
        folder: The folder.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def install(temporary: Path, target: Path, *, steps: Steps) -> None:
    """Rename a written file into place, durably.

    Args:
        temporary: The written file, on the same file system.
        target: Final path.
        steps: Named instants.

    Raises:
        StoreWriteError: The operating system refused.
    """
    with writing(target):
        target.parent.mkdir(exist_ok=True)
        try:
            _sync_file(temporary)
            steps.reach(f"install.{target.parent.name}.before-rename")
            temporary.replace(target)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        steps.reach(f"install.{target.parent.name}.after-rename")
        sync_folder(target.parent)


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def aside(temporary: Path) -> Iterator[Path]:
    """Give a place to write a file before it is installed, and leave nothing there if that fails.

    Args:
        temporary: The place. A leftover of a killed process is overwritten.

    Yields:
        The place.

    Raises:
        StoreWriteError: The operating system refused.
    """
    with writing(temporary):
        temporary.parent.mkdir(exist_ok=True)
        try:
            yield temporary
        except OSError:
            temporary.unlink(missing_ok=True)
            raise


def publish(target: Path, write: Callable[[Path], None], *, temporary: Path, steps: Steps) -> None:
    """Write a file aside and install it.

    Args:
        target: Final path.
        write: Writes the content to the path it is given.
        temporary: Where to write first, on the same file system.
        steps: Named instants.

    Raises:
        StoreWriteError: The operating system refused.
    """
    with aside(temporary):
        write(temporary)
    install(temporary, target, steps=steps)


def remove(path: Path) -> None:
    """Remove a file that may be gone already.

    Args:
        path: The file.

    Raises:
        StoreWriteError: The operating system refused.
    """
    with writing(path):
        path.unlink(missing_ok=True)


def read_bytes(path: Path) -> bytes:
    """Read a file that may vanish.

    Args:
        path: The file.

    Returns:
        Its bytes.

    Raises:
        FileNotFoundError: It vanished, as a log does when it is sealed.
        StoreError: It cannot be read.
    """
    with _reading(path):
        return path.read_bytes()


def map_bytes(path: Path) -> bytes | mmap.mmap:
    """Map a file that nobody writes to: a log of gigabytes need not fit into memory.

    Args:
        path: The file; it may be removed while it is mapped, but not be cut.

    Returns:
        Its bytes.

    Raises:
        FileNotFoundError: It vanished.
        StoreError: It cannot be read.
    """
    with _reading(path), path.open("rb") as file:
        if os.fstat(file.fileno()).st_size < _LEAST_MAPPED_BYTES:
            # A mapping keeps its file open: a thousand small segments would use up what a process may open.
            return file.read()
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StoreError(
            f"the run store cannot be read: {os.strerror(error.errno or 0)}",
            where=str(path),
            next_step="check the file's permissions",
        ) from error
