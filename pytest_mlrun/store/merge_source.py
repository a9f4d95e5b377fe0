"""Offer the runs of a store to a merge: heads first, then whole runs, each held to its digests."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import merge
from pathlib import Path
from typing import Final

from pytest_mlrun.errors import StoreError, StoreFormatError
from pytest_mlrun.records.annotation import Annotation
from pytest_mlrun.records.run import RECORD_VERSION, RunRecord
from pytest_mlrun.store.absent import list_absent
from pytest_mlrun.store.annotations import read_annotations
from pytest_mlrun.store.collected import Collected, read_collected
from pytest_mlrun.store.columns import check_bounds
from pytest_mlrun.store.merge_objects import stage_from
from pytest_mlrun.store.merge_offer import Group, Head, Lost, Rows
from pytest_mlrun.store.objects import Objects, Staged
from pytest_mlrun.store.points import Series
from pytest_mlrun.store.salvage import is_intact
from pytest_mlrun.store.segment import Segment, decode_runs
from pytest_mlrun.store.series import compute_series_digest, read_all_series, read_one_series
from pytest_mlrun.store.view import Viewer

_MOST_RUNS: Final = 8192
_MOST_FILES: Final = 128
_FEW: Final = 20
"""One series is looked up faster than a whole file is read if fewer than one run in so many is wanted."""


@dataclass(slots=True)
class StoreSource:
    """A store at one instant; nothing in it is written.

    Attributes:
        root: The store's folder.
        lost: Runs that ``read`` left out.
        segments: Its segments by id.
        damaged: Files that are not as they were written.
        hidden: Ids of runs that are not shown, because they are not what was recorded.
        unreadable: A segment that may hold runs nobody can name; empty if there is none.
    """

    root: Path
    hidden: frozenset[str] = frozenset()
    unreadable: str = ""
    lost: list[Lost] = field(default_factory=list)
    segments: dict[str, Segment] = field(default_factory=dict)
    damaged: tuple[str, ...] = ()
    _live: dict[str, dict[str, Series]] = field(default_factory=dict)
    _places: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        view = Viewer(self.root, whole=True).look()
        for segment in view.segments:
            if segment.facts.v > RECORD_VERSION:
                raise StoreFormatError(
                    f"runs have records of version {segment.facts.v}; this version reads up to {RECORD_VERSION}",
                    where=f"{self.root}, segment {segment.id}",
                    next_step="upgrade: pip install --upgrade pytest-mlrun",
                )
        self.segments = {segment.id: segment for segment in view.segments}
        self.damaged = tuple(dict.fromkeys(damage.path for damage in view.damaged))
        self.hidden = frozenset(run_id for damage in view.damaged for run_id in damage.run_ids)
        broken = [damage.path for damage in view.damaged if damage.message and Path(damage.path).parent.name == "seg"]
        self.unreadable = broken[0] if broken else ""
        self._live = {run_id: dict(series) for run_id, series in view.live_series.items()}

    def heads(self) -> Iterator[Head]:
        """Return the head of every run, those under way included."""
        for segment in self.segments.values():
            for batch in segment.batches:
                columns = [batch.column(name) for name in ("run_id", "digest", "status")]
                for column in columns:
                    check_bounds(column)
                for run_id, digest, status in zip(*(column.to_pylist() for column in columns), strict=True):
                    self._places[run_id] = segment.id
                    yield Head(run_id, digest, status, segment.id)

    def find(self, run_id: str) -> RunRecord:
        """Return the record of a run that ``heads`` named."""
        (record,) = self._decode(self.segments[self._places[run_id]], {run_id})
        return record

    def first_points(self, record: RunRecord) -> Callable[[str, int], str]:
        """Return the function that gives the digest of the first points of a series; nothing if there are fewer."""
        segment = self.segments[self._places[record.run_id]]
        return digest_of_first({series.name: series for _, series in self._look_up(segment, [record])})

    def read(self, wanted: Collection[str]) -> Iterator[Group]:
        """Return runs whose record and series hold their digests; all others are in ``lost``.

        Args:
            wanted: Ids of runs that have ended.

        Yields:
            Groups that fit into a segment each, so that many small segments become few.
        """
        held: list[tuple[Segment, list[RunRecord]]] = []
        rest = set(wanted)
        for segment in self.segments.values():
            records = self._take_sound(segment, rest)
            if not records:
                continue
            rest -= {record.run_id for record in records}
            for at in range(0, len(records), _MOST_RUNS):
                held.append((segment, records[at : at + _MOST_RUNS]))
                if len(held) >= _MOST_FILES or sum(len(part) for _, part in held) >= _MOST_RUNS:
                    yield self._group(held)
                    held = []
        if held:
            yield self._group(held)

    def read_segment(self, segment: Segment, *, without: Collection[str]) -> Group | None:
        """Return the runs of a whole segment but some, or None if it or a series of theirs is not what was written."""
        put_aside = {path.stem for path in (self.root / "damaged").rglob("*")}
        if not segment.intact or segment.id in put_aside:
            return None
        records = [record for batch in segment.batches for record in decode_runs(batch)]
        records = [record for record in records if record.run_id not in without]
        if not all(map(is_intact, records)) or self._unread_series(segment, records):
            return None
        return Group(records, lambda: self._series(segment, records))

    def digests(self) -> set[str]:
        """Return the digests of all objects that runs which have ended name."""
        found: set[str] = set()
        for segment in self.segments.values():
            for batch in segment.batches:
                column = batch.column("artifacts")
                check_bounds(column)
                if segment.id.startswith("log:"):
                    ended = [record for record in decode_runs(batch) if not record.status.startswith("running")]
                    found.update(artifact.digest for record in ended for artifact in record.artifacts)
                else:
                    found.update(column.flatten().field("digest").to_pylist())
        return found

    def stage(self, digest: str, objects: Objects) -> Staged | None:
        """Copy an object aside, or None if it is not there or not what its digest says."""
        return stage_from(self.root, digest, objects)

    def annotations(self) -> Mapping[str, Annotation]:
        """Return what was said about runs later, by id; damaged events are named by ``damaged``."""
        return read_annotations(self.root)[0]

    def left_out(self) -> set[str]:
        """Return the digests of objects that were left out when their run came."""
        return list_absent(self.root)

    def collected(self) -> Collected:
        """Return the objects that were collected there."""
        return read_collected(self.root)

    def _group(self, held: list[tuple[Segment, list[RunRecord]]]) -> Group:
        parts = list(held)

        def series() -> Rows:
            try:
                yield from merge(*(self._series(segment, records) for segment, records in parts), key=_by_run_and_name)
            except (FileNotFoundError, ValueError) as error:
                raise self._changed() from error

        records = sorted((record for _, part in parts for record in part), key=lambda record: record.run_id)
        return Group(records, series)

    def _take_sound(self, segment: Segment, wanted: set[str]) -> list[RunRecord]:
        records = self._decode(segment, wanted)
        changed = {record.run_id for record in records if not is_intact(record)}
        self.lost += [Lost(run_id, "its record is not what was written") for run_id in sorted(changed)]
        records = [record for record in records if record.run_id not in changed]
        unread = self._unread_series(segment, records)
        self.lost += [Lost(run_id, f"the points of {name!r} cannot be read") for run_id, name in sorted(unread.items())]
        return [record for record in records if record.run_id not in unread]

    @staticmethod
    def _decode(segment: Segment, wanted: Collection[str]) -> list[RunRecord]:
        found: list[RunRecord] = []
        for batch in segment.batches:
            rows = [row for row, run_id in enumerate(batch.column("run_id").to_pylist()) if run_id in wanted]
            if len(rows) == batch.num_rows:
                found += decode_runs(batch)
            else:
                found += [record for row in rows for record in decode_runs(batch.slice(row, 1))]
        return found

    def _unread_series(self, segment: Segment, records: list[RunRecord]) -> dict[str, str]:
        missing = {(record.run_id, name): digest for record in records for name, digest in record.series.items()}
        try:
            for run_id, series in self._series(segment, records):
                if missing.get((run_id, series.name)) == compute_series_digest(series):
                    del missing[run_id, series.name]
        except FileNotFoundError as error:
            if not (self.root / "seg" / f"{segment.id}.arrow").exists():
                raise self._changed() from error
        except (ValueError, KeyError):
            pass  # what was not read stays in ``missing``
        return dict(sorted(missing, reverse=True))

    def _series(self, segment: Segment, records: list[RunRecord]) -> Rows:
        if len(records) * _FEW < segment.rows or segment.id.startswith("log:"):
            return self._look_up(segment, records)
        names = {record.run_id: record.series for record in records}
        files = (read_all_series(self._path(part)) for part in segment.facts.series)
        every = merge(*files, key=_by_run_and_name)
        return ((run_id, series) for run_id, series in every if series.name in names.get(run_id, ()))

    def _look_up(self, segment: Segment, records: list[RunRecord]) -> Rows:
        for record in records:
            for name in sorted(record.series):
                if segment.id.startswith("log:"):
                    yield record.run_id, self._live[record.run_id][name]
                    continue
                for part in segment.facts.series:
                    found = read_one_series(self._path(part), record.run_id, name)
                    if found is not None:
                        yield record.run_id, found
                        break

    def _changed(self) -> StoreError:
        return StoreError(
            "a store was compacted while it was read",
            where=str(self.root),
            next_step="run again: what was taken over so far stays, and is not taken over twice",
        )

    def _path(self, part: str) -> Path:
        return self.root / "pts" / f"{part}.arrow"


def digest_of_first(found: Mapping[str, Series]) -> Callable[[str, int], str]:
    """Return the function that gives the digest of the first points of a series; nothing if there are fewer.

    Args:
        found: Series by name.
    """

    def compute(name: str, count: int) -> str:
        whole = found.get(name)
        if whole is None or len(whole) < count:
            return ""
        return compute_series_digest(Series(name, whole.steps[:count], whole.times_us[:count], whole.values[:count]))

    return compute


def _by_run_and_name(row: tuple[str, Series]) -> tuple[str, str]:
    return row[0], row[1].name
