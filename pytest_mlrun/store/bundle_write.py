"""Write a run as a bundle: the same run and choice give the same bytes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

from pytest_mlrun.errors import ArtifactError, RunNotFoundError, StoreDamagedError, StoreError, StoreWriteError
from pytest_mlrun.records.run import Artifact, RunRecord
from pytest_mlrun.store.absent import list_absent
from pytest_mlrun.store.annotations import encode
from pytest_mlrun.store.bundle import lay_out
from pytest_mlrun.store.bundle_form import MOST_BYTES, pack
from pytest_mlrun.store.collected import read_collected
from pytest_mlrun.store.digest import series_bytes
from pytest_mlrun.store.merge_offer import Group
from pytest_mlrun.store.merge_source import StoreSource
from pytest_mlrun.store.objects import Objects

Choice = Literal["small", "rows", "all", "none"]
SMALL_BYTES: Final = 256 << 10
_ROWS: Final = ("predictions", "labels")
_LARGE: Final = ("model", "checkpoint")


def export_run(root: Path, run_id: str, target: Path, *, choice: Choice = "small", also: Sequence[str] = ()) -> None:
    """Write one run, with its points, tags and chosen artifacts, into one file.

    Args:
        root: The store's folder.
        run_id: The run; it must have ended.
        target: The file; one that is there is replaced.
        choice: ``small``: predictions, labels and all else up to 256 KiB that is no model. ``rows``: predictions and
            labels. ``all`` or ``none`` of them.
        also: Names of further artifacts.

    Raises:
        RunNotFoundError: There is no such run.
        StoreError: The run has not ended, or is too large.
        ArtifactError: An artifact that was asked for is not there.
        StoreDamagedError: The run, its points or an artifact is not what was recorded.
        StoreWriteError: The file cannot be written.
    """
    write_bundle(target, pack_run(root, run_id, choice=choice, also=also))


def pack_run(
    root: Path, run_id: str, *, choice: Choice = "small", also: Sequence[str] = (), companions: Sequence[str] = ()
) -> bytes:
    """Return the bundle of one run.

    Args:
        root: The store's folder.
        run_id: The run; it must have ended.
        choice: Which of its artifacts.
        also: Names of further artifacts.
        companions: Ids of runs that belong to it; of them come predictions, labels and environment.

    Raises:
        RunNotFoundError: There is no such run.
        StoreError: A run has not ended, or all are too large.
        ArtifactError: An artifact that was asked for is not there.
        StoreDamagedError: A run, its points or an artifact is not what was recorded.
    """
    source = StoreSource(root)
    groups = _read_runs(source, {run_id, *companions})
    rows = {row.run_id: row for group in groups for row in group.records}
    row, objects = rows.pop(run_id), Objects(root)
    further = [rows[other] for other in sorted(rows)]
    chosen = _choose(row, choice, also, absent=_absent(root, row))
    chosen += [artifact for other in further for artifact in _choose(other, "rows", (), absent=_absent(root, other))]
    events = [event for event in source.annotations().values() if event.run_id == run_id]
    owners = {run_id: row, **rows}
    members = lay_out(
        row,
        series={
            owners[owner].series[series.name]: series_bytes(series)
            for group in groups
            for owner, series in group.series()
        },
        objects={artifact.digest: objects.read(artifact.digest) for artifact in chosen},
        annotations={event.annotation_id: encode(event) for event in events},
        companions=further,
    )
    try:
        return pack(members)
    except ValueError as error:
        raise StoreError(
            f"run {row.short_id} is too large for a bundle: more than {MOST_BYTES >> 20} MiB",
            where=str(root),
            next_step="choose fewer artifacts, or merge the stores: pytest-mlrun merge STORE",
        ) from error


def _read_runs(source: StoreSource, wanted: set[str]) -> list[Group]:
    groups = list(source.read(wanted))
    if source.lost:
        lost = source.lost[0]
        raise StoreDamagedError(
            f"run {lost.run_id[-8:]} cannot be exported: {lost.reason}",
            where=str(source.root),
            next_step="see what is damaged: pytest-mlrun verify",
        )
    rows = {row.run_id: row for group in groups for row in group.records}
    for run_id in sorted(wanted - set(rows)):
        raise RunNotFoundError(
            f"there is no run {run_id}", where=str(source.root), next_step="list the runs: pytest-mlrun runs"
        )
    for row in rows.values():
        if row.status.startswith("running"):
            raise StoreError(
                f"run {row.short_id} has not ended: only what cannot change is exported",
                where=str(source.root),
                next_step="wait for its end, or if its machine is gone: pytest-mlrun verify --recover",
            )
    return groups


def _absent(root: Path, row: RunRecord) -> set[str]:
    gone, objects = list_absent(root) | read_collected(root).digests, Objects(root)
    return {item.digest for item in row.artifacts if item.digest in gone and item.digest not in objects}


def _choose(row: RunRecord, choice: Choice, also: Sequence[str], *, absent: set[str]) -> list[Artifact]:
    known = {artifact.name for artifact in row.artifacts}
    for name in also:
        if name not in known:
            raise ArtifactError(
                f"run {row.short_id} has no artifact {name!r}",
                details=(f"it has: {', '.join(sorted(known)) or 'none'}",),
                next_step=f"list them: pytest-mlrun show {row.short_id}",
            )
    return [
        artifact
        for artifact in row.artifacts
        if artifact.name in also or choice == "all" or (artifact.digest not in absent and _is_in(artifact, choice))
    ]


def _is_in(artifact: Artifact, choice: Choice) -> bool:
    if artifact.role in _ROWS or (artifact.role == "environment" and artifact.size_bytes <= SMALL_BYTES):
        return choice != "none"
    return choice == "small" and artifact.role not in _LARGE and artifact.size_bytes <= SMALL_BYTES


def write_bundle(target: Path, content: bytes) -> None:
    """Write a bundle as a whole or not at all; a file that is there is replaced.

    Raises:
        StoreWriteError: The file cannot be written.
    """
    temporary = target.with_name(f".{target.name}.part")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise StoreWriteError(
            f"the bundle cannot be written: {os.strerror(error.errno or 0)}",
            where=str(target),
            next_step="name a file that can be written: -o FILE.mlrun",
        ) from error
