"""Write a model version's files, verified, and what they are, for a server to load."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from pytest_mlrun.cli.console import Console
from pytest_mlrun.cli.registries import find_registry, find_version, record_of
from pytest_mlrun.cli.source import open_source
from pytest_mlrun.errors import ArtifactError
from pytest_mlrun.report.facts import show_size
from pytest_mlrun.report.models import version_object
from pytest_mlrun.report.table import clean_text

_ABOUT = "model.json"


def run(args: argparse.Namespace, console: Console) -> int:
    """Run ``pytest-mlrun fetch``."""
    project = find_registry(console)
    state, version = find_version(args.ref, project)
    source = open_source(args, console)
    record = record_of(version, source)
    folder = console.folder / args.output
    if any(file.name == _ABOUT for file in version.files):
        raise ArtifactError(
            f"{version.ref} has a model file {_ABOUT!r}, which is where fetch says what it wrote",
            where=f"run {record.short_id}",
            next_step="log it under another name: mlrun.log_artifact(path, 'booster.json')",
        )
    # All bytes are read and compared with their digests before the first is written.
    contents = {file.name: source.read_artifact(record, file.name) for file in version.files}
    about = json.dumps(version_object(state, version), indent=2, sort_keys=True) + "\n"
    for name, content in {**contents, _ABOUT: about.encode("utf-8")}.items():
        _write(folder, name, content)
        console.write(clean_text(f"{Path(args.output) / name}  {show_size(len(content))}"))
    console.write(clean_text(f"{version.ref}, run {version.run_id[-8:]}: every byte is what was registered"))
    return 0


def _write(folder: Path, name: str, content: bytes) -> None:
    """Write one file whole or not at all.

    Raises:
        ArtifactError: It would lie outside the folder, or cannot be written.
    """
    target = folder / name
    if not target.resolve().is_relative_to(folder.resolve()):
        raise ArtifactError(
            f"{name!r} would be written outside the folder", where=str(folder), next_step="choose another"
        )
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        temporary.replace(target)
    except OSError as error:
        raise ArtifactError(
            f"{name} cannot be written: {os.strerror(error.errno or 0)}",
            where=str(target),
            next_step="choose a folder that you may write: -o DIR",
        ) from error
