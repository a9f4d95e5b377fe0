"""Say which model version an endpoint, a digest or a file is."""

from __future__ import annotations

import argparse
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from pytest_mlrun.cli.console import Console
from pytest_mlrun.cli.registries import find_registry
from pytest_mlrun.errors import RegistryError
from pytest_mlrun.records.event import ModelState, ModelVersion
from pytest_mlrun.registry.log import list_models
from pytest_mlrun.registry.resolve import read_state
from pytest_mlrun.report.models import record_lines, version_lines, version_object
from pytest_mlrun.report.plain import plain_json

_DIGEST = re.compile(r"(?:sha256:)?([0-9a-f]{8,64})…?", re.IGNORECASE)


def run(args: argparse.Namespace, console: Console) -> int:
    """Run ``pytest-mlrun whence``."""
    project = find_registry(console)
    digest = _read_digest(args.thing, console.folder)
    found: list[tuple[ModelState, ModelVersion]] = []
    for model in list_models(project.root):
        state = read_state(project.root, model)
        found += [(state, version) for version in _search(state, args.thing, digest)]
    if not found:
        raise RegistryError(
            f"no model version is {args.thing}",
            details=(f"looked for an endpoint of that name{f', and for sha256:{digest}' if digest else ''}",),
            where=str(project.root / "mlrun-registry"),
            next_step="name an endpoint, a digest of 8 digits or more, or a file that exists",
        )
    for at, (state, version) in enumerate(found):
        if args.json:
            console.write(plain_json(version_object(state, version)))
            continue
        if at:
            console.write("")
        head, *rest = version_lines(state, version, width=console.width)
        console.write(head, {"bold": True})
        console.write_all([*rest, *record_lines(version, width=console.width)])
    return 0


def _read_digest(thing: str, folder: Path) -> str:
    path = folder / thing
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    written = _DIGEST.fullmatch(thing)
    return written[1].lower() if written else ""


def _search(state: ModelState, thing: str, digest: str) -> Iterator[ModelVersion]:
    point = state.endpoints.get(thing)
    if point is not None:
        version = point.version or state.aliases.get(point.alias, 0)
        if version:
            yield state.versions[version]
        return
    for known in state.versions.values():
        digests = [file.digest for file in known.files] + [known.run_digest, *known.data.values()]
        if digest and any(text.removeprefix("sha256:").startswith(digest) for text in digests):
            yield known
