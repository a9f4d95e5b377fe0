"""Describe a store: how short runs are recorded, how it is filled, and how its best twenty are asked for."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from benchmarks.fill import Facts

OURS = "pytest_mlrun"
NAMES = (OURS, "mlflow", "optuna", "trackio")
LIMIT = 20
LEAST = 0.5
"""Asked for are the runs with the most ``m0`` of those whose ``m1`` is at least this."""

Ask = Callable[[], list[int]]
Record = Callable[[Facts], None]


@dataclass(frozen=True)
class Search:
    """One store.

    Attributes:
        title: How the report names it.
        distribution: The package it needs.
        most_runs: Number of runs that it is asked about in minutes.
        fill: Fill a folder with as many runs, as fast as can be: filling is not what is measured.
        record: Open a folder for recording; what it gives records one run, finished when it returns.
        open: Open the folder in a fresh process; what it returns asks once, and gives the numbers of the runs.
        note: What a reader must know to judge the figures.
    """

    title: str
    distribution: str
    most_runs: int
    fill: Callable[[Path, int], None]
    record: Callable[[Path], AbstractContextManager[Record]]
    open: Callable[[Path], Ask]
    note: str = ""


def load_search(name: str) -> Search:
    """Import the file; the tracker itself is imported when it is used."""
    search = import_module(f"benchmarks.searches.{name}").SEARCH
    if not isinstance(search, Search):
        raise TypeError(f"benchmarks/searches/{name}.py: SEARCH is not a Search")
    return search


def best_of(runs: Iterable[Facts]) -> list[int]:
    """Return the right answer."""
    able = [(-facts.metrics["m0"], facts.number) for facts in runs if facts.metrics["m1"] >= LEAST]
    return [number for _, number in sorted(able)[:LIMIT]]


def python_for(name: str, pythons: Sequence[str]) -> str | None:
    """Return the first interpreter that has a tracker; ours is the first of all."""
    wanted = f"import importlib.metadata as m; m.version({load_search(name).distribution!r})"
    for python in pythons:
        if name == OURS or not subprocess.run([python, "-c", wanted], capture_output=True, check=False).returncode:
            return python
    return None
