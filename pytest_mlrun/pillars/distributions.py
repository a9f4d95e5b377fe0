"""List the installed distributions and a digest of what each one's installer wrote."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pytest_mlrun.pillars.facts import digest_of
from pytest_mlrun.pillars.redaction import hide_home, strip_credentials

# What installers write about themselves: it differs between two installations of the same wheel.
_INSTALLER_FILES = (
    *(b"/INSTALLER", b"/REQUESTED", b"/RECORD", b"/RECORD.jws", b"/RECORD.p7s", b"/direct_url.json"),
    *(b"/uv_cache.json", b"/uv_build.json", b".pyc"),
)
_EDITABLE_FILES = (b".pth", b"_finder.py")
_SYSTEM_FOLDERS = frozenset({"site-packages", "dist-packages"})


def find_distributions(root: Path, *, path: Iterable[str] | None = None) -> list[dict[str, object]]:
    """Return each installed distribution's facts, sorted by name.

    The facts are ``name``, ``version``, ``record`` (digest over the paths and hashes of its RECORD, or nothing where
    the installer wrote none) and, for an installation from elsewhere than an index, ``editable``, ``url`` and
    ``commit`` or ``archive``.

    Args:
        root: Folder that local installations are named relative to.
        path: Folders to search; ``sys.path`` if not given. The first folder that has a name wins.
    """
    found: dict[str, list[dict[str, object]]] = {}
    for folder in dict.fromkeys(os.path.realpath(entry or ".") for entry in (sys.path if path is None else path)):
        here: dict[str, list[dict[str, object]]] = {}
        for metadata in _find_metadata(Path(folder)):
            name, version = _name_and_version(metadata)
            here.setdefault(name, []).append({"name": name, "version": version, **_describe(metadata, root)})
        found = here | found
    return [distribution for name in sorted(found) for distribution in found[name]]


def _find_metadata(folder: Path) -> Iterator[Path]:
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208 - a site-packages folder has thousands of names
    except OSError:
        return
    for name in names:
        # A source folder on the path holds an egg-info too, of whatever was built there last.
        if name.endswith(".dist-info") or (name.endswith(".egg-info") and folder.name in _SYSTEM_FOLDERS):
            yield folder / name


def _name_and_version(metadata: Path) -> tuple[str, str]:
    name, _, version = metadata.stem.partition("-")
    if metadata.suffix == ".egg-info":
        version = _read_egg_version(metadata) or version
    return re.sub(r"[-_.]+", "-", name).lower(), version


def _read_egg_version(metadata: Path) -> str:
    file = metadata / "PKG-INFO" if metadata.is_dir() else metadata
    try:
        text = file.read_text("utf-8", "replace")
    except OSError:
        return ""
    found = re.search(r"^Version: *(\S+)", text, re.MULTILINE)
    return found[1] if found else ""


def _describe(metadata: Path, root: Path) -> dict[str, object]:
    origin = _read_origin(metadata, root)
    return {"record": _digest_record(metadata, editable=bool(origin.get("editable"))), **origin}


def _digest_record(metadata: Path, *, editable: bool) -> str | None:
    try:
        record = (metadata / "RECORD").read_bytes()
    except OSError:
        return None
    left_out = _INSTALLER_FILES + (_EDITABLE_FILES if editable else ())
    lines = (line.rsplit(b",", 1)[0] for line in record.splitlines() if line)
    kept = sorted(line for line in lines if not _is_left_out(line.rsplit(b",", 1)[0].strip(b'"'), left_out))
    return digest_of(b"\n".join(kept))


def _is_left_out(path: bytes, endings: tuple[bytes, ...]) -> bool:
    # "../../../bin/f2py" is a script: its first line names the interpreter's folder.
    return path.startswith((b"../", b"/")) or path.endswith(endings)


def _read_origin(metadata: Path, root: Path) -> dict[str, object]:
    try:
        written = json.loads((metadata / "direct_url.json").read_bytes())
        url = str(written["url"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    origin: dict[str, object] = {"url": _name_url(url, root)}
    for section, key, fact in (
        ("dir_info", "editable", "editable"),
        ("vcs_info", "commit_id", "commit"),
        ("archive_info", "hashes", "archive"),
    ):
        value = (written.get(section) or {}).get(key)
        if value:
            origin[fact] = value
    return origin


def _name_url(url: str, root: Path) -> str:
    if not url.startswith("file:"):
        return strip_credentials(url)
    folder = Path(unquote(urlsplit(url).path))
    top = next((above for above in (root, *root.parents) if (above / ".git").exists()), root)
    if folder.is_relative_to(top):
        return Path(os.path.relpath(folder, root)).as_posix()
    return hide_home(folder.as_posix())
