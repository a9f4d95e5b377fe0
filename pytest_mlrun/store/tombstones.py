"""Remember which objects were collected: when, by whom and by which rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from pytest_mlrun.errors import ArtifactError, StoreDamagedError
from pytest_mlrun.records.identity import new_id
from pytest_mlrun.records.retention import RESTORED, Tombstone
from pytest_mlrun.records.run import Artifact, RunRecord
from pytest_mlrun.store.absent import is_absent
from pytest_mlrun.store.digest import compute_tombstone_digest
from pytest_mlrun.store.eventfile import decode_event, encode_event
from pytest_mlrun.store.files import Steps, publish, read_bytes
from pytest_mlrun.store.layout import list_tombstones
from pytest_mlrun.store.schema import TOMBSTONE_FIELDS, clean, clean_texts


def bury(root: Path, objects: Mapping[str, str], *, who: str, time_us: int, steps: Steps) -> Tombstone:
    """Publish a tombstone, before its objects go.

    Args:
        root: The store's folder.
        objects: Digest to rule.
        who: Who collects.
        time_us: Microseconds since the epoch.
        steps: Named instants.

    Returns:
        The tombstone as stored.

    Raises:
        StoreWriteError: The store cannot be written.
    """
    tombstone = Tombstone(new_id(), time_us, clean(who), clean_texts(objects))
    tombstone = replace(tombstone, digest=compute_tombstone_digest(tombstone))
    content = encode_event(tombstone, TOMBSTONE_FIELDS)
    publish(
        path_of(root, tombstone.tombstone_id),
        lambda target: cast("None", target.write_bytes(content)),
        temporary=root / "tmp" / f"{tombstone.tombstone_id}.json",
        steps=steps,
    )
    return tombstone


def path_of(root: Path, tombstone_id: str) -> Path:
    """Name the file of a tombstone."""
    return root / "tombstones" / f"{tombstone_id}.json"


class Graveyard:
    """The tombstones of a store, as they are when this is made.

    Args:
        root: The store's folder.

    Attributes:
        damaged: Files that are not what was written, with the reason.
    """

    def __init__(self, root: Path) -> None:
        self.damaged: list[tuple[Path, str]] = []
        self._last: dict[str, Tombstone] = {}
        for tombstone in sorted(self._read(root), key=lambda known: (known.time_us, known.tombstone_id)):
            self._last.update(dict.fromkeys(tombstone.objects, tombstone))

    def find(self, digest: str, *, since_us: int = 0) -> Tombstone | None:
        """Return the tombstone of an object that was collected, and not stored again since.

        Args:
            digest: The object.
            since_us: When it was last known to be there: an older tombstone says nothing about what became of it.
        """
        last = self._last.get(digest)
        buried = last is not None and last.objects[digest] != RESTORED and last.time_us >= since_us
        return last if buried else None

    def _read(self, root: Path) -> list[Tombstone]:
        found = []
        for name in list_tombstones(root):
            path = path_of(root, name)
            try:
                found.append(_decode(read_bytes(path), name))
            except FileNotFoundError:
                continue  # removed between listing and reading
            except (ValueError, RecursionError) as error:
                self.damaged.append((path, str(error).splitlines()[0]))
        return found


def explain_absence(root: Path, digest: str, *, where: str, since_us: int) -> ArtifactError | StoreDamagedError:
    """Word why an object is not there.

    Args:
        root: The store's folder.
        digest: The object.
        where: Where it should lie.
        since_us: See ``Graveyard.find``.

    Returns:
        That it was collected or left out, if a tombstone or a mark of absence says so, else that it is missing.
    """
    tombstone = Graveyard(root).find(digest, since_us=since_us)
    if tombstone is None and is_absent(root, digest):
        return ArtifactError(
            f"an object was left out when its run was exported: sha256 {digest.removeprefix('sha256:')[:12]}…",
            where=where,
            next_step="merge the store it came from, or import a bundle with it: export RUN --all-artifacts",
        )
    if tombstone is None:
        return StoreDamagedError(
            f"an object is missing: sha256 {digest.removeprefix('sha256:')[:12]}…",
            where=where,
            next_step="restore it from a copy of the store; see what else is missing: pytest-mlrun verify",
        )
    day = datetime.fromtimestamp(tombstone.time_us / 1e6, tz=UTC).date()
    return ArtifactError(
        f"an object was collected on {day} by {tombstone.who}: {tombstone.objects[digest]}",
        details=(digest,),
        where=where,
        next_step="run the training again, or take the file from a copy of the store made before",
    )


def last_wanted_us(run: RunRecord, artifact: Artifact) -> int:
    """Say when a run counted on an object for the last time, as far as its record tells.

    Args:
        run: The run.
        artifact: One of its artifacts. What runs share bears the time of the first of them.
    """
    return max(artifact.time_us, run.started_us)


def _decode(content: bytes, tombstone_id: str) -> Tombstone:
    tombstone = decode_event(content, Tombstone, TOMBSTONE_FIELDS)
    if tombstone.tombstone_id != tombstone_id:
        raise ValueError(f"it calls itself {tombstone.tombstone_id}")
    fits = compute_tombstone_digest(tombstone) == tombstone.digest
    if not fits or encode_event(tombstone, TOMBSTONE_FIELDS) != content:
        raise ValueError("the digest does not fit")
    return tombstone
