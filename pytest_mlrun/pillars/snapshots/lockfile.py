"""Read and write ``mlrun.lock``, the digests that data is held to."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

from pytest_mlrun.errors import ConfigError, DataError
from pytest_mlrun.pillars.snapshots.manifest import compute_listing_digest
from pytest_mlrun.records.identity import new_id
from pytest_mlrun.records.snapshot import FileEntry, Manifest

VERSION: Final = 1
_RESTORE: Final = "restore it (git checkout mlrun.lock), or remove it and: pytest-mlrun data lock"
_HEX: Final = re.compile(r"[0-9a-f]{64}")
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_CONFLICT: Final = re.compile(r"^(<{7}|={7}|>{7}|\|{7})(?: |$)", re.MULTILINE)


def read_lock(path: Path) -> dict[str, Manifest]:
    """Read the digests of all data.

    Args:
        path: The ``mlrun.lock``.

    Returns:
        Manifest by name; nothing where there is no file.

    Raises:
        ConfigError: The file is no lock: merge-conflict markers, a newer version, not written by this program.
        DataError: A digest does not fit its files, as after an edit by hand or a merge line by line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        reason = os.strerror(error.errno or 0) if isinstance(error, OSError) else "not UTF-8"
        raise ConfigError(
            f"mlrun.lock cannot be read: {reason}", where=str(path), next_step="check the file and its permissions"
        ) from error
    manifests = {name: _parse_manifest(name, entry, path) for name, entry in _parse(text, path).items()}
    for name, manifest in manifests.items():
        _check_digest(name, manifest, path)
    return manifests


def write_lock(path: Path, manifests: Mapping[str, Manifest]) -> None:
    """Write the digests of all data: JSON, sorted, one line a file so that a difference in git reads well.

    Args:
        path: The ``mlrun.lock``; replaced as a whole.
        manifests: Manifest by name.

    Raises:
        ConfigError: The file cannot be written.
    """
    target = path.resolve()
    temporary = target.with_name(f".{target.name}.{new_id()}")
    try:
        with temporary.open("x", encoding="utf-8", newline="\n") as file:
            file.write(_render(manifests))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise ConfigError(
            f"mlrun.lock cannot be written: {os.strerror(error.errno or 0)}",
            where=str(path),
            next_step="check the folder's permissions and space",
        ) from error


def _render(manifests: Mapping[str, Manifest]) -> str:
    sections = ",\n".join(_render_manifest(name, manifests[name]) for name in sorted(manifests))
    body = f"{{\n{sections}\n  }}" if sections else "{}"
    return f'{{\n  "version": {VERSION},\n  "data": {body}\n}}\n'


def _render_manifest(name: str, manifest: Manifest) -> str:
    files = ",\n".join(
        f"        {_text({'path': entry.path, 'size_bytes': entry.size_bytes, 'sha256': entry.sha256})}"
        for entry in manifest.files
    )
    return (
        f"    {_text(name)}: {{\n"
        f'      "digest": {_text(manifest.digest)},\n'
        f'      "kind": {_text(manifest.kind)},\n'
        f'      "files": [\n{files}\n      ]\n'
        "    }"
    )


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _parse(text: str, path: Path) -> Mapping[str, object]:
    conflict = _CONFLICT.search(text)
    if conflict is not None:
        raise ConfigError(
            "mlrun.lock has merge-conflict markers",
            where=f"{path}:{_line(text, conflict.start())}",
            next_step="take either side (git checkout --ours mlrun.lock), then: pytest-mlrun data lock",
        )
    try:
        document = json.loads(text, object_pairs_hook=_refuse_twice)
    except ValueError as error:
        line = error.lineno if isinstance(error, json.JSONDecodeError) else 1
        raise _unwritten(
            f"{error.msg if isinstance(error, json.JSONDecodeError) else error}", f"{path}:{line}"
        ) from error
    if not isinstance(document, dict):
        raise _unwritten("it holds no table", str(path))
    version, entries = document.get("version"), document.get("data")
    if isinstance(version, int) and version > VERSION:
        raise ConfigError(
            f"mlrun.lock has version {version}; this program reads up to {VERSION}",
            where=str(path),
            next_step="upgrade: pip install --upgrade pytest-mlrun",
        )
    if type(version) is not int or version != VERSION or not isinstance(entries, dict):
        raise _unwritten("'version' or 'data' is missing", str(path))
    return entries


def _parse_manifest(name: str, entry: object, path: Path) -> Manifest:
    match entry:
        case {"digest": str(digest), "kind": "file" | "folder" as kind, "files": [_, *_] as files, **rest} if (
            not rest and _DIGEST.fullmatch(digest)
        ):
            parsed = sorted((_parse_file(name, file, path) for file in files), key=lambda file: file.path.encode())
        case _:
            raise _unwritten(f"{name!r} lacks a digest, a kind or files", str(path))
    if len({file.path for file in parsed}) < len(parsed):
        raise _unwritten(f"{name!r} names a file twice", str(path))
    return Manifest(digest, tuple(parsed), kind)


def _parse_file(name: str, file: object, path: Path) -> FileEntry:
    match file:
        case {"path": str(relative), "size_bytes": int(size_bytes), "sha256": str(sha256), **rest} if (
            not rest and _is_inside(relative) and type(size_bytes) is int and size_bytes >= 0 and _HEX.fullmatch(sha256)
        ):
            return FileEntry(relative, size_bytes, sha256)
    raise _unwritten(f"a file of {name!r} lacks a path, a size or a sha256", str(path))


def _is_inside(relative: str) -> bool:
    return "\0" not in relative and not {"", ".", ".."}.intersection(relative.split("/"))


def _check_digest(name: str, manifest: Manifest, path: Path) -> None:
    kind: Literal["file", "folder"] = manifest.kind
    if kind == "file":
        fits = len(manifest.files) == 1 and manifest.digest == f"sha256:{manifest.files[0].sha256}"
    else:
        fits = manifest.digest == compute_listing_digest(manifest.files)
    if not fits:
        raise DataError(
            f"mlrun.lock: the digest of {name!r} does not fit its files",
            details=("the file was edited by hand, or merged line by line",),
            where=str(path),
            next_step=_RESTORE,
        )


def _refuse_twice(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} is there twice")
    return found


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _unwritten(reason: str, where: str) -> ConfigError:
    return ConfigError(
        f"mlrun.lock is not as it was written: {reason}",
        where=where,
        next_step=_RESTORE,
    )
