"""Find the runs and digests that the registry of a project names, and since when nobody uses them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from pytest_mlrun.errors import ConfigError, RegistryDamagedError
from pytest_mlrun.records.names import REGISTRY_FOLDER
from pytest_mlrun.records.project import Project
from pytest_mlrun.registry.fold import fold
from pytest_mlrun.registry.log import list_models, read_log
from pytest_mlrun.registry.promoting import policy_of
from pytest_mlrun.rules.lineage import unused_since_us

_NAME: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|sha256:[0-9a-f]{64}")
_OF_VERSIONS: Final = frozenset({"registered", "promoted", "approved", "audited"})


def read_reachable(project: Project) -> dict[str, int | None]:
    """Return every text of a registry that is the id of a run or a digest, with the instant its years began.

    Whatever an event says, what it names is evidence. Only what all events that name it say of versions that nobody
    uses any more has an instant. An event of a kind that is not known here, and a model whose events do not hold
    together, keep what they name for ever: None.

    Args:
        project: The project.

    Raises:
        ConfigError: If a file of the registry cannot be read: it may name any run.
    """
    found: dict[str, int | None] = {}
    since = dict(_date_events(project))
    for path in _list_files(project.root / REGISTRY_FOLDER):
        since_us = since.get(path)
        try:
            texts = [text for text in _texts(json.loads(path.read_bytes())) if _NAME.fullmatch(text)]
        except (OSError, ValueError, RecursionError) as error:
            raise _unreadable(path, error) from error
        for text in texts:
            known_us = found.get(text, since_us)
            found[text] = None if since_us is None or known_us is None else max(since_us, known_us)
    return found


def _date_events(project: Project) -> Iterator[tuple[Path, int]]:
    """Yield the files of all events about versions that nobody uses, with the instant since when nobody does."""
    guarded = {alias for alias in project.aliases if policy_of(project, alias).guards}
    for model in list_models(project.root):
        log = read_log(project.root, model)
        if log.broken is not None:
            continue
        with suppress(RegistryDamagedError):
            state = fold(model, log.events)
            since = {number: unused_since_us(state, number, guarded=guarded) for number in state.versions}
            for event in log.events:
                version = event.body.get("version")
                since_us = since.get(version) if isinstance(version, int) else None
                if since_us is not None and event.kind in _OF_VERSIONS:
                    yield project.root / REGISTRY_FOLDER / model / f"{event.number:06}.json", since_us


def _list_files(folder: Path) -> list[Path]:
    def refuse(error: OSError) -> None:
        raise _unreadable(folder, error) from error

    found: list[Path] = []
    if folder.is_dir():
        for place, _, names in os.walk(folder, onerror=refuse):
            found += [Path(place) / name for name in names if name.endswith(".json")]
    return sorted(found)


def _texts(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for key, inner in value.items():
                yield str(key)
                yield from _texts(inner)
        case list():
            for inner in value:
                yield from _texts(inner)


def _unreadable(path: Path, error: Exception) -> ConfigError:
    reason = os.strerror(error.errno or 0) if isinstance(error, OSError) else "it is not JSON"
    return ConfigError(
        f"gc stopped: a file of the registry cannot be read: {reason}",
        details=("it may name any run; nothing was deleted",),
        where=str(path),
        next_step="restore it: git checkout",
    )
