"""Name the files of a store, and open or create one."""

from __future__ import annotations

import json
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

from pytest_mlrun.errors import StoreDamagedError, StoreError, StoreFormatError
from pytest_mlrun.records.identity import new_id
from pytest_mlrun.store.files import Steps, publish, read_bytes, sync_folder, writing

FORMAT = (0, 1)
"""Layout of the store: (major, minor). While major is 0, another minor is another format."""


@dataclass(frozen=True, slots=True)
class LogFiles:
    """The files of one writing process, all named after its log."""

    root: Path
    log: str

    @property
    def lock(self) -> Path:
        """Held by the writing process; taken before the log exists, removed after it is gone."""
        return self.root / "live" / f"{self.log}.lock"

    @property
    def events(self) -> Path:
        """The Arrow IPC stream of events."""
        return self.root / "live" / f"{self.log}.arrows"

    @property
    def points(self) -> Path:
        """The mapped points of unfinished runs."""
        return self.root / "live" / f"{self.log}.points"

    @property
    def segment(self) -> Path:
        """The run rows, once sealed. The name is the log's: sealing twice overwrites, never adds."""
        return self.root / "seg" / f"{self.log}.arrow"

    @property
    def series(self) -> Path:
        """The series rows, once sealed."""
        return self.root / "pts" / f"{self.log}.arrow"

    @property
    def damaged(self) -> Path:
        """Where a log with unreadable bytes in its middle is kept after sealing."""
        return self.root / "damaged" / f"{self.log}.arrows"

    def temporary(self, kind: str) -> Path:
        """Name a file to write aside.

        Args:
            kind: ``seg`` or ``pts``.

        Returns:
            A path used only by who holds the log's lock.
        """
        return self.root / "tmp" / f"{self.log}.{kind}"


def list_logs(root: Path) -> list[str]:
    """List the live logs.

    Args:
        root: The store's folder.

    Returns:
        Their ids, oldest first.
    """
    return _stems(root / "live", ".arrows")


def list_segments(root: Path) -> list[str]:
    """List the segments.

    Args:
        root: The store's folder.

    Returns:
        Their ids, oldest first.
    """
    return _stems(root / "seg", ".arrow")


def list_series(root: Path) -> list[str]:
    """List the series files.

    Args:
        root: The store's folder.

    Returns:
        Their ids, oldest first.
    """
    return _stems(root / "pts", ".arrow")


def list_set_aside(root: Path) -> set[str]:
    """Name what lies in ``damaged/``, be it a log, a segment or a series file.

    Args:
        root: The store's folder.

    Returns:
        Ids. Of a segment of such an id, only rows whose digest holds count, and it is never rewritten.
    """
    files = {*list_damaged_files(root, "seg"), *list_damaged_files(root, "pts")}
    return {*list_damaged(root), *(name.partition(".")[0] for name in files)}


def list_damaged_files(root: Path, kind: str) -> list[str]:
    """List the damaged files that were put aside.

    Args:
        root: The store's folder.
        kind: ``seg`` or ``pts``.

    Returns:
        Their names without the ending: an id, and a number if a file of that id was put aside before.
    """
    return _stems(root / "damaged" / kind, ".arrow")


def list_annotations(root: Path) -> list[str]:
    """List the events added to runs.

    Args:
        root: The store's folder.

    Returns:
        Their ids, oldest first.
    """
    return _stems(root / "annotations", ".json")


def list_tombstones(root: Path) -> list[str]:
    """List the tombstones of collected objects.

    Args:
        root: The store's folder.

    Returns:
        Their ids, oldest first.
    """
    return _stems(root / "tombstones", ".json")


def list_leftovers(root: Path) -> list[str]:
    """List lock and points files whose log is gone, as a kill in the middle of removal leaves them.

    Args:
        root: The store's folder.

    Returns:
        Ids of the vanished logs.
    """
    leftover = {*_stems(root / "live", ".lock"), *_stems(root / "live", ".points")}
    return sorted(leftover.difference(list_logs(root)))


def list_damaged(root: Path) -> list[str]:
    """List the logs that were kept when they were sealed, for their unreadable bytes.

    Args:
        root: The store's folder.

    Returns:
        Their ids, oldest first.
    """
    return _stems(root / "damaged", ".arrows")


def _stems(folder: Path, suffix: str) -> list[str]:
    try:
        names = os.listdir(folder)  # noqa: PTH208 - hundreds of names: Path objects would cost more than the listing
    except FileNotFoundError:
        return []
    return sorted(name.removesuffix(suffix) for name in names if name.endswith(suffix))


def open_folder(path: Path, *, create: bool, steps: Steps) -> str:
    """Check that a folder is a store this version reads, making it one if asked.

    Args:
        path: The store's folder.
        create: Whether a missing store is created.
        steps: Named instants.

    Returns:
        The store's id.

    Raises:
        StoreError: There is no store, or the path is not a folder.
        StoreWriteError: The store cannot be created.
        StoreFormatError: The store is of a newer format.
        StoreDamagedError: ``mlrun.json`` cannot be read.
    """
    about = path / "mlrun.json"
    try:
        taken = path.exists() and not path.is_dir()
        exists = not taken and about.exists()
    except OSError as error:
        raise StoreError(
            f"the run store cannot be read: {os.strerror(error.errno or 0)}",
            where=str(path),
            next_step="check the permissions of the folders above it",
        ) from error
    if taken:
        raise StoreError(
            f"the run store must be a folder: {path.name} is a file",
            where=str(path),
            next_step="choose another folder: pytest --mlrun --mlrun-store PATH",
        )
    if not exists:
        if not create:
            raise StoreError(
                f"there is no run store in {path.name or path}",
                where=str(path),
                next_step="record a first run: pytest --mlrun",
            )
        _create(path, about, steps=steps)
    return _read_about(about)


def _create(path: Path, about: Path, *, steps: Steps) -> None:
    from pytest_mlrun.store.locks import hold

    with writing(path):
        path.mkdir(parents=True, exist_ok=True)
    # Eight workers meet an empty folder at once: without the lock each would write an id of its own.
    with hold(path / "create.lock", timeout_s=60):
        if about.exists():
            return
        with writing(path):
            for name in ("live", "seg", "pts", "tmp"):
                (path / name).mkdir(exist_ok=True)
            if not (path / ".gitignore").exists():  # somebody's own, where the store is put into a folder in use
                (path / ".gitignore").write_text("*\n", encoding="utf-8")
        number, store_id = f"{FORMAT[0]}.{FORMAT[1]}", new_id()
        about_it = {"format": number, "store_id": store_id, "crc": _compute_crc(number, store_id)}
        text = json.dumps(about_it) + "\n"

        def write(target: Path) -> None:
            target.write_text(text, encoding="utf-8")

        publish(about, write, temporary=path / "tmp" / "mlrun.json", steps=steps)
        with writing(path):
            sync_folder(path.parent)


def _compute_crc(number: str, store_id: str) -> str:
    return f"{zlib.crc32(f'{number} {store_id}'.encode()):08x}"


def _read_about(about: Path) -> str:
    try:
        content = json.loads(read_bytes(about))
        number, store_id = str(content["format"]), str(content["store_id"])
        major, minor = (int(part) for part in number.split("."))
        if content.get("crc", "") not in {"", _compute_crc(number, store_id)}:
            raise ValueError
    except (ValueError, KeyError, TypeError) as error:
        raise StoreDamagedError(
            "the run store's mlrun.json cannot be read",
            where=str(about),
            next_step="restore the file from a copy of the store; the runs themselves are untouched",
        ) from error
    if major > FORMAT[0] or (major == 0 and minor > FORMAT[1]):
        raise StoreFormatError(
            f"the run store has format {major}.{minor}; this version reads up to {FORMAT[0]}.{FORMAT[1]}",
            where=str(about),
            next_step="upgrade: pip install --upgrade pytest-mlrun",
        )
    return store_id
