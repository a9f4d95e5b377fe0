"""Keep files by the digest of their content."""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from pytest_mlrun.errors import ArtifactError, StoreDamagedError, StoreError
from pytest_mlrun.records.identity import new_id
from pytest_mlrun.store.copying import copy_content, unreadable_source
from pytest_mlrun.store.files import Steps, sync_folder, writing

_DIGEST: Final = re.compile(r"sha256:([0-9a-f]{2})([0-9a-f]{62})")


@dataclass(frozen=True, slots=True)
class Staged:
    """Content that is hashed and safe, but not yet an object.

    Attributes:
        digest: ``sha256:<hex>`` of the bytes.
        size_bytes: Number of bytes.
        temporary: Where the bytes lie; None where an equal object made writing them unnecessary.
        content: The bytes, where ``temporary`` is None.
    """

    digest: str
    size_bytes: int
    temporary: Path | None
    content: bytes = field(default=b"", repr=False)


class Objects:
    """The objects of one store: ``objects/<2 hex>/<62 hex>``, read-only files that never change.

    A reference to an object is written between ``stage_*`` and ``publish``, which alone decides whether the object is
    there: a collector that saw no reference cannot take away what the new reference counts on.

    Args:
        store: The store's folder.
        steps: Named instants.
    """

    def __init__(self, store: Path, *, steps: Steps | None = None) -> None:
        self._store = store
        self._steps = steps or Steps()
        self._folder = store / "objects"
        self._temporary = store / "tmp"

    def stage_bytes(self, content: bytes) -> Staged:
        """Hash bytes and write them aside, for ``publish`` or ``discard``.

        Args:
            content: The bytes.

        Raises:
            StoreWriteError: The operating system refused.
        """
        digest = _hash(content)
        if self.verify(digest):
            return Staged(digest, len(content), None, content)
        return Staged(*self._copy(io.BytesIO(content)))

    def stage_file(self, path: Path) -> Staged:
        """Hash a file while copying it aside, for ``publish`` or ``discard``.

        Args:
            path: The file.

        Raises:
            ArtifactError: The file cannot be read.
            StoreWriteError: The operating system refused the write.
        """
        try:
            source = path.open("rb")
        except OSError as error:
            raise unreadable_source(path, error) from error
        with source:
            return Staged(*self._copy(source, source_path=path))

    def stage_link(self, path: Path) -> Staged:
        """Make a file read-only and give it a second name, for ``publish`` or ``discard``; no byte is copied.

        Who owns the file can make it writable again and change the object with it: ``verify`` tells. Where the file
        lies on another disk, or the disk has no links, it is copied.

        Args:
            path: The file.

        Raises:
            ArtifactError: The file cannot be read.
            StoreWriteError: The operating system refused the write.
        """
        temporary = self._temporary / f"object-{new_id()}"
        try:
            self._make_folder(self._temporary)
            temporary.hardlink_to(path.resolve())
            temporary.chmod(0o444)
            with temporary.open("rb") as file:
                digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
                os.fsync(file.fileno())
                return Staged(digest, os.fstat(file.fileno()).st_size, temporary)
        except OSError:
            _remove(temporary)
            return self.stage_file(path)

    def holds(self, digest: str, size_bytes: int) -> bool:
        """Say whether there is an object of that size; its bytes are not read.

        Args:
            digest: ``sha256:<hex>``.
            size_bytes: Number of bytes that it should have.
        """
        try:
            return self.path(digest).stat().st_size == size_bytes
        except OSError:
            return False

    def publish(self, staged: Staged, *, durable: bool = True) -> None:
        """Make staged content an object unless an intact equal one exists.

        Args:
            staged: What ``stage_bytes`` or ``stage_file`` returned.
            durable: Whether its name survives a power loss from now on, or only from a later ``sync``.

        Raises:
            StoreWriteError: The operating system refused.
        """
        if self.verify(staged.digest):
            self.discard(staged)
            return
        target = self.path(staged.digest)
        temporary = staged.temporary or self._copy(io.BytesIO(staged.content))[2]
        with writing(target):
            self._make_folder(target.parent)
            self._steps.reach("object.before-rename")
            temporary.replace(target)
            self._steps.reach("object.after-rename")
            if durable:
                sync_folder(target.parent)

    def sync(self, digests: Iterable[str]) -> None:
        """Make the names of objects survive a power loss.

        Args:
            digests: Objects that were published without.

        Raises:
            StoreWriteError: The operating system refused.
        """
        for folder in sorted({self.path(digest).parent for digest in digests}):
            with writing(folder):
                sync_folder(folder)

    def discard(self, staged: Staged) -> None:
        """Remove staged content that will not become an object.

        Args:
            staged: What ``stage_bytes`` or ``stage_file`` returned.
        """
        if staged.temporary is not None:
            _remove(staged.temporary)

    def put_bytes(self, content: bytes) -> tuple[str, int]:
        """Store bytes; return digest and size.

        Args:
            content: The bytes.

        Raises:
            StoreWriteError: The operating system refused.
        """
        return self._put(self.stage_bytes(content))

    def put_file(self, path: Path) -> tuple[str, int]:
        """Store a copy of a file; return digest and size.

        Args:
            path: The file.

        Raises:
            ArtifactError: The file cannot be read.
            StoreWriteError: The operating system refused the write.
        """
        return self._put(self.stage_file(path))

    def path(self, digest: str) -> Path:
        """Say where an object lies, or would lie.

        Args:
            digest: ``sha256:<hex>``.

        Returns:
            A path inside the store, whatever the text given.

        Raises:
            StoreDamagedError: The text is not a digest, as in a record that was tampered with.
        """
        match = _DIGEST.fullmatch(digest)
        if match is None:
            raise StoreDamagedError(
                f"not the digest of an object: {digest[:80]!r}",
                where=str(self._folder),
                next_step="find the record that says so: pytest-mlrun verify",
            )
        return self._folder / match[1] / match[2]

    def path_aside(self, digest: str) -> Path:
        """Say where an object lies while a collection decides about it.

        Args:
            digest: ``sha256:<hex>``.

        Raises:
            StoreDamagedError: The text is not a digest.
        """
        path = self.path(digest)
        return self._store / "trash" / f"{path.parent.name}{path.name}"

    def open(self, digest: str, *, since_us: int = 0) -> io.BufferedReader:
        """Open an object for reading; its bytes are not verified.

        Args:
            digest: ``sha256:<hex>``.
            since_us: When a record counted on it for the last time; a collection before that explains nothing.

        Returns:
            A file.

        Raises:
            ArtifactError: The object was collected, or left out on purpose.
            StoreDamagedError: The object is missing.
            StoreError: The object cannot be read.
        """
        path = self.path(digest)
        try:
            # A collection takes an object aside before it decides, and may bring it back at any moment.
            for place in (path, self.path_aside(digest)):
                with suppress(FileNotFoundError):
                    return place.open("rb")
            return path.open("rb")
        except FileNotFoundError as error:
            from pytest_mlrun.store.tombstones import explain_absence

            raise explain_absence(self._store, digest, where=str(path), since_us=since_us) from error
        except OSError as error:
            raise StoreError(
                f"an object cannot be read: {os.strerror(error.errno or 0)}",
                where=str(path),
                next_step="check the file's permissions",
            ) from error

    def read(self, digest: str, *, since_us: int = 0) -> bytes:
        """Return the bytes of an object, verified.

        Args:
            digest: ``sha256:<hex>``.
            since_us: See ``open``.

        Returns:
            The bytes.

        Raises:
            ArtifactError: The object was collected.
            StoreDamagedError: The object is missing, or its bytes are not those that were stored.
            StoreError: The object cannot be read.
        """
        path = self.path(digest)
        with self.open(digest, since_us=since_us) as file:
            try:
                content = file.read()
            except OSError as error:
                raise StoreError(
                    f"an object cannot be read: {os.strerror(error.errno or 0)}",
                    where=str(path),
                    next_step="check the disk",
                ) from error
        found = _hash(content)
        if found != digest:
            raise StoreDamagedError(
                f"an object is damaged: expected {_short(digest)}, found {_short(found)}",
                where=str(path),
                next_step="restore it from a copy of the store; see what else is damaged: pytest-mlrun verify",
            )
        return content

    def verify(self, digest: str) -> bool:
        """Say whether an object exists and its bytes are those that were stored.

        Args:
            digest: ``sha256:<hex>``.

        Returns:
            False if it is missing, damaged or unreadable.

        Raises:
            StoreDamagedError: The text is not a digest.
        """
        try:
            with self.path(digest).open("rb") as file:
                return digest == f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        except OSError:
            return False

    def intact(self, digest: str) -> bool:
        """Say whether the bytes of an object can be read, and are those that were stored.

        Unlike ``verify`` this is for readers: what a collection has taken aside is still there for them.

        Args:
            digest: ``sha256:<hex>``.
        """
        try:
            with self.open(digest) as file:
                return digest == f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        except (OSError, ArtifactError, StoreError):
            return False

    def __contains__(self, digest: object) -> bool:
        return isinstance(digest, str) and _DIGEST.fullmatch(digest) is not None and self.path(digest).is_file()

    def __iter__(self) -> Iterator[str]:
        """Yield the digests of all objects, sorted; files that are no objects are passed over."""
        for folder in _names(self._folder):
            for name in _names(self._folder / folder):
                digest = digest_of_name(folder + name)
                if digest is not None and self.path(digest).parent.name == folder:
                    yield digest

    def _put(self, staged: Staged) -> tuple[str, int]:
        try:
            self.publish(staged)
        except BaseException:
            self.discard(staged)
            raise
        return staged.digest, staged.size_bytes

    def _copy(self, source: BinaryIO, *, source_path: Path | None = None) -> tuple[str, int, Path]:
        with self._aside() as temporary, temporary.open("x+b") as target:
            digest, size_bytes = copy_content(source, target, source_path=source_path)
            target.flush()
            os.fchmod(target.fileno(), 0o444)
            os.fsync(target.fileno())
        return digest, size_bytes, temporary

    @contextmanager
    def _aside(self) -> Iterator[Path]:
        temporary = self._temporary / f"object-{new_id()}"
        try:
            with writing(temporary):
                self._make_folder(temporary.parent)
                yield temporary
        except BaseException:
            _remove(temporary)
            raise

    def _make_folder(self, folder: Path) -> None:
        for missing in (folder.parent, folder):
            if not missing.is_dir():
                missing.mkdir(exist_ok=True)
                # A power loss could take away the folder of a durable object.
                sync_folder(missing.parent)


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208 - names are all that is needed of thousands of files
    except (FileNotFoundError, NotADirectoryError):
        return []


def digest_of_name(name: str) -> str | None:
    """Return the digest that 64 hex digits stand for, or None for any other name."""
    digest = f"sha256:{name}"
    return digest if _DIGEST.fullmatch(digest) else None


def _remove(temporary: Path) -> None:
    with suppress(OSError):
        temporary.unlink()


def _hash(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _short(digest: str) -> str:
    return f"sha256 {digest.removeprefix('sha256:')[:12]}…"
