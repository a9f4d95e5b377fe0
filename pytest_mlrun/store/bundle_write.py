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

Choice = Literal["small", "all", "none"]
SMALL_BYTES: Final = 256 << 10
_ROWS: Final = ("predictions", "labels")
_LARGE: Final = ("model", "checkpoint")


def export_run(root: Path, run_id: str, target: Path, *, choice: Choice = "small", also: Sequence[str] = ()) -> None:
    """Write one run, with its points, tags and chosen artifacts, into one file.

    Args:
        root: The store's folder.
        run_id: The run; it must have ended.
        target: The file; one that is there is replaced.
        choice: ``small``: predictions, labels and all else up to 256 KiB that is no model. ``all`` or ``none`` of them.
        also: Names of further artifacts.

    Raises:
        RunNotFoundError: There is no such run.
        StoreError: The run has not ended, or is too large.
        ArtifactError: An artifact that was asked for is not there.
        StoreDamagedError: The run, its points or an artifact is not what was recorded.
        StoreWriteError: The file cannot be written.
    """
    source = StoreSource(root)
    group = _read_run(source, run_id)
    (row,) = group.records
    chosen = _choose(row, choice, also, absent=_absent(root, row))
    objects = Objects(root)
    events = [event for event in source.annotations().values() if event.run_id == run_id]
    members = lay_out(
        row,
        series={row.series[series.name]: series_bytes(series) for _, series in group.series()},
        objects={artifact.digest: objects.read(artifact.digest) for artifact in chosen},
        annotations={event.annotation_id: encode(event) for event in events},
    )
    try:
        content = pack(members)
    except ValueError as error:
        raise StoreError(
            f"run {row.short_id} is too large for a bundle: more than {MOST_BYTES >> 20} MiB",
            where=str(root),
            next_step="choose fewer artifacts, or merge the stores: pytest-mlrun merge STORE",
        ) from error
    _write(target, content)


def _read_run(source: StoreSource, run_id: str) -> Group:
    groups = list(source.read({run_id}))
    if source.lost:
        raise StoreDamagedError(
            f"run {run_id[-8:]} cannot be exported: {source.lost[0].reason}",
            where=str(source.root),
            next_step="see what is damaged: pytest-mlrun verify",
        )
    if not groups:
        raise RunNotFoundError(
            f"there is no run {run_id}", where=str(source.root), next_step="list the runs: pytest-mlrun runs"
        )
    (row,) = groups[0].records
    if row.status.startswith("running"):
        raise StoreError(
            f"run {row.short_id} has not ended: only what cannot change is exported",
            where=str(source.root),
            next_step="wait for its end, or if its machine is gone: pytest-mlrun verify --recover",
        )
    return groups[0]


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
        if artifact.name in also or choice == "all" or (choice == "small" and _is_small(artifact, absent))
    ]


def _is_small(artifact: Artifact, absent: set[str]) -> bool:
    if artifact.digest in absent:
        return False
    return artifact.role in _ROWS or (artifact.role not in _LARGE and artifact.size_bytes <= SMALL_BYTES)


def _write(target: Path, content: bytes) -> None:
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
