"""Fetch a file or a folder that a URI names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from pytest_mlrun.errors import DataError

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

_WHERE: Final = "mlrun.toml"
_SCHEMES: Final = frozenset({"file", "s3", "gs", "gcs", "abfs", "abfss", "hdfs", "viewfs"})
_COPIES: Final = 8
_CHUNK_BYTES: Final = 4 << 20
_REFUSED: Final = re.compile(
    r"credential|access.?denied|forbidden|unauthori[sz]ed|authenticat|\b40[13]\b|permission denied|anonymous caller",
    re.IGNORECASE,
)


def fetch_uri(uri: str, into: Path) -> Path:
    """Copy what a URI names, through ``pyarrow.fs``.

    Args:
        uri: Such as ``s3://bucket/churn`` or ``file:///data/churn.csv``; a file or a folder.
        into: Existing folder to copy into; nothing outside it is written.

    Returns:
        The copied file or folder, named like the last part of the URI.

    Raises:
        DataError: The scheme is unknown, nothing is there, access was refused, or a copy failed.
    """
    from pyarrow.fs import FileSelector, FileType

    with _explaining(uri):
        filesystem, path = _open(uri)
        found = filesystem.get_file_info(path)
        target = into / _last_part(path, uri)
        if found.type == FileType.File:
            _copy(filesystem, path, target, uri)
            return target
        if found.type != FileType.Directory:
            raise DataError(
                f"nothing was found at {hide_password(uri)}",
                where=_WHERE,
                next_step="correct the URI, or put the data there",
            )
        target.mkdir()
        entries = filesystem.get_file_info(FileSelector(path, recursive=True))
        copies = [(e.path, target / _relative(e.path, path, uri)) for e in entries if e.type == FileType.File]
        # Object stores answer late but in parallel: one after the other, small files would take a hundred times longer.
        with ThreadPoolExecutor(_COPIES) as pool:
            try:
                list(pool.map(lambda copy: _copy(filesystem, copy[0], copy[1], uri), copies))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        return target


def hide_password(uri: str) -> str:
    """Return a URI fit to be shown: without user, password and query.

    Args:
        uri: The URI.
    """
    return re.sub(r"^([A-Za-z][\w+.-]*://)[^/?]*@", r"\1", uri).partition("?")[0]


def _open(uri: str) -> tuple[FileSystem, str]:
    from pyarrow.fs import FileSystem as Arrow

    scheme = uri.partition(":")[0].lower()
    if scheme not in _SCHEMES:
        raise DataError(
            f"no file system is known for {scheme}: {hide_password(uri)}",
            where=_WHERE,
            next_step="use file, s3, gs, abfs or hdfs; or download the data and give its path",
        )
    filesystem, path = Arrow.from_uri(uri)
    return filesystem, path


def _last_part(path: str, uri: str) -> str:
    name = PurePosixPath(path).name
    if name in {"", ".", ".."} or "\0" in name:
        raise DataError(
            f"the URI names no file or folder: {hide_password(uri)}",
            where=_WHERE,
            next_step="name a file or folder below it",
        )
    return name


def _relative(path: str, base: str, uri: str) -> PurePosixPath:
    # Object stores allow any text as a key: "../../.bashrc" must not become a path of this machine.
    prefix = base.rstrip("/") + "/"
    relative = path.removeprefix(prefix)
    parts = relative.split("/")
    if not path.startswith(prefix) or any(part in {"", ".", ".."} or "\0" in part for part in parts):
        raise DataError(
            f"an object's name cannot be a file's name: {path[:80]!r}",
            where=hide_password(uri),
            next_step="rename the object; a name has no empty parts, '.' or '..'",
        )
    return PurePosixPath(*parts)


def _copy(filesystem: FileSystem, path: str, target: Path, uri: str) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # "x": two objects whose names this machine's file system takes for one must not overwrite each other.
        with target.open("xb") as file, filesystem.open_input_stream(path) as source:
            while chunk := source.read(_CHUNK_BYTES):
                file.write(chunk)
            file.flush()
            # What was verified once is trusted by its times: a power loss must not leave other bytes under them.
            os.fsync(file.fileno())
    except (FileExistsError, NotADirectoryError) as error:
        raise DataError(
            f"two objects have the same name here: {PurePosixPath(path).name!r}",
            where=hide_password(uri),
            next_step="rename one of them",
        ) from error


@contextmanager
def _explaining(uri: str) -> Iterator[None]:
    from pyarrow import ArrowException

    try:
        yield
    except (OSError, ArrowException) as error:
        reason = _first_line(error, uri)
        if _REFUSED.search(str(error)):
            raise DataError(
                f"access was refused: {hide_password(uri)}",
                details=(reason,),
                where=_WHERE,
                next_step="give this process the permission or the credentials, as the cloud's own tools expect them",
            ) from error
        raise DataError(
            f"cannot be fetched: {hide_password(uri)}",
            details=(reason,),
            where=_WHERE,
            next_step="see whether the address and the network are right, then run again",
        ) from error


def _first_line(error: BaseException, uri: str) -> str:
    text = str(error).replace(uri, hide_password(uri))
    return (text.splitlines() or [type(error).__name__])[0][:300]
