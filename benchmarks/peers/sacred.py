"""Log to Sacred with its file observer."""
# mypy: disable-error-code="import-not-found, import-untyped"

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.peers import Peer, Point


def log_points(folder: Path, points: Iterable[Point]) -> None:
    from sacred import SETTINGS, Experiment
    from sacred.observers import FileStorageObserver

    SETTINGS.CAPTURE_MODE = "no"
    experiment = Experiment("benchmark", save_git_info=False)
    experiment.observers.append(FileStorageObserver(str(folder / "runs")))

    @experiment.main  # type: ignore[untyped-decorator, unused-ignore]
    def train(_run: Any) -> None:
        for step, value in points:
            _run.log_scalar("loss", value, step)

    experiment.run()


def read_points(folder: Path) -> Iterator[Point]:
    for path in sorted(folder.glob("runs/*/metrics.json")):
        series = json.loads(path.read_text(encoding="utf-8")).get("loss", {"steps": [], "values": []})
        yield from zip(series["steps"], series["values"], strict=True)


PEER = Peer(
    title="Sacred, file observer",
    distributions=("sacred",),
    most_points=100_000,
    log_points=log_points,
    read_points=read_points,
    note="a heartbeat writes every 10 seconds, the whole series each time",
)
