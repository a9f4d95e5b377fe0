"""Recompute every digest of a store and name what is not as it was written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import pyarrow as pa

from pytest_mlrun.errors import MlrunError
from pytest_mlrun.records.run import Artifact, RunRecord
from pytest_mlrun.store.absent import list_absent
from pytest_mlrun.store.annotations import read_annotations
from pytest_mlrun.store.digest import compute_run_digest
from pytest_mlrun.store.files import read_bytes
from pytest_mlrun.store.keptfiles import SNAPSHOT, read_kept_files
from pytest_mlrun.store.layout import LogFiles, list_damaged, list_damaged_files, list_logs
from pytest_mlrun.store.locks import find_boot_id
from pytest_mlrun.store.log import read_log
from pytest_mlrun.store.segment import Segment, build_runs, decode_runs
from pytest_mlrun.store.series import compute_series_digest, has_checksum, read_all_series
from pytest_mlrun.store.store import Store
from pytest_mlrun.store.tombstones import Graveyard, last_wanted_us
from pytest_mlrun.store.view import View, Viewer

FindingKind = Literal["segment", "run", "series", "object", "log", "columns", "annotation", "tombstone", "twice"]
_BROKEN: Final = (ValueError, TypeError, KeyError, pa.ArrowException)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it was written.

    Attributes:
        kind: What was looked at.
        path: The file.
        run_ids: Runs concerned, as far as they can be named.
        message: A sentence.
    """

    kind: FindingKind
    path: str
    run_ids: tuple[str, ...]
    message: str


def verify_store(store: Store) -> list[Finding]:
    """Check segments, runs, series, objects, logs, annotations and tombstones.

    Args:
        store: The store; nothing in it is changed.

    Returns:
        What is wrong; nothing if all is well.
    """
    while True:
        try:
            return list(_verify(store))
        except _CompactedError:
            continue  # what was being looked at is elsewhere now


class _CompactedError(Exception):
    """A segment was compacted while its series were about to be read."""


def _verify(store: Store) -> Iterator[Finding]:
    view = Viewer(store.path, whole=True).look()
    yield from _verify_logs(store.path)
    yield from _verify_opened(store.path, view)
    graveyard = Graveyard(store.path)
    wanted: dict[str, list[str]] = {}
    places: dict[str, Path] = {}
    for segment in view.segments:
        path = _path_of(store.path, segment)
        try:
            records = [record for batch in segment.batches for record in decode_runs(batch)]
        except _BROKEN as error:
            yield Finding("segment", str(path), (), f"{segment.rows} runs are not readable: {_first_line(error)}")
            continue
        yield from _verify_once(path, records, places)
        yield from _verify_runs(path, records)
        yield from _verify_columns(path, segment, records)
        yield from _verify_series(store.path, path, segment, records)
        for record in records:
            for artifact in record.artifacts:
                if record.status.startswith("running") and artifact.digest not in store.objects:
                    continue  # its object is on the way
                if artifact.digest not in store.objects and _is_collected(record, artifact, graveyard):
                    continue
                for digest in (artifact.digest, *_list_kept_files(store, artifact)):
                    wanted.setdefault(digest, []).append(record.run_id)
    yield from _verify_objects(store, wanted)
    for path, reason in read_annotations(store.path)[1]:
        yield Finding("annotation", str(path), (), f"the annotation is not what was written: {reason}")
    for path, reason in graveyard.damaged:
        yield Finding("tombstone", str(path), (), f"the tombstone is not what was written: {reason}")


def count_collected(store: Store) -> int:
    """Count the artifacts whose objects are absent because a collection took them.

    Args:
        store: The store.
    """
    graveyard = Graveyard(store.path)
    return sum(
        artifact.digest not in store.objects and _is_collected(run, artifact, graveyard)
        for run in store.reader().runs()
        for artifact in run.artifacts
    )


def _list_kept_files(store: Store, artifact: Artifact) -> tuple[str, ...]:
    if artifact.role != SNAPSHOT:
        return ()
    try:
        return read_kept_files(store.objects.read(artifact.digest))
    except (MlrunError, ValueError):
        return ()  # the listing itself is a finding


def _is_collected(run: RunRecord, artifact: Artifact, graveyard: Graveyard) -> bool:
    return graveyard.find(artifact.digest, since_us=last_wanted_us(run, artifact)) is not None


def _verify_opened(root: Path, view: View) -> Iterator[Finding]:
    for damage in view.damaged:
        folder = Path(damage.path).parent
        if folder.parent == root / "damaged":
            kind: FindingKind = "series" if folder.name == "pts" else "segment"
            yield Finding(kind, damage.path, damage.run_ids, damage.message)
            continue
        if damage.message and damage.path.endswith(".arrow"):
            yield Finding("segment", damage.path, (), damage.message)
        for run_id in damage.run_ids:
            yield Finding("run", damage.path, (run_id,), f"run {run_id[-8:]} is not what was recorded")


def _path_of(root: Path, segment: Segment) -> Path:
    if segment.id.startswith("log:"):
        return LogFiles(root, segment.id.removeprefix("log:")).events
    return root / "seg" / f"{segment.id}.arrow"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _verify_logs(root: Path) -> Iterator[Finding]:
    for log in list_logs(root):
        path = LogFiles(root, log).events
        try:
            content = read_log(read_bytes(path))
        except FileNotFoundError:
            continue  # sealed in the meantime
        for start, end in content.damaged:
            yield Finding(
                "log", str(path), (), f"the log is damaged at byte {start}: {end - start} bytes are not readable"
            )
        # Of a living process, an incomplete end may just be on its way.
        if content.torn_bytes and content.header.get("boot") != find_boot_id():
            yield Finding("log", str(path), (), f"the log's last {content.torn_bytes} bytes are incomplete")
    for log in list_damaged(root):
        yield Finding(
            "log", str(LogFiles(root, log).damaged), (), "a log with unreadable bytes was kept when it was sealed"
        )


def _verify_once(path: Path, records: list[RunRecord], places: dict[str, Path]) -> Iterator[Finding]:
    for record in records:
        other = places.setdefault(record.run_id, path)
        if other != path:
            yield Finding(
                "twice", str(path), (record.run_id,), f"run {record.short_id} is there twice: also in {other.name}"
            )


def _verify_runs(path: Path, records: list[RunRecord]) -> Iterator[Finding]:
    for record in records:
        if record.status.startswith("running"):
            continue
        found = compute_run_digest(record)
        if found != record.digest:
            message = (
                f"run {record.short_id} is not what was recorded: digest {record.digest[:19]}…, found {found[:19]}…"
            )
            yield Finding("run", str(path), (record.run_id,), message)


def _verify_columns(path: Path, segment: Segment, records: list[RunRecord]) -> Iterator[Finding]:
    expected = build_runs(records, replaces=segment.facts.replaces, series=segment.facts.series)
    known = {field.name for field in segment.schema}
    for field in expected[0].schema:
        if field.name not in known:
            continue
        want = pa.chunked_array([batch.column(field.name) for batch in expected])
        have = pa.chunked_array([batch.column(field.name) for batch in segment.batches])
        if want.type != have.type or _canonical(want) != _canonical(have):
            message = f"column {field.name!r} does not repeat what the runs say"
            yield Finding("columns", str(path), (), message)


def _canonical(column: pa.ChunkedArray) -> list[str]:
    return [repr(value) for value in column.to_pylist()]  # NaN equals NaN as text


def _verify_series(root: Path, path: Path, segment: Segment, records: list[RunRecord]) -> Iterator[Finding]:
    if segment.id.startswith("log:"):
        return  # folded from the log a moment ago
    missing = {(record.run_id, name): digest for record in records for name, digest in record.series.items()}
    owner = path
    for part in segment.facts.series:
        path = root / "pts" / f"{part}.arrow"
        try:
            found = list(_verify_series_file(path, missing))
            if not found and not has_checksum(path):
                found = [Finding("series", str(path), (), "the series file's checksum does not hold")]
        except FileNotFoundError:
            if not owner.exists():
                raise _CompactedError from None
            known = part in list_damaged_files(root, "pts")
            found = [] if known else [Finding("series", str(path), (), "the series file is missing")]
        yield from found
    for run_id, name in missing:
        yield Finding("series", str(path), (run_id,), f"series {name!r} of run {run_id[-8:]} is not readable")


def _verify_series_file(path: Path, missing: dict[tuple[str, str], str]) -> Iterator[Finding]:
    try:
        for run_id, series in read_all_series(path):
            expected = missing.pop((run_id, series.name), None)
            if expected is not None and compute_series_digest(series) != expected:
                message = f"series {series.name!r} of run {run_id[-8:]} is not what was recorded"
                yield Finding("series", str(path), (run_id,), message)
    except _BROKEN as error:
        yield Finding("series", str(path), (), f"the series file is damaged: {_first_line(error)}")


def _verify_objects(store: Store, wanted: dict[str, list[str]]) -> Iterator[Finding]:
    absent = list_absent(store.path)
    for digest, run_ids in sorted(wanted.items()):
        if digest in absent and digest not in store.objects:
            continue  # left out on purpose
        path = store.path / "objects"
        try:
            path = store.objects.path(digest)
            intact = store.objects.intact(digest)
            message = f"object {digest[:19]}… is not what was stored"
        except (MlrunError, FileNotFoundError, ValueError) as error:
            intact, message = False, f"object {digest[:19]}… is not readable: {_first_line(error)}"
        if not intact:
            yield Finding("object", str(path), tuple(run_ids), message)
