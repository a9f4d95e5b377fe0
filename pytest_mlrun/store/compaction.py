"""Rewrite many small segments as few large ones, while others write and read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pytest_mlrun.records.identity import new_id
from pytest_mlrun.store.files import Steps, aside, install, remove, sync_folder, writing
from pytest_mlrun.store.garbage import clear
from pytest_mlrun.store.join_segments import is_joinable, join_segments
from pytest_mlrun.store.join_series import join_series
from pytest_mlrun.store.layout import LogFiles, list_logs, list_segments, list_set_aside
from pytest_mlrun.store.locks import try_lock
from pytest_mlrun.store.quarantine import Quarantined, is_sound, set_aside
from pytest_mlrun.store.segment import Segment, SegmentFacts, open_segment, write_batches
from pytest_mlrun.store.tiers import Sized, choose_all, choose_brief

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Weight:
    """How much a store's sealed runs take.

    Attributes:
        segments: Segments.
        series_files: Files of series.
        size_bytes: Bytes of both.
    """

    segments: int
    series_files: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Compaction:
    """What a compaction did.

    Attributes:
        before: The store before.
        after: The store after.
        rewritten: How many segments were rewritten.
        quarantined: Damaged files that it met and put aside.
    """

    before: Weight
    after: Weight
    rewritten: int = 0
    quarantined: tuple[Quarantined, ...] = ()


def compact(root: Path, *, brief: bool, steps: Steps, tell: Tell | None = None) -> Compaction | None:
    """Compact a store.

    Args:
        root: The store's folder.
        brief: Whether to do only what is due and takes about a second.
        steps: Named instants.
        tell: Told what is being done.

    Returns:
        What was done; None if another process is at it.

    Raises:
        StoreWriteError: The operating system refused; no run is lost, and none is there twice.
    """
    with _compacting(root) as alone:
        if not alone:
            return None
        # What a killed compaction left would otherwise be counted, and rewritten.
        facts = clear(root, steps=steps)
        before = _weigh(root)
        quarantined: list[Quarantined] = []
        rewritten = 0
        for group in (choose_brief if brief else choose_all)(_candidates(root, facts)):
            sound = _open_sound(root, group, quarantined, steps=steps)
            if len(sound) > 1:
                if tell is not None:
                    tell(f"{len(sound)} segments, {sum(segment.rows for segment in sound)} runs")
                _rewrite(root, sound, steps=steps)
                rewritten += len(sound)
        return Compaction(before, _weigh(root), rewritten, tuple(quarantined))


@contextmanager
def _compacting(root: Path) -> Iterator[bool]:
    lock = try_lock(root / "compact.lock")
    try:
        yield lock is not None
    finally:
        if lock is not None:
            lock.release()


def _weigh(root: Path) -> Weight:
    segments, series = _list_sizes(root / "seg"), _list_sizes(root / "pts")
    return Weight(len(segments), len(series), sum(segments.values()) + sum(series.values()))


def _list_sizes(folder: Path) -> dict[str, int]:
    sizes: dict[str, int] = {}
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(".arrow"):
                with suppress(FileNotFoundError):
                    sizes[entry.name.removesuffix(".arrow")] = entry.stat().st_size
    return sizes


def _segment_path(root: Path, name: str) -> Path:
    return root / "seg" / f"{name}.arrow"


def _series_path(root: Path, name: str) -> Path:
    return root / "pts" / f"{name}.arrow"


def _candidates(root: Path, facts: Mapping[str, SegmentFacts | None]) -> list[Sized]:
    # A segment of which a file was put aside waits for a person, who may put the whole file back. One that a damaged
    # segment replaces is what is left to repair that one with.
    excluded = list_set_aside(root).union(*(known.replaces for known in facts.values() if known is not None))
    segments, series = _list_sizes(root / "seg"), _list_sizes(root / "pts")
    return [Sized(name, segments.get(name, 0) + series.get(name, 0)) for name in facts if name not in excluded]


def _open_sound(root: Path, group: Iterable[str], quarantined: list[Quarantined], *, steps: Steps) -> list[Segment]:
    """Open the segments that may be copied: whole ones, of which this version knows every column."""
    sound: list[Segment] = []
    for name in group:
        path = _segment_path(root, name)
        try:
            segment = open_segment(path)
        except FileNotFoundError:
            continue
        except ValueError:
            segment = None
        whole = segment is not None and segment.intact
        parts = [] if segment is None else [_series_path(root, part) for part in segment.facts.series]
        doubtful = [file for file in (parts if whole else [path, *parts]) if not is_sound(file)]
        if segment is not None and whole and not doubtful and is_joinable(segment):
            sound.append(segment)
        found = (set_aside(root, file, steps=steps) for file in doubtful)
        quarantined += [one for one in found if one is not None]
    return sound


def _rewrite(root: Path, segments: Sequence[Segment], *, steps: Steps) -> None:
    name = new_id()
    target = LogFiles(root, name)
    replaces = _close_over(root, segments)
    steps.reach("compact.begin")
    with aside(root / "tmp" / "compact.pts") as temporary:
        written = join_series(temporary, _series_sources(root, segments))
    if written:
        install(temporary, target.series, steps=steps)
    with aside(root / "tmp" / "compact.seg") as temporary:
        write_batches(temporary, join_segments(segments, replaces=replaces, series=(name,) if written else ()))
    # From this rename on the new segment, not the old ones, holds the runs.
    install(temporary, target.segment, steps=steps)
    for segment in segments:
        remove(_segment_path(root, segment.id))
        steps.reach("compact.removed-segment")
        for part in segment.facts.series:
            remove(_series_path(root, part))
            steps.reach("compact.removed-series")


def _series_sources(root: Path, segments: Sequence[Segment]) -> list[tuple[str, Path]]:
    return [
        (segment.batches[0].column("run_id")[0].as_py(), _series_path(root, part))
        for segment in segments
        if segment.rows
        for part in segment.facts.series
    ]


def _close_over(root: Path, segments: Sequence[Segment]) -> tuple[str, ...]:
    """Name what the new segment replaces: its sources and everything that they replace and that is still there."""
    logs, names = set(list_logs(root)), set(list_segments(root))
    for folder in ("live", "seg"):
        # What was not listed must not come back with the power: the new segment would not know of it.
        with writing(root / folder):
            sync_folder(root / folder)
    replaced = {segment.id for segment in segments}
    for segment in segments:
        for name in segment.facts.replaces:
            log = name.removeprefix("log:")
            if name in names:
                replaced.add(name)
            elif log != name and log in logs:
                # A recovery that looked long ago may seal this log once more.
                replaced |= {name, log}
    return tuple(sorted(replaced))
