"""Put a damaged file aside, and leave in its place what is provably intact of it."""

from __future__ import annotations

import errno
import filecmp
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pytest_mlrun.errors import StoreError
from pytest_mlrun.records.run import RECORD_VERSION, RunRecord
from pytest_mlrun.store.files import Steps, aside, install, publish, read_bytes, remove, sync_folder, writing
from pytest_mlrun.store.layout import LogFiles, list_damaged_files, list_segments, list_series
from pytest_mlrun.store.locks import hold
from pytest_mlrun.store.points import Series
from pytest_mlrun.store.salvage import Damage, decode_sound
from pytest_mlrun.store.segment import Segment, open_segment, write_segment
from pytest_mlrun.store.series import compute_series_digest, has_checksum, read_all_series, write_series

_NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS})
_PATIENCE_S: Final = 60


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A damaged file that was put aside.

    Attributes:
        path: Where it is now.
        was: Where it was.
        run_ids: Runs that are lost with it, or whose series are, as far as they can be named.
    """

    path: str
    was: str
    run_ids: tuple[str, ...]

    @property
    def is_segment(self) -> bool:
        """Whether the runs themselves are lost, not only their series."""
        return Path(self.was).parent.name == "seg"


def quarantine(root: Path, *, steps: Steps) -> tuple[Quarantined, ...]:
    """Put every damaged segment and series file aside.

    Args:
        root: The store's folder.
        steps: Named instants.

    Returns:
        What was put aside.

    Raises:
        StoreWriteError: The operating system refused.
        StoreError: A compaction was under way for a minute.
    """
    found: list[Quarantined] = []
    with hold(root / "compact.lock", timeout_s=_PATIENCE_S):
        # Segments first: what a series file should hold, their runs say.
        for folder, names in (("seg", list_segments(root)), ("pts", list_series(root))):
            for name in names:
                one = set_aside(root, root / folder / f"{name}.arrow", steps=steps)
                if one is not None:
                    found.append(one)
    return tuple(found)


def is_sound(path: Path) -> bool:
    """Say whether nothing is known against the bytes of a file.

    Args:
        path: A segment or series file.

    Returns:
        False if they are not those that were written; also False if the file is gone.
    """
    try:
        return has_checksum(path)
    except FileNotFoundError:
        return False
    except StoreError:
        return True  # it cannot be read now, which says nothing about its bytes


def set_aside(root: Path, path: Path, *, steps: Steps) -> Quarantined | None:
    """Put a file aside if it is damaged. The caller holds the lock of compactions.

    Args:
        root: The store's folder.
        path: A segment or series file.
        steps: Named instants.

    Returns:
        What was lost; None if the file is sound, gone, or somebody else's to replace.

    Raises:
        StoreWriteError: The operating system refused.
    """
    if not path.exists() or is_sound(path):
        return None
    if LogFiles(root, path.stem).events.exists():
        return None  # its log is still there: recovery seals it once more
    rescue = _rescue_runs(root, path) if path.parent.name == "seg" else _rescue_series(root, path)
    if rescue is None:
        return None
    place = _find_place(root, path)
    _write_note(root, place, rescue.lost, steps=steps)
    _link(root, path, place, steps=steps)
    if rescue.write():
        install(rescue.temporary, path, steps=steps)
    else:
        remove(path)
        steps.reach("quarantine.removed")
    return Quarantined(str(place), str(path), rescue.lost)


def list_quarantined(root: Path) -> Iterator[Damage]:
    """Tell what was put aside and still waits for a person.

    Args:
        root: The store's folder.

    Yields:
        Each file, with the runs that are lost with it.
    """
    for kind, what, loss in (("seg", "segment", "lost"), ("pts", "series file", "without its series")):
        for name in list_damaged_files(root, kind):
            path = root / "damaged" / kind / f"{name}.arrow"
            lost = _read_note(path)
            runs = "1 run is" if len(lost) == 1 else f"{len(lost)} runs are"
            yield Damage(str(path), f"a damaged {what} was put aside: {runs} {loss}", lost)


@dataclass(frozen=True, slots=True)
class _Runs:
    """What a damaged segment still holds."""

    temporary: Path
    lost: tuple[str, ...]
    records: list[RunRecord]
    replaces: tuple[str, ...]
    series: tuple[str, ...]

    def write(self) -> bool:
        if not self.records:
            return False
        with aside(self.temporary) as temporary:
            write_segment(temporary, self.records, replaces=self.replaces, series=self.series)
        return True


@dataclass(frozen=True, slots=True)
class _Points:
    """What a damaged series file still holds."""

    temporary: Path
    lost: tuple[str, ...]
    path: Path
    expected: Mapping[tuple[str, str], str]

    def write(self) -> bool:
        with aside(self.temporary) as temporary:
            return write_series(temporary, _read_sound_series(self.path, self.expected))


def _rescue_runs(root: Path, path: Path) -> _Runs | None:
    temporary = root / "tmp" / "compact.seg"
    in_series = _find_run_ids(root / "pts" / path.name)
    try:
        segment = open_segment(path)
    except FileNotFoundError:
        return None
    except ValueError:
        return _Runs(temporary, tuple(sorted(in_series)), [], (), ())
    if segment.facts.v > RECORD_VERSION:
        return None  # only the version that wrote it can tell which of its rows are intact
    records, lost = decode_sound(segment)
    known = {record.run_id for record in records}
    # Its sources may still be there, if their compaction was killed before it could remove them.
    records += [record for record in _read_sources(root, segment) if record.run_id not in known]
    known = {record.run_id for record in records}
    named = tuple(sorted({*lost, *in_series} - known))
    records.sort(key=lambda record: record.run_id)
    return _Runs(temporary, named, records, segment.facts.replaces, segment.facts.series)


def _read_sources(root: Path, segment: Segment) -> Iterator[RunRecord]:
    seen: set[str] = set()
    for name in segment.facts.replaces:
        try:
            records, _ = decode_sound(open_segment(root / "seg" / f"{name}.arrow"))
        except (FileNotFoundError, ValueError):
            continue
        yield from (record for record in records if record.run_id not in seen)
        seen |= {record.run_id for record in records}


def _rescue_series(root: Path, path: Path) -> _Points:
    expected = _find_expected(root, path.stem)
    sound = {(run_id, series.name) for run_id, series in _read_sound_series(path, expected)}
    lost = tuple(sorted({run_id for run_id, name in expected.keys() - sound}))
    return _Points(root / "tmp" / "compact.pts", lost, path, expected)


def _find_expected(root: Path, part: str) -> dict[tuple[str, str], str]:
    """Ask the runs whose segments name a series file what it should hold."""
    expected: dict[tuple[str, str], str] = {}
    for name in list_segments(root):
        try:
            segment = open_segment(root / "seg" / f"{name}.arrow")
        except (FileNotFoundError, ValueError):
            continue
        if part in segment.facts.series:
            for record in decode_sound(segment)[0]:
                expected.update({(record.run_id, metric): digest for metric, digest in record.series.items()})
    return expected


def _read_sound_series(path: Path, expected: Mapping[tuple[str, str], str]) -> Iterator[tuple[str, Series]]:
    try:
        for run_id, series in read_all_series(path, skip_damaged=True):
            if expected.get((run_id, series.name)) == compute_series_digest(series):
                yield run_id, series
    except ValueError:
        return  # not even its list of batches can be read


def _find_run_ids(path: Path) -> set[str]:
    try:
        return {run_id for run_id, _ in read_all_series(path, skip_damaged=True)}
    except (FileNotFoundError, ValueError):
        return set()


def _find_place(root: Path, path: Path) -> Path:
    folder = root / "damaged" / path.parent.name
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    place, number = folder / path.name, 1
    # Where another damaged file of this id lies already, this one stands beside it.
    while place.exists() and not filecmp.cmp(place, path, shallow=False):
        number += 1
        place = folder / f"{path.stem}.{number}.arrow"
    return place


def _link(root: Path, path: Path, place: Path, *, steps: Steps) -> None:
    steps.reach("quarantine.before-link")
    with writing(place):
        try:
            if not place.exists():
                os.link(path, place)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            content = read_bytes(path)
            publish(place, lambda target: _write(target, content), temporary=root / "tmp" / "compact.seg", steps=steps)
        sync_folder(place.parent)
    steps.reach("quarantine.after-link")


def _write(target: Path, content: bytes) -> None:
    target.write_bytes(content)


def _write_note(root: Path, place: Path, lost: Iterable[str], *, steps: Steps) -> None:
    content = json.dumps({"run_ids": list(lost)}, separators=(",", ":")).encode("utf-8") + b"\n"
    note = place.with_suffix(".json")
    publish(note, lambda target: _write(target, content), temporary=root / "tmp" / "compact.seg", steps=steps)


def _read_note(place: Path) -> tuple[str, ...]:
    try:
        return tuple(str(run_id) for run_id in json.loads(read_bytes(place.with_suffix(".json")))["run_ids"])
    except (StoreError, OSError, ValueError, KeyError, TypeError):
        return ()  # the names are for a person's comfort: without them the file is named all the same
