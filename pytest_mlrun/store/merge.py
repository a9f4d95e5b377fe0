"""Take the runs of another store, or of a bundle, into a store: an idempotent union of what has ended."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from heapq import merge
from itertools import count
from pathlib import Path
from typing import Final

from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.store.annotations import encode, path_of
from pytest_mlrun.store.files import Steps, aside, install, publish, remove
from pytest_mlrun.store.layout import LogFiles, list_segments
from pytest_mlrun.store.locks import hold
from pytest_mlrun.store.merge_objects import ObjectCopier
from pytest_mlrun.store.merge_offer import Group, Lost, Rows, Source
from pytest_mlrun.store.merge_plan import Plan, make_plan
from pytest_mlrun.store.merge_source import StoreSource
from pytest_mlrun.store.segment import write_segment
from pytest_mlrun.store.series import write_series

_LOCKS: Final = ("gc.lock", "compact.lock")
_PATIENCE_S: Final = 60


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge did.

    Attributes:
        added: Ids of runs that were missing.
        superseded: Ids of runs whose orphaned beginning was here, and which now are whole.
        known: Number of runs that were here already.
        under_way: Ids of runs that have not ended there, and are not here.
        busy: Ids of runs that have ended there, and not here.
        lost: Runs that could not be taken over, and why.
        annotations: Number of annotations that were missing.
        objects: Number of objects that were missing.
        object_bytes: Their size.
        damaged: Files there that are not as they were written.
    """

    added: tuple[str, ...] = ()
    superseded: tuple[str, ...] = ()
    known: int = 0
    under_way: tuple[str, ...] = ()
    busy: tuple[str, ...] = ()
    lost: tuple[Lost, ...] = ()
    annotations: int = 0
    objects: int = 0
    object_bytes: int = 0
    damaged: tuple[str, ...] = ()


def merge_into(root: Path, source: Source, *, steps: Steps) -> Merged:
    """Take over what a source has and a store lacks.

    Args:
        root: The store's folder.
        source: Where from; it was looked at before this store is, so that a run that began here is seen here.
        steps: Named instants.

    Returns:
        What was done.

    Raises:
        StoreDamagedError: This store has a segment that cannot be read; nothing was written.
        StoreConflictError: Both have a different record of one run; nothing was written.
        StoreWriteError: The operating system refused; to merge again goes on where this stopped.
    """
    with ExitStack() as stack:
        for name in _LOCKS:
            # Two merges would each add the missing runs; a compaction would rewrite what is being superseded; a
            # collection would take the objects that no run names yet.
            stack.enter_context(hold(root / name, timeout_s=_PATIENCE_S))
        steps.reach("merge.locked")
        return _Merge(root, source, steps).run()


class _Merge:
    """One merge, while its locks are held."""

    def __init__(self, root: Path, source: Source, steps: Steps) -> None:
        self._root = root
        self._source = source
        self._steps = steps
        self._mine = StoreSource(root)
        self._objects = ObjectCopier(root, source, steps=steps)
        self._lost: list[Lost] = []
        self._added: list[str] = []
        self._superseded: list[str] = []

    def run(self) -> Merged:
        plan = make_plan(self._mine, self._source)
        # An object nobody names yet is only waste, and a tag can wait for its run; a run cannot wait for its objects.
        self._objects.restore()
        annotations = self._copy_annotations(plan)
        for group in self._source.read(plan.missing):
            self._add(self._with_objects(group))
        for place in sorted(set(plan.superseding.values())):
            self._supersede(place, [run_id for run_id, at in plan.superseding.items() if at == place])
        return Merged(
            added=tuple(self._added),
            superseded=tuple(self._superseded),
            known=plan.known,
            under_way=plan.under_way,
            busy=plan.busy,
            lost=(*plan.hidden, *self._source.lost, *self._lost),
            annotations=annotations,
            objects=self._objects.count,
            object_bytes=self._objects.size_bytes,
            damaged=self._source.damaged,
        )

    def _copy_annotations(self, plan: Plan) -> int:
        for event in plan.annotations:
            content = encode(event)

            def write(target: Path, content: bytes = content) -> None:
                target.write_bytes(content)

            target = path_of(self._root, event.annotation_id)
            publish(target, write, temporary=self._root / "tmp" / target.name, steps=self._steps)
        return len(plan.annotations)

    def _with_objects(self, group: Group) -> Group:
        """Copy the objects of runs, and leave out the runs of which one can be read nowhere."""
        found = {record.run_id: self._objects.find_lost(record) for record in group.records}
        lost = {run_id: name for run_id, name in found.items() if name}
        self._lost += [Lost(run_id, f"its artifact {name!r} cannot be read") for run_id, name in lost.items()]
        self._objects.remember()
        return Group(
            [record for record in group.records if record.run_id not in lost],
            lambda: (row for row in group.series() if row[0] not in lost),
        )

    def _add(self, group: Group) -> None:
        if group.records:
            self._publish(group.records, group.series, replaces=())
            self._added += [record.run_id for record in group.records]

    def _supersede(self, place: str, run_ids: list[str]) -> None:
        """Write a segment anew, with whole runs where it has their beginnings."""
        groups = [self._with_objects(group) for group in self._source.read(run_ids)]
        whole = [record for group in groups for record in group.records]
        segment = self._mine.segments[place]
        if not whole:
            return
        kept = self._mine.read_segment(segment, without={record.run_id for record in whole})
        if kept is None:
            reason = "the segment that holds its beginning here is damaged"
            self._lost += [Lost(record.run_id, reason) for record in whole]
            return
        records = sorted((*kept.records, *whole), key=lambda record: record.run_id)

        def series() -> Rows:
            return merge(*(group.series() for group in (kept, *groups)), key=lambda row: (row[0], row[1].name))

        self._publish(records, series, replaces=(place, *segment.facts.replaces))
        # Ignored from now on, so its removal can wait for the next compaction, where the process ends here.
        remove(self._root / "seg" / f"{place}.arrow")
        self._steps.reach("merge.removed")
        self._superseded += [record.run_id for record in whole]

    def _publish(self, records: list[RunRecord], series: Callable[[], Rows], *, replaces: tuple[str, ...]) -> None:
        name = self._name(records, replaces)
        files = LogFiles(self._root, name)
        with aside(files.temporary("pts")) as temporary:
            written = write_series(temporary, series())
        if written:
            install(temporary, files.series, steps=self._steps)
        with aside(files.temporary("seg")) as temporary:
            write_segment(temporary, records, replaces=replaces, series=(name,) if written else ())
        install(temporary, files.segment, steps=self._steps)

    def _name(self, records: list[RunRecord], replaces: tuple[str, ...]) -> str:
        """Name a segment after its content, so that a merge that is begun again leaves nothing of the first try."""
        taken = set(list_segments(self._root)).union(
            name for segment in self._mine.segments.values() for name in segment.facts.replaces
        )
        ended_ms = max(record.ended_us for record in records) // 1000
        text = "\n".join([*(f"{record.run_id} {record.digest}" for record in records), *replaces])
        names = (_uuid7(ended_ms, hashlib.sha256(f"{salt}\n{text}".encode()).digest()) for salt in count())
        return next(name for name in names if name not in taken)


def _uuid7(time_ms: int, random: bytes) -> str:
    value = (time_ms & (2**48 - 1)) << 80 | int.from_bytes(random[:10])
    value = value & ~(0xF << 76) | 0x7 << 76
    return str(uuid.UUID(int=value & ~(0x3 << 62) | 0x2 << 62))
