"""Take a consistent view of a store that others are writing, sealing and compacting."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pytest_mlrun.errors import StoreError
from pytest_mlrun.records.annotation import Annotation
from pytest_mlrun.store.annotations import Overlay, read_annotations
from pytest_mlrun.store.files import read_bytes
from pytest_mlrun.store.fold import FoldedRun, fold_events, fold_runs
from pytest_mlrun.store.layout import LogFiles, list_damaged, list_logs, list_segments, list_set_aside
from pytest_mlrun.store.locks import find_boot_id
from pytest_mlrun.store.log import read_log
from pytest_mlrun.store.points import Series, read_points
from pytest_mlrun.store.quarantine import list_quarantined
from pytest_mlrun.store.salvage import Damage, is_intact, salvage
from pytest_mlrun.store.segment import Segment, SegmentFacts, build_runs, open_segment

_MOST_TRIES: Final = 100

_Key = tuple[int, int, int, bool]
_Opened = tuple[_Key, Segment, Sequence[Damage]]
_Found = tuple[Segment | None, Sequence[Damage]]

_KEPT: Final = "a log with unreadable bytes was kept when it was sealed"
_CHECKSUM: Final = "the segment's checksum does not hold"


@dataclass(slots=True)
class View:
    """The store at one instant.

    Attributes:
        segments: Sealed runs, then the runs of live logs in the same form.
        live_series: Series of the runs of live logs, by run id.
        damaged: What is not as it was written; of these files, only intact runs are in ``segments``.
        overlay: Tags that were added to runs later.
    """

    segments: list[Segment] = field(default_factory=list)
    live_series: dict[str, Mapping[str, Series]] = field(default_factory=dict)
    damaged: list[Damage] = field(default_factory=list)
    overlay: Overlay = field(default_factory=Overlay)


class Viewer:
    """Take views of a store, opening each immutable file once.

    Args:
        root: The store's folder.
        whole: Whether all bytes of a segment are compared with its checksum when it is opened, and not only its frame.
    """

    def __init__(self, root: Path, *, whole: bool = False) -> None:
        self._root = root
        self._whole = whole
        self._condemned: set[_Key] = set()
        self._opened: dict[str, _Opened] = {}
        self._events: dict[str, Annotation] = {}
        self._overlay = Overlay()

    def look(self) -> View:
        """Take a view.

        Returns:
            Every run exactly once, wherever it is between log and compacted segment.

        Raises:
            StoreError: The store changed faster than it could be listed.
        """
        # Runs move from live/ to seg/: listed the other way round, a log sealed in between would be in neither.
        logs = list_logs(self._root)
        seen: dict[str, _Found] = {}
        live: dict[str, View | None] = {}
        for _ in range(_MOST_TRIES):
            # A directory listing is no snapshot: a compaction may swap files while it is read. What was opened stays
            # readable when its file is gone, so only what is new has to be looked at, until nothing new replaces what
            # was there. What others seal meanwhile replaces a log that is younger than this view.
            new = [name for name in list_segments(self._root) if name not in seen]
            doubtful = list_set_aside(self._root) if new else frozenset()
            seen |= {name: self._open(name, kept=name in doubtful) for name in new}
            replaced = {name for segment, _ in seen.values() if segment is not None for name in segment.facts.replaces}
            unread = [log for log in logs if log not in live and f"log:{log}" not in replaced]
            known = {*seen, *(f"log:{log}" for log in logs)}
            if not unread and not any(_replaces(seen[name], known) for name in new):
                self._opened = {name: entry for name, entry in self._opened.items() if name in seen}
                return self._assemble(seen, {log: view for log, view in live.items() if f"log:{log}" not in replaced})
            live |= self._read_live(unread)
        raise StoreError(
            "the run store changes faster than it can be read",
            where=str(self._root),
            next_step="run again when less is recorded",
        )

    def condemn(self, segment_id: str) -> None:
        """Believe nothing of a segment any more: from the next view on, only its runs whose own digest holds are there.

        Args:
            segment_id: The segment, a column of which was not what its checksum says.
        """
        self._condemned.add(self._opened.pop(segment_id)[0])

    def _assemble(self, seen: Mapping[str, _Found], live: Mapping[str, View | None]) -> View:
        kept = list_damaged(self._root)
        view = View(damaged=[Damage(str(LogFiles(self._root, log).damaged), _KEPT) for log in kept])
        view.damaged += list_quarantined(self._root)
        view.damaged += [damage for _, damages in seen.values() for damage in damages]
        segments = [segment for segment, _ in seen.values() if segment is not None]
        replaced = {name for segment in segments for name in segment.facts.replaces}
        view.segments = [segment for segment in segments if segment.id not in replaced]
        for one in live.values():
            if one is not None:
                view.segments += one.segments
                view.live_series |= one.live_series
                view.damaged += one.damaged
        self._add_events(view)
        return view

    def _read_live(self, logs: Sequence[str]) -> dict[str, View | None]:
        boot = find_boot_id() if logs else ""
        found: dict[str, View | None] = {}
        for log in logs:
            view = View()
            try:
                self._add_live(LogFiles(self._root, log), view, boot=boot)
            except FileNotFoundError:
                found[log] = None  # sealed meanwhile: its segment, if it had any runs, is in the next listing
            else:
                found[log] = view
        return found

    def _add_events(self, view: View) -> None:
        events, damaged = read_annotations(self._root, known=self._events)
        view.damaged += [Damage(str(path), reason) for path, reason in damaged]
        if events.keys() != self._events.keys():
            self._events, self._overlay = events, Overlay(events.values())
        view.overlay = self._overlay

    def _open(self, name: str, *, kept: bool) -> _Found:
        path = self._root / "seg" / f"{name}.arrow"
        try:
            about = path.stat()
            key = (about.st_ino, about.st_mtime_ns, about.st_size, kept)
            known = self._opened.get(name)
            if known is None or known[0] != key:
                known = self._opened[name] = (key, *self._open_checked(path, key))
        except FileNotFoundError:
            return None, ()  # compacted between listing and opening: what replaced it is in the next listing
        except ValueError as error:
            return None, (Damage(str(path), f"the segment cannot be opened: {error}"),)
        return known[1], known[2]

    def _open_checked(self, path: Path, key: _Key) -> tuple[Segment, Sequence[Damage]]:
        *_, kept = key
        condemned = key in self._condemned
        segment = open_segment(path, guarded=not (self._whole or kept or condemned))
        if segment.intact and not kept and not condemned:
            return segment, ()
        rows = segment.rows
        found, lost = salvage(segment)
        if segment.intact and not condemned:
            return found, (Damage(str(path), "", lost),) if lost else ()
        left_out = rows - found.rows
        message = f"{_CHECKSUM}: {left_out} of {rows} runs {'is' if left_out == 1 else 'are'} not readable"
        return found, (Damage(str(path), message, lost),)

    def _add_live(self, files: LogFiles, view: View, *, boot: str) -> None:
        log = read_log(read_bytes(files.events))
        status = "running" if log.header.get("boot") == boot else "running?"
        states = fold_events(log.events).values()
        runs = list(fold_runs(states, load_points=lambda: read_points(files.points), unfinished=status))
        if log.damaged:
            lost = tuple(run.record.run_id for run in runs if not is_intact(run.record))
            view.damaged.append(Damage(str(files.events), "the log is damaged", lost))
            runs = [run for run in runs if run.record.run_id not in lost]
        if not runs:
            return
        view.segments.append(_as_segment(files.log, runs))
        view.live_series.update({run.record.run_id: run.series for run in runs})


def _replaces(found: _Found, known: Collection[str]) -> bool:
    """Return whether a segment took the place of what a view has seen; one that is gone again did."""
    segment, damages = found
    return not damages if segment is None else any(name in known for name in segment.facts.replaces)


def _as_segment(log: str, runs: list[FoldedRun]) -> Segment:
    batches = build_runs(sorted((run.record for run in runs), key=lambda record: record.run_id))
    return Segment(f"log:{log}", SegmentFacts.from_metadata(batches[0].schema.metadata), batches, batches[0].schema)
