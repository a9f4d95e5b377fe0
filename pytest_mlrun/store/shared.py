"""Compute a fact once for all processes that use a store."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TypedDict

from pytest_mlrun.records.identity import new_id
from pytest_mlrun.store.files import Steps, publish, writing

JSON = None | bool | int | float | str | list["JSON"] | dict[str, "JSON"]
"""What a fact is made of."""

LOCK_TIMEOUT_S: Final = 1800.0
"""How long a process waits for another one's computation: long enough to hash or fetch a large snapshot."""


class Shared:
    """Facts that the first process to need them computes and the others read.

    Each fact is one JSON file below ``shared/``, replaced as a whole. They are a cache: whoever finds one missing or
    unreadable computes it again.

    Args:
        store: The store's folder.
        timeout_s: How long to wait for another process's computation.
    """

    def __init__(self, store: Path, *, timeout_s: float = LOCK_TIMEOUT_S) -> None:
        self._folder = store / "shared"
        self._temporary = store / "tmp"
        self._timeout_s = timeout_s

    def once(self, key: str, compute: Callable[[], Mapping[str, object]]) -> dict[str, JSON]:
        """Return a fact, computing it if no process has.

        If the computing process dies or ``compute`` raises, the next one computes. ``compute`` must not lock ``key``.

        Args:
            key: Name of the fact; any text.
            compute: Returns the fact, of JSON values.

        Returns:
            The fact as JSON gives it back, in the computing process too.

        Raises:
            StoreError: Another process computes for longer than the timeout.
            StoreWriteError: The operating system refused.
        """
        found = self.get(key)
        if found is None:
            with self.lock(key):
                found = self.get(key)
                if found is None:
                    found = self.put(key, compute())
        return found

    def get(self, key: str) -> dict[str, JSON] | None:
        """Return a fact if it was computed.

        Args:
            key: Name of the fact.

        Returns:
            The fact, or None.
        """
        document = _read(self._file(key, ".json"))
        return document["value"] if document is not None and document["key"] == key else None

    def put(self, key: str, value: Mapping[str, object]) -> dict[str, JSON]:
        """Store a fact, replacing an earlier one.

        Args:
            key: Name of the fact.
            value: The fact, of JSON values.

        Returns:
            The fact as JSON gives it back.

        Raises:
            StoreWriteError: The operating system refused.
        """
        text = json.dumps({"key": key, "value": dict(value)}, separators=(",", ":"))

        def write(target: Path) -> None:
            target.write_text(text, encoding="utf-8")

        self._make_folder(self._folder)
        publish(self._file(key, ".json"), write, temporary=self._temporary / f"shared-{new_id()}", steps=Steps())
        stored: dict[str, JSON] = json.loads(text)["value"]
        return stored

    @contextmanager
    def lock(self, key: str) -> Iterator[None]:
        """Keep other processes and threads from the fact for the length of a block.

        The operating system frees the lock of a process that dies.

        Args:
            key: Name of the fact.

        Raises:
            StoreError: The lock is held for longer than the timeout, or the file system has no locks.
            StoreWriteError: The operating system refused.
        """
        from pytest_mlrun.store.locks import hold

        self._make_folder(self._folder)
        with hold(self._file(key, ".lock"), timeout_s=self._timeout_s):
            yield

    def folder(self, key: str) -> Path:
        """Return a folder for files that belong to a key; what lies in it is the caller's affair.

        Args:
            key: Any text.

        Returns:
            An existing folder.

        Raises:
            StoreWriteError: The operating system refused.
        """
        folder = self._file(key, ".files")
        self._make_folder(folder)
        return folder

    def forget(self, prefix: str) -> None:
        """Remove facts, and the folders of the same keys.

        A process that computes at this moment publishes its fact all the same. Lock files stay while they are held.

        Args:
            prefix: Beginning of the keys.
        """
        for file in sorted(self._folder.glob("*.json")):
            document = _read(file)
            if document is not None and document["key"].startswith(prefix):
                self._remove(document["key"])

    def _remove(self, key: str) -> None:
        from pytest_mlrun.store.locks import try_lock

        with suppress(FileNotFoundError):
            self._file(key, ".json").unlink()
        shutil.rmtree(self._file(key, ".files"), ignore_errors=True)
        lock = try_lock(self._file(key, ".lock"))
        if lock is not None:
            self._file(key, ".lock").unlink(missing_ok=True)
            lock.release()

    @staticmethod
    def _make_folder(folder: Path) -> None:
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)

    def _file(self, key: str, suffix: str) -> Path:
        exact = hashlib.sha256(key.encode("utf-8", "backslashreplace")).hexdigest()[:16]
        readable = re.sub(r"[^A-Za-z0-9_-]+", "_", key)[:60].strip("_")
        return self._folder / f"{readable or 'fact'}-{exact}{suffix}"


class _Document(TypedDict):
    key: str
    value: dict[str, JSON]


def _read(file: Path) -> _Document | None:
    try:
        document = json.loads(file.read_bytes())
        if isinstance(document["key"], str) and isinstance(document["value"], dict):
            return _Document(key=document["key"], value=document["value"])
    except (OSError, ValueError, KeyError, TypeError):
        # A cache has no damage, only absence: whoever asks computes again.
        return None
    return None
