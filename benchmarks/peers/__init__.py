"""Describe a tracker to measure: how one run logs point by point, and how its points are read back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

OURS = "pytest_mlrun"
NAMES = (
    OURS,
    "floor",
    "sacred",
    "tensorboard",
    "tensorboardx",
    "trackio",
    "mlflow_batch",
    "wandb",
    "dvclive",
    "mlflow",
)

Point = tuple[int, float]


@dataclass(frozen=True)
class Peer:
    """One way of logging a scalar series.

    Attributes:
        title: How the report names it.
        distributions: Packages it needs; the first is the tracker itself.
        most_points: Number of points that it logs in a few seconds.
        log_points: Start a run in a folder, log every point in a call of its own, finish the run. It must take the
            points one at a time: a point counts as acknowledged when the next is asked for.
        read_points: Read the points of the only run in a folder, in a fresh process, killed or finished.
        note: What a reader must know to judge the figures.
    """

    title: str
    distributions: tuple[str, ...]
    most_points: int
    log_points: Callable[[Path, Iterable[Point]], None]
    read_points: Callable[[Path], Iterator[Point]]
    note: str = ""


def load_peer(name: str) -> Peer:
    """Import the peer's file; the tracker itself is imported when it is used."""
    peer = import_module(f"benchmarks.peers.{name}").PEER
    if not isinstance(peer, Peer):
        raise TypeError(f"benchmarks/peers/{name}.py: PEER is not a Peer")
    return peer


def installed_versions(peer: Peer) -> dict[str, str] | None:
    """Return the version of each package that the peer needs, or None if one is missing."""
    try:
        return {distribution: version(distribution) for distribution in peer.distributions}
    except PackageNotFoundError:
        return None
