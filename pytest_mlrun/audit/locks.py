"""Read from a lock file which bytes each distribution may have, and where they are."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_HASH: Final = re.compile(r"sha256:[0-9a-f]{64}")
_REQUIREMENT: Final = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?\s*===?\s*(?P<version>[^\s;#]+)")
_INDEX_OPTIONS: Final = ("--index-url", "-i", "--extra-index-url", "--find-links", "-f", "--trusted-host")
_PYPI: Final = "https://pypi.org/simple"


@dataclass(frozen=True, slots=True)
class Pins:
    """What a lock file says.

    Attributes:
        hashes: Name and version to the digests that its archives may have.
        options: Arguments that tell an installer which indexes it names, other than the usual one.
    """

    hashes: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    options: tuple[str, ...] = ()


def read_pins(lock: Path, kind: str) -> Pins:
    """Read a lock file.

    Args:
        lock: The file.
        kind: ``uv``, ``pylock`` or ``requirements``; others pin nothing that is understood here.

    Raises:
        ValueError: It cannot be read; a sentence.
    """
    try:
        if kind == "requirements":
            return _read_requirements(lock.read_text("utf-8"))
        if kind not in {"uv", "pylock"}:
            return Pins()
        document = tomllib.loads(lock.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"{lock.name} cannot be read") from error
    packages = document.get("package" if kind == "uv" else "packages")
    return _read_packages(
        [entry for entry in packages if isinstance(entry, dict)] if isinstance(packages, list) else []
    )


def normalize(name: str) -> str:
    """Return the one spelling of a distribution's name."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _read_packages(packages: list[Mapping[str, object]]) -> Pins:
    hashes: dict[tuple[str, str], frozenset[str]] = {}
    indexes: list[str] = []
    for package in packages:
        found = frozenset(_find_hashes(package))
        if found:
            key = normalize(str(package.get("name"))), str(package.get("version"))
            hashes[key] = hashes.get(key, frozenset()) | found
        source = package.get("source")
        index = package.get("index") or (source.get("registry") if isinstance(source, dict) else None)
        if isinstance(index, str) and index.rstrip("/") != _PYPI and index not in indexes:
            indexes.append(index)
    options = [text for index in indexes for text in (_index_option(index), index)]
    return Pins(hashes, tuple(options))


def _index_option(index: str) -> str:
    return "--extra-index-url" if "://" in index else "--find-links"


def _find_hashes(package: Mapping[str, object]) -> Iterator[str]:
    archives = [package.get("sdist"), package.get("archive")]
    wheels = package.get("wheels")
    archives += wheels if isinstance(wheels, list) else []
    for archive in archives:
        if not isinstance(archive, dict):
            continue
        written, table = archive.get("hash"), archive.get("hashes")
        candidates = [written, f"sha256:{table.get('sha256')}" if isinstance(table, dict) else None]
        yield from (text for text in candidates if isinstance(text, str) and _HASH.fullmatch(text))


def _read_requirements(text: str) -> Pins:
    hashes: dict[tuple[str, str], frozenset[str]] = {}
    options: list[str] = []
    for line in re.sub(r"\\\r?\n", " ", text).splitlines():
        written = line.strip()
        if written.startswith("-"):
            words = shlex.split(written.replace("=", " ", 1), comments=True)
            if len(words) == 2 and words[0] in _INDEX_OPTIONS:  # noqa: PLR2004 - an option and its value
                options += words
            continue
        requirement = _REQUIREMENT.match(written)
        if requirement is not None:
            found = frozenset(f"sha256:{text}" for text in re.findall(r"--hash[= ]sha256:([0-9a-f]{64})", written))
            if found:
                hashes[normalize(requirement["name"]), requirement["version"]] = found
    return Pins(hashes, tuple(options))
