"""Open a bundle: one run, and those that belong to it, in one file; verified whole, readable without a store."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pytest_mlrun.errors import ArtifactError, MetricError, StoreDamagedError, StoreError, StoreFormatError
from pytest_mlrun.records.annotation import Annotation
from pytest_mlrun.records.run import Artifact, RunRecord
from pytest_mlrun.store.annotations import Overlay, decode
from pytest_mlrun.store.bundle_form import MOST_BYTES, unpack
from pytest_mlrun.store.bundle_row import parse_run

if TYPE_CHECKING:
    from pytest_mlrun.store.points import Series

BUNDLE_FORMAT: Final = "0.1"
FAMILY_FORMAT: Final = "0.2"
"""Of a bundle that holds further runs, which a reader of the format before would not know."""
_ABOUT: Final = "bundle.json"
_RUN: Final = "run.json"
_FURTHER: Final = "runs/"
_WINNER: Final = "selection.winner"
_KIND: Final = "mlrun-bundle"
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_SERIES: Final = re.compile(r"([1-9][0-9]{0,9}):sha256:([0-9a-f]{64})")
POINT_BYTES: Final = 24
_MOST_TEXT_BYTES: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class Bundle:
    """One run, with its points and those of its artifacts that were chosen. Every byte was compared with its digest.

    Attributes:
        path: The file.
        row: The run as it was recorded; its digest is over this.
        run: The same, with the tags that were added later.
        annotations: What was said about it later, oldest first.
        size_bytes: Size of the file.
        companions: Runs that belong to it: trainings of its own under several seeds, and the run that judged it.
    """

    path: Path
    row: RunRecord
    run: RunRecord
    annotations: tuple[Annotation, ...]
    size_bytes: int
    companions: tuple[RunRecord, ...]
    _members: Mapping[str, bytes] = field(repr=False, compare=False)

    @property
    def artifacts(self) -> tuple[str, ...]:
        """Names of the artifacts that can be read."""
        return tuple(artifact.name for artifact in self.row.artifacts if self.holds(artifact))

    def holds(self, artifact: Artifact) -> bool:
        """Whether the bytes of an artifact, of any of its runs, can be read."""
        return _object_name(artifact.digest) in self._members

    @property
    def left_out(self) -> tuple[str, ...]:
        """Names of the run's artifacts that the file does not hold."""
        held = set(self.artifacts)
        return tuple(artifact.name for artifact in self.row.artifacts if artifact.name not in held)

    def series(self, name: str, run: RunRecord | None = None) -> Series:
        """Read the points of one metric that have a step.

        Args:
            name: The metric.
            run: One of the companions; the run itself if not given.

        Returns:
            The points in logged order; none for a metric that was only logged without a step.

        Raises:
            MetricError: The run has no such metric.
        """
        import numpy as np

        from pytest_mlrun.store.points import Series

        row = self.row if run is None else run
        if name in row.series:
            rows = np.frombuffer(self._members[_series_name(row.series[name])], dtype=">i8").reshape(-1, 3)
            steps, times_us, bits = (rows[:, at].astype(np.int64) for at in range(3))
            return Series(name, steps, times_us, bits.view(np.float64))
        if name in row.metrics:
            return Series(name, np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float64))
        raise MetricError(
            f"metric {name!r} was never logged; this run has: {', '.join(row.metrics) or 'none'}",
            where=str(self.path),
            next_step=f"see what it has: pytest-mlrun import {self.path.name}, then show {row.short_id}",
        )

    def read_artifact(self, name: str, run: RunRecord | None = None) -> bytes:
        """Read the bytes of one artifact.

        Args:
            name: Its name.
            run: One of the companions; the run itself if not given.

        Returns:
            The bytes. Reading them runs no code; what they say may be ``unsafe`` to load.

        Raises:
            ArtifactError: The run has no such artifact, or it was left out of the file.
        """
        row = self.row if run is None else run
        digests = {artifact.name: artifact.digest for artifact in reversed(row.artifacts)}
        if name not in digests:
            raise ArtifactError(
                f"run {row.short_id} has no artifact {name!r}",
                details=(f"it has: {', '.join(digests) or 'none'}",),
                where=str(self.path),
            )
        content = self._members.get(_object_name(digests[name]))
        if content is None:
            raise ArtifactError(
                f"artifact {name!r} was left out of {self.path.name}",
                details=(f"it holds: {', '.join(self.artifacts) or 'none'}",),
                where=str(self.path),
                next_step=f"export the run again: pytest-mlrun export {row.short_id} --artifact {name}",
            )
        return content


def open_bundle(path: str | os.PathLike[str]) -> Bundle:
    """Open an exported run without a store; every byte is compared with its digest, nothing is unpickled.

    Args:
        path: The file, whoever wrote it.

    Returns:
        The bundle.

    Raises:
        StoreError: There is no such file, or it is too large.
        StoreFormatError: It has a newer format.
        StoreDamagedError: It is not what ``pytest-mlrun export`` wrote.
    """
    path = Path(path)
    content = _read(path)
    try:
        members = unpack(content)
        if any(name.endswith(".json") and len(text) > _MOST_TEXT_BYTES for name, text in members.items()):
            raise ValueError(f"it holds a text of more than {_MOST_TEXT_BYTES >> 20} MiB")
        _check_format(path, members)
        row = parse_run(members.get(_RUN, b""))
        companions = _read_companions(members, row)
        events = _read_annotations(members, row)
        _check_members(members, row, companions, events)
    except ValueError as error:
        raise StoreDamagedError(
            f"not a bundle as it was exported: {(str(error).splitlines() or [''])[0][:200]}",
            where=str(path),
            next_step="take the file from where it came, or export the run again",
        ) from error
    overlay = Overlay(events)
    (run,) = overlay.apply([row])
    return Bundle(path, row, run, overlay.events_of(row.run_id), len(content), companions, members)


def belongs_to(run: RunRecord, row: RunRecord) -> bool:
    """Whether a run is a training of another one, or judged it as a winner: what a bundle may hold beside it."""
    return row.run_id not in {"", run.run_id} and (
        run.parent_id == row.run_id or run.context.get(_WINNER) == json.dumps(row.run_id)
    )


def lay_out(
    row: RunRecord,
    series: Mapping[str, bytes],
    objects: Mapping[str, bytes],
    annotations: Mapping[str, bytes],
    companions: Sequence[RunRecord] = (),
) -> dict[str, bytes]:
    """Name the members of a bundle, in their order.

    Args:
        row: The run.
        series: Text of ``RunRecord.series`` to points.
        objects: Digest to bytes.
        annotations: Id to the content of the event's file.
        companions: Runs that belong to it.

    Returns:
        Name to content.
    """
    from pytest_mlrun.store.digest import canonical_text

    members = {_RUN: canonical_text(row).encode("utf-8")}
    members |= {f"{_FURTHER}{run.run_id}.json": canonical_text(run).encode("utf-8") for run in companions}
    members |= {_series_name(digest): content for digest, content in series.items()}
    members |= {_object_name(digest): content for digest, content in objects.items()}
    members |= {f"annotations/{name}.json": content for name, content in annotations.items()}
    return {_ABOUT: _about(row, companions), **{name: members[name] for name in sorted(members)}}


def _about(row: RunRecord, companions: Sequence[RunRecord]) -> bytes:
    facts: dict[str, object] = {"digest": row.digest, "format": BUNDLE_FORMAT, "kind": _KIND, "run_id": row.run_id}
    if companions:
        facts |= {"format": FAMILY_FORMAT, "runs": {run.run_id: run.digest for run in companions}}
    return json.dumps(facts, sort_keys=True, separators=(",", ":")).encode("utf-8") + b"\n"


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            size_bytes = os.fstat(file.fileno()).st_size
            if size_bytes > MOST_BYTES:
                raise StoreError(
                    f"too large for a bundle: {size_bytes} bytes, at most {MOST_BYTES}",
                    where=str(path),
                    next_step="merge the store instead: pytest-mlrun merge STORE",
                )
            return file.read(MOST_BYTES + 1)
    except OSError as error:
        raise StoreError(
            f"the bundle cannot be read: {os.strerror(error.errno or 0)}",
            where=str(path),
            next_step="correct the path, or write one: pytest-mlrun export RUN -o FILE.mlrun",
        ) from error


def _check_format(path: Path, members: Mapping[str, bytes]) -> None:
    try:
        about = json.loads(members.get(_ABOUT, b""))
    except RecursionError as error:
        raise ValueError("bundle.json cannot be read") from error
    if not isinstance(about, dict) or about.get("kind") != _KIND:
        raise ValueError("bundle.json does not say that this is a bundle")
    if about.get("format") not in {BUNDLE_FORMAT, FAMILY_FORMAT}:
        raise StoreFormatError(
            f"the bundle has format {str(about.get('format'))[:20]}; this version reads {FAMILY_FORMAT}",
            where=str(path),
            next_step="upgrade: pip install --upgrade pytest-mlrun",
        )


def _read_companions(members: Mapping[str, bytes], row: RunRecord) -> tuple[RunRecord, ...]:
    found = []
    for name, content in members.items():
        if name.startswith(_FURTHER):
            run = parse_run(content)
            if name != f"{_FURTHER}{run.run_id}.json":
                raise ValueError(f"{name} is another run")
            if not belongs_to(run, row):
                raise ValueError(f"{name} does not belong to the run")
            found.append(run)
    return tuple(found)


def _read_annotations(members: Mapping[str, bytes], row: RunRecord) -> list[Annotation]:
    found: list[Annotation] = []
    for name, content in members.items():
        folder, _, file_name = name.partition("/")
        if folder == "annotations":
            try:
                event = decode(content, file_name.removesuffix(".json"))
            except RecursionError as error:
                raise ValueError(f"{name} is not what was written") from error
            if event.run_id != row.run_id:
                raise ValueError(f"{name} is about another run")
            found.append(event)
    return found


def _check_members(
    members: Mapping[str, bytes], row: RunRecord, companions: Sequence[RunRecord], events: list[Annotation]
) -> None:
    """Hold each member to its digest, and the whole to being exactly what the run names.

    Raises:
        ValueError: A member is missing, changed, or there without a reason.
    """
    if members[_ABOUT] != _about(row, companions):
        raise ValueError("bundle.json names another run, or run.json is not what was recorded")
    runs = (row, *companions)
    sizes = {
        _series_name(text): POINT_BYTES * int(text.partition(":")[0]) for run in runs for text in run.series.values()
    }
    missing = [name for name in sizes if name not in members]
    if missing:
        raise ValueError(f"{missing[0]} is missing")
    for artifact in (artifact for run in runs for artifact in run.artifacts):
        if not _DIGEST.fullmatch(artifact.digest):
            raise ValueError("an artifact has no digest")
        sizes[_object_name(artifact.digest)] = artifact.size_bytes
    named = {_ABOUT, _RUN, *(f"{_FURTHER}{run.run_id}.json" for run in companions)}
    named |= {*(f"annotations/{event.annotation_id}.json" for event in events)}
    for name, content in members.items():
        if name in sizes:
            _check_content(name, content, size_bytes=sizes[name])
        elif name not in named:
            raise ValueError(f"{name} belongs to nothing that the run names")
    if list(members) != [_ABOUT, *sorted(name for name in members if name != _ABOUT)]:
        raise ValueError("its members are not in their order")


def _check_content(name: str, content: bytes, *, size_bytes: int) -> None:
    if len(content) != size_bytes:
        raise ValueError(f"{name} is not as long as the run says")
    if hashlib.sha256(content).hexdigest() != name.partition("/")[2]:
        raise ValueError(f"{name} is not what its digest says")


def _series_name(text: str) -> str:
    match = _SERIES.fullmatch(text)
    if match is None:
        raise ValueError("a series has no digest")
    return f"series/{match[2]}"


def _object_name(digest: str) -> str:
    return f"objects/{digest.removeprefix('sha256:')}"
