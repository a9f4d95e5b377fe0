"""Read and extend a model's log: one file an event, each created by exactly one writer."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pytest_mlrun.errors import LostRaceError, RegistryDamagedError, RegistryError
from pytest_mlrun.records.event import Event, Value
from pytest_mlrun.records.identity import now_us
from pytest_mlrun.registry.encoding import clean, compute_event_digest, decode, encode
from pytest_mlrun.registry.refs import is_model_name

FOLDER: Final = "mlrun-registry"
_EVENT: Final = re.compile(r"\d{6}\.json")
# Neither may git change the line ends of a file that has a digest, nor merge two files that have one number.
_ATTRIBUTES: Final = "*.json -text merge=binary\n"


@dataclass(frozen=True, slots=True)
class Log:
    """The events of a model, up to the first that is broken.

    Attributes:
        events: In order.
        broken: File of the first broken event, if there is one.
        reason: What is wrong with it, a sentence.
    """

    events: tuple[Event, ...]
    broken: Path | None = None
    reason: str = ""


def list_models(project: Path) -> list[str]:
    """Return the models that a project's registry knows, sorted.

    Args:
        project: Folder of ``mlrun.toml``.
    """
    folder = project / FOLDER
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False))
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [name for name in names if is_model_name(name) and _event_files(folder / name)]


def read_log(project: Path, model: str) -> Log:
    """Read a model's events, up to the first that is not what was written.

    Args:
        project: Folder of ``mlrun.toml``.
        model: Name of the model.
    """
    folder = project / FOLDER / model
    events: list[Event] = []
    prev = ""
    for number, name in enumerate(_event_files(folder), start=1):
        path = folder / name
        if name != f"{number:06}.json":
            return Log(tuple(events), folder / f"{number:06}.json", "it is missing")
        try:
            event = decode(path.read_bytes(), model=model, number=number, prev=prev)
        except ValueError as error:
            return Log(tuple(events), path, str(error))
        except OSError as error:
            return Log(tuple(events), path, f"it cannot be read: {os.strerror(error.errno or 0)}")
        events.append(event)
        prev = event.digest
    return Log(tuple(events))


def read_events(project: Path, model: str) -> tuple[Event, ...]:
    """Return a model's events, all of them.

    Args:
        project: Folder of ``mlrun.toml``.
        model: Name of the model.

    Raises:
        RegistryDamagedError: One of them is not what was written.
    """
    log = read_log(project, model)
    if log.broken is not None:
        raise RegistryDamagedError(
            f"the registry of {model!r} is damaged at event {log.broken.stem}: {log.reason}",
            where=str(log.broken),
            next_step="restore the file as it was committed: git log -- " + FOLDER,
        )
    return log.events


def append(
    project: Path, events: tuple[Event, ...], *, model: str, kind: str, who: str, note: str, body: Mapping[str, Value]
) -> Event:
    """Add an event after those that its writer has seen; of two writers that saw the same, one succeeds.

    Args:
        project: Folder of ``mlrun.toml``.
        events: All events of the model, as the writer read them.
        model: Name of the model.
        kind: What is done.
        who: By whom.
        note: Why.
        body: What depends on the kind.

    Returns:
        The event, on disk.

    Raises:
        LostRaceError: Somebody else has added an event in the meantime.
        RegistryError: The file cannot be written.
    """
    last = events[-1] if events else None
    event = Event(
        model=model,
        number=len(events) + 1,
        prev=last.digest if last else "",
        kind=kind,
        # What is true at an instant follows from the events before it, so no event may be older than its predecessor.
        time_us=max(now_us(), last.time_us + 1 if last else 0),
        who=clean(who),
        note=clean(note),
        body=body,
    )
    event = replace(event, digest=compute_event_digest(event))
    _create(project / FOLDER, event)
    return event


def path_of(project: Path, event: Event) -> Path:
    """Return the file of an event."""
    return project / FOLDER / event.model / f"{event.number:06}.json"


def _create(root: Path, event: Event) -> None:
    folder = root / event.model
    target = folder / f"{event.number:06}.json"
    temporary = folder / f".{event.number:06}.{os.getpid()}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not (root / ".gitattributes").exists():
            (root / ".gitattributes").write_text(_ATTRIBUTES, encoding="utf-8")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        with os.fdopen(descriptor, "wb") as file:
            file.write(encode(event))
            file.flush()
            os.fsync(file.fileno())
        try:
            # A link is refused where the name is taken, and shows the file whole or not at all.
            os.link(temporary, target)
        finally:
            temporary.unlink()
        _sync_folder(folder)
    except FileExistsError:
        raise LostRaceError(
            f"another event of {event.model!r} was written in the meantime",
            where=str(target),
            next_step="look at it, then run the same command again: pytest-mlrun history " + event.model,
        ) from None
    except OSError as error:
        raise RegistryError(
            f"the registry cannot be written: {os.strerror(error.errno or 0)}",
            where=str(target),
            next_step="check the folder and its permissions, then run the same command again",
        ) from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    with suppress(OSError):  # not every file system syncs folders
        os.fsync(descriptor)
    os.close(descriptor)


def _event_files(folder: Path) -> list[str]:
    try:
        return sorted(name for name in os.listdir(folder) if _EVENT.fullmatch(name))  # noqa: PTH208 - names suffice
    except (FileNotFoundError, NotADirectoryError):
        return []
