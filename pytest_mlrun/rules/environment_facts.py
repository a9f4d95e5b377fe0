"""Read from ``environment.json`` the facts that two environments can differ in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

Fact: TypeAlias = str | float | bool | None

_APART = frozenset({"format", "distributions", "locks", "numerics"})
_LIBRARY = re.compile(r"(?:-[0-9a-f]{6,})?\.(?:so|dylib|dll)\b.*")
_POOL = ("internal_api", "version", "architecture", "threading_layer")


def list_packages(documents: Sequence[Mapping[str, object]]) -> list[dict[str, Fact]]:
    """Return each environment's packages with their versions; where only the files differ, with a digest of those.

    Args:
        documents: The environments that are compared.
    """
    found = [dict(_packages(document)) for document in documents]
    listed: list[dict[str, Fact]] = [{} for _ in documents]
    for name in sorted({name for packages in found for name in packages}):
        versions = [packages.get(name) for packages in found]
        known = [version for version in versions if version is not None]
        only_files = len({version for version, _ in known}) == 1 and len(set(known)) > 1
        for packages, version in zip(listed, versions, strict=True):
            if version is not None:
                packages[name] = f"{version[0]} ({version[1]})" if only_files else version[0]
    return listed


def list_facts(documents: Sequence[Mapping[str, object]]) -> list[dict[str, Fact]]:
    """Return everything but each environment's packages: dotted name to value, such as ``python.version``.

    What is known of a numerical library only where it was loaded when the session's facts were found is no difference
    between environments: it is left out unless all of them know it.

    Args:
        documents: The environments that are compared.
    """
    numerics = [dict(_numerics(document)) for document in documents]
    shared = set(numerics[0]).intersection(*numerics[1:]) if numerics else set()
    return [
        dict(_plain(document)) | {name: known[name] for name in known if name in shared}
        for document, known in zip(documents, numerics, strict=True)
    ]


def _plain(document: Mapping[str, object]) -> Iterator[tuple[str, Fact]]:
    for name, value in _flatten("", {key: value for key, value in document.items() if key not in _APART}):
        if value is not None:
            yield name, value
    for lock in _dicts(document.get("locks")):
        yield f"lock {lock['path']}", str(lock["digest"])


def _numerics(document: Mapping[str, object]) -> Iterator[tuple[str, Fact]]:
    numerics = document.get("numerics")
    if isinstance(numerics, dict):
        yield from _pools(numerics.get("thread_pools"))
        for name, value in _flatten("", {key: value for key, value in numerics.items() if key != "thread_pools"}):
            if value is not None:
                yield name, value


def _packages(document: Mapping[str, object]) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield name, version and what tells apart two installations of one version."""
    grouped: dict[str, list[Mapping[str, object]]] = {}
    for package in _dicts(document.get("distributions")):
        grouped.setdefault(str(package.get("name")), []).append(package)
    for name, packages in grouped.items():
        versions = ", ".join(str(package.get("version")) for package in packages)
        yield name, (versions, "; ".join(_describe_files(package) for package in packages))


def _describe_files(package: Mapping[str, object]) -> str:
    parts = [f"commit {package['commit']!s:.10}"] if package.get("commit") else []
    parts += [str(package["url"])] if package.get("url") else []
    record = package.get("record")
    parts += [f"files {str(record).removeprefix('sha256:')[:8]}"] if record else ["files unknown"]
    return ", ".join(parts)


def _pools(pools: object) -> Iterator[tuple[str, Fact]]:
    """Yield one line for each library of threads, named after its file without the digest of the build."""
    for pool in _dicts(pools):
        name = f"{pool.get('user_api')} {_LIBRARY.sub('', str(pool.get('file')))}"
        facts = [str(pool[fact]) for fact in _POOL if pool.get(fact) is not None]
        yield name, " ".join([*facts, f"{pool.get('num_threads')} threads"])


def _flatten(prefix: str, section: Mapping[str, object]) -> Iterator[tuple[str, Fact]]:
    for key, value in section.items():
        if isinstance(value, dict):
            yield from _flatten(f"{prefix}{key}.", value)
        elif value is None or isinstance(value, str | int | float):
            yield f"{prefix}{key}", value
        else:
            yield f"{prefix}{key}", json.dumps(value)


def _dicts(items: object) -> list[Mapping[str, object]]:
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
