"""Rewrite many small segments as few large ones, while others write and read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pytest_mlrun.records.identity import new_id
from pytest_mlrun.store.files import Steps, aside, install, remove, sync_folder, writing
from pytest_mlrun.store.garbage import clear
from pytest_mlrun.store.join_segments import is_joinable, join_segments
from pytest_mlrun.store.join_series import join_series
from pytest_mlrun.store.layout import LogFiles, list_logs, list_segments, list_series, list_set_aside
from pytest_mlrun.store.locks import try_lock
from pytest_mlrun.store.quarantine import Quarantined, is_sound, set_aside
from pytest_mlrun.store.segment import Segment, open_segment, read_facts, write_batches
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
        clear(root, steps=steps)
        before = _weigh(root)
        quarantined: list[Quarantined] = []
        rewritten = 0
        for group in (choose_brief if brief else choose_all)(_candidates(root)):
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
    segments, series = list_segments(root), list_series(root)
    paths = [*(_segment_path(root, name) for name in segments), *(_series_path(root, name) for name in series)]
    return Weight(len(segments), len(series), sum(map(_size, paths)))


def _segment_path(root: Path, name: str) -> Path:
    return root / "seg" / f"{name}.arrow"


def _series_path(root: Path, name: str) -> Path:
    return root / "pts" / f"{name}.arrow"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _candidates(root: Path) -> list[Sized]:
    names = list_segments(root)
    # A segment of which a file was put aside waits for a person, who may put the whole file back. One that a damaged
    # segment replaces is what is left to repair that one with.
    excluded = list_set_aside(root).union(*(_read_replaced(root, name) for name in names))
    return [
        Sized(name, _size(_segment_path(root, name)) + _size(_series_path(root, name)))
        for name in names
        if name not in excluded
    ]


def _read_replaced(root: Path, name: str) -> tuple[str, ...]:
    try:
        return read_facts(_segment_path(root, name)).replaces
    except (FileNotFoundError, ValueError):
        return ()


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
        doubtful = parts if whole else [path, *parts]
        found = [one for one in (set_aside(root, file, steps=steps) for file in doubtful) if one is not None]
        quarantined += found
        if segment is not None and whole and not found and is_joinable(segment) and all(map(is_sound, parts)):
            sound.append(segment)
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
