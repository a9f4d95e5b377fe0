"""Seal the logs of processes that are gone, without ever touching one that lives."""

from __future__ import annotations

from pathlib import Path

from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.store.files import Steps, map_bytes
from pytest_mlrun.store.layout import LogFiles, list_leftovers, list_logs, list_segments
from pytest_mlrun.store.locks import find_boot_id, try_lock
from pytest_mlrun.store.log import read_log
from pytest_mlrun.store.quarantine import is_sound
from pytest_mlrun.store.seal import remove_log, seal_log
from pytest_mlrun.store.segment import read_facts


def recover_logs(root: Path, *, other_boots: bool = False, steps: Steps) -> tuple[RunRecord, ...]:
    """Seal every log whose lock is free and that was written since this machine booted.

    Args:
        root: The store's folder.
        other_boots: Whether to seal logs of other boots and machines too: only a person can know that those are gone.
        steps: Named instants.

    Returns:
        The runs that were sealed: finished ones, and those that are now ``orphaned``.

    Raises:
        StoreWriteError: The operating system refused.
    """
    sealed: list[RunRecord] = []
    replaced = _Replaced(root)
    boot = "" if other_boots else find_boot_id()
    for log in list_logs(root):
        files = LogFiles(root, log)
        lock = try_lock(files.lock)
        if lock is None:
            continue
        try:
            sealed += _recover(files, replaced, boot=boot, steps=steps)
        finally:
            lock.release()
    for log in list_leftovers(root):
        _remove_leftover(LogFiles(root, log), steps=steps)
    return tuple(sealed)


def _recover(files: LogFiles, replaced: _Replaced, *, boot: str, steps: Steps) -> tuple[RunRecord, ...]:
    try:
        content = map_bytes(files.events)
    except FileNotFoundError:
        # Whoever held the lock before sealed the log: all that may be left is this lock file.
        remove_log(files, steps=steps)
        return ()
    written_in = read_log(content).header.get("boot", "")
    # Without a header the log was killed at birth: nothing in it was ever acknowledged.
    if boot and written_in not in {"", boot}:
        return ()
    if replaced.has(files.log):
        remove_log(files, steps=steps)
        return ()
    return seal_log(files, steps=steps)


class _Replaced:
    """The logs that segments replace, read once: an old answer leads to a second segment, which is ignored."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._segments: dict[str, list[str]] | None = None

    def has(self, log: str) -> bool:
        # Not merely that the log's own segment exists: one that is damaged is replaced by sealing again. All bytes of a
        # segment are read for that, so only those of the few that name the log.
        name = f"log:{log}"
        if name in self._read(log) and is_sound(self._path(log)):
            return True
        if self._segments is None:
            self._segments = {}
            for segment in list_segments(self._root):
                for replaced in self._read(segment):
                    self._segments.setdefault(replaced, []).append(segment)
        return any(is_sound(self._path(segment)) for segment in self._segments.get(name, ()))

    def _path(self, segment: str) -> Path:
        return self._root / "seg" / f"{segment}.arrow"

    def _read(self, segment: str) -> tuple[str, ...]:
        try:
            return read_facts(self._path(segment)).replaces
        except (FileNotFoundError, ValueError):
            return ()


def _remove_leftover(files: LogFiles, *, steps: Steps) -> None:
    lock = try_lock(files.lock)
    if lock is None:
        return
    try:
        if not files.events.exists():
            remove_log(files, steps=steps)
    finally:
        lock.release()
