"""Fill, ask or record in a process of its own: ``python -m benchmarks.asking ask NAME FOLDER NUMBER FIGURES``.

``record`` has more: the number of its first run, and the descriptors of two meetings, before its runs and after them.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.fill import describe_run, fill_series, run_id
from benchmarks.meeting import meet
from benchmarks.searches import Ask, load_search


def _open_count(folder: Path) -> Ask:
    from pytest_mlrun.store.reader import Reader

    reader = Reader(folder)
    return lambda: [reader.count()]


def _open_history(folder: Path) -> Ask:
    from pytest_mlrun.store.reader import Reader

    reader = Reader(folder)
    last = reader.count()
    numbers = itertools.cycle(number * 7_919 % last for number in range(1, 100))
    return lambda: [len(reader.series(run_id(next(numbers)), "m3"))]


_OWN: Mapping[str, Callable[[Path], Ask]] = {"count": _open_count, "history": _open_history}


def _record(name: str, folder: Path, count: int, meetings: Sequence[int]) -> dict[str, object]:
    first, *descriptors = meetings
    # The first run is not measured: a tracker imports at it, and creates, what it needs for all.
    warm_up, *runs = [describe_run(first + number) for number in range(count + 1)]
    took_ms = []
    with load_search(name).record(folder) as record:
        record(warm_up)
        meet(*descriptors[:2])
        begin_ms = time.monotonic() * 1e3  # one clock for all processes
        for facts in runs:
            began = time.perf_counter()
            record(facts)
            took_ms.append((time.perf_counter() - began) * 1e3)
        end_ms = time.monotonic() * 1e3
        meet(*descriptors[2:])
        closing = time.perf_counter()
    close_ms = (time.perf_counter() - closing) * 1e3
    return {"run_ms": took_ms, "begin_ms": begin_ms, "end_ms": end_ms, "close_ms": close_ms}


def main(kind: str, name: str, folder: str, number: int, figures: str, *more: int) -> None:
    """Write what was measured, in milliseconds."""
    if kind == "fill":
        (fill_series if name == "history" else load_search(name).fill)(Path(folder), number)
        return
    if kind == "record":
        Path(figures).write_text(json.dumps(_record(name, Path(folder), number, more)), encoding="utf-8")
        return
    open_store = _OWN[name] if name in _OWN else load_search(name).open
    began = time.perf_counter()
    ask = open_store(Path(folder))
    found = ask()
    first_ms = (time.perf_counter() - began) * 1e3
    warm_ms = []
    for _ in range(number):
        began = time.perf_counter()
        ask()
        warm_ms.append((time.perf_counter() - began) * 1e3)
    told = {"first_ms": first_ms, "warm_ms": warm_ms, "found": found}
    Path(figures).write_text(json.dumps(told), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5], *map(int, sys.argv[6:]))
