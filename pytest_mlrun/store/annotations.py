"""Keep what was said about runs after they ended: an immutable file an event, and the tags that follow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pytest_mlrun.records.annotation import Annotation
from pytest_mlrun.records.identity import new_id, now_us
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.store.digest import compute_annotation_digest
from pytest_mlrun.store.eventfile import decode_event, encode_event
from pytest_mlrun.store.files import Steps, publish, read_bytes
from pytest_mlrun.store.layout import list_annotations
from pytest_mlrun.store.schema import ANNOTATION_FIELDS, clean

if TYPE_CHECKING:
    from pytest_mlrun.records.query import Comparison
    from pytest_mlrun.store.columns import Bools
    from pytest_mlrun.store.guard import Part


def annotate(
    root: Path, run_id: str, *, tags: Mapping[str, str], note: str, who: str, steps: Steps | None = None
) -> Annotation:
    """Publish an event.

    Args:
        root: The store's folder.
        run_id: The run.
        tags: Name to text.
        note: Why.
        who: Who says so.
        steps: Named instants.

    Returns:
        The event as stored.

    Raises:
        StoreWriteError: The store cannot be written.
    """
    texts = {clean(name): clean(value) for name, value in tags.items()}
    event = Annotation(new_id(), run_id, now_us(), clean(who), clean(note), texts)
    event = replace(event, digest=compute_annotation_digest(event))
    content = encode(event)
    publish(
        path_of(root, event.annotation_id),
        lambda target: cast("None", target.write_bytes(content)),
        temporary=root / "tmp" / f"{event.annotation_id}.json",
        steps=steps or Steps(),
    )
    return event


def path_of(root: Path, annotation_id: str) -> Path:
    """Name the file of an event."""
    return root / "annotations" / f"{annotation_id}.json"


def encode(event: Annotation) -> bytes:
    """Write an event as its file holds it: one line of JSON, keys and tags sorted."""
    return encode_event(event, ANNOTATION_FIELDS)


def decode(content: bytes, annotation_id: str) -> Annotation:
    """Read an event, and hold it to its digest and to its name.

    Args:
        content: The bytes of its file.
        annotation_id: What the file's name says.

    Returns:
        The event.

    Raises:
        ValueError: It is not what was written.
    """
    event = decode_event(content, Annotation, ANNOTATION_FIELDS)
    if event.annotation_id != annotation_id:
        raise ValueError(f"it calls itself {event.annotation_id}")
    if compute_annotation_digest(event) != event.digest or encode(event) != content:
        raise ValueError("the digest does not fit")
    return event


def read_annotations(
    root: Path, *, known: Mapping[str, Annotation] | None = None
) -> tuple[dict[str, Annotation], list[tuple[Path, str]]]:
    """Read every event of a store.

    Args:
        root: The store's folder.
        known: Events read before, by id: a file never changes.

    Returns:
        The events by id, and the files that are damaged with the reason.
    """
    found: dict[str, Annotation] = {}
    damaged: list[tuple[Path, str]] = []
    for name in list_annotations(root):
        if known and name in known:
            found[name] = known[name]
            continue
        path = path_of(root, name)
        try:
            found[name] = decode(read_bytes(path), name)
        except FileNotFoundError:
            continue  # removed between listing and reading
        except (ValueError, RecursionError) as error:
            damaged.append((path, str(error).splitlines()[0]))
    return found, damaged


class Overlay:
    """The tags that events added, over those of the rows.

    Args:
        events: In any order.
    """

    def __init__(self, events: Iterable[Annotation] = ()) -> None:
        self._events: dict[str, list[Annotation]] = {}
        self._tags: dict[str, dict[str, str]] = {}
        for event in sorted(events, key=lambda event: (event.time_us, event.annotation_id)):
            self._events.setdefault(event.run_id, []).append(event)
            self._tags.setdefault(event.run_id, {}).update(event.tags)

    def events_of(self, run_id: str) -> tuple[Annotation, ...]:
        """Return the events of a run, oldest first."""
        return tuple(self._events.get(run_id, ()))

    def apply(self, records: list[RunRecord]) -> list[RunRecord]:
        """Return the records with the added tags; their digests stay those of their rows."""
        if not self._tags:
            return records
        return [
            replace(record, tags={**record.tags, **self._tags[record.run_id]})
            if record.run_id in self._tags
            else record
            for record in records
        ]

    def correct(self, found: Bools, part: Part, comparison: Comparison) -> Bools:
        """Decide again about the rows of a batch whose tag an event has set.

        Args:
            found: What the rows' own tags say.
            part: The rows.
            comparison: A comparison with a tag.

        Returns:
            One truth value a row.
        """
        added = {run_id: tags[comparison.field] for run_id, tags in self._tags.items() if comparison.field in tags}
        if not added:
            return found
        from pytest_mlrun.store.columns import check_bounds, find_sorted
        from pytest_mlrun.store.query import holds

        ids = part.column("run_id")
        check_bounds(ids)
        corrected = found.copy()
        for run_id, text in added.items():
            row = find_sorted(ids, run_id)
            if row is not None:
                corrected[row] = holds(text, comparison)
        return corrected
