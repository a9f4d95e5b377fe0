"""Log to DVCLive, without a DVC repository."""
# mypy: disable-error-code="import-not-found, import-untyped"

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks.peers import Peer, Point


def log_points(folder: Path, points: Iterable[Point]) -> None:
    from dvclive import Live

    with Live(str(folder / "dvclive"), save_dvc_exp=False, dvcyaml=None) as live:
        for _, value in points:
            live.log_metric("loss", value)
            live.next_step()


def read_points(folder: Path) -> Iterator[Point]:
    path = folder / "dvclive" / "plots" / "metrics" / "loss.tsv"
    if path.exists():
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file, delimiter="\t"):
                yield int(row["step"]), float(row["loss"])


PEER = Peer(
    title="DVCLive",
    distributions=("dvclive",),
    most_points=4_000,
    log_points=log_points,
    read_points=read_points,
    note="next_step() rewrites the summary at every step, as its documentation's loops do",
)
