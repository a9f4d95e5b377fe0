"""Fill, ask or record in a process of its own: ``python -m benchmarks.asking ask NAME FOLDER NUMBER FIGURES``."""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.fill import describe_run, fill_series, run_id
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


def _record(name: str, folder: Path, offset: int, count: int) -> dict[str, object]:
    runs = [describe_run(offset + number) for number in range(count)]
    took_ms = []
    with load_search(name).record(folder) as record:
        begin_ms = time.monotonic() * 1e3  # one clock for all processes
        for facts in runs:
            began = time.perf_counter()
            record(facts)
            took_ms.append((time.perf_counter() - began) * 1e3)
        end_ms = time.monotonic() * 1e3
    return {"run_ms": took_ms, "begin_ms": begin_ms, "end_ms": end_ms}


def main(kind: str, name: str, folder: str, number: int, figures: str) -> None:
    """Write what was measured, in milliseconds."""
    if kind == "fill":
        (fill_series if name == "history" else load_search(name).fill)(Path(folder), number)
        return
    if kind.startswith("record"):
        offset = int(kind.removeprefix("record"))
        Path(figures).write_text(json.dumps(_record(name, Path(folder), offset, number)), encoding="utf-8")
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
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5])
