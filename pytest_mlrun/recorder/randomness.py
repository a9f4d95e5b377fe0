"""Pin the generators around a run's body, and record where each one ended and what was drawn without a seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pytest_mlrun.pillars.unpinned import Draw
    from pytest_mlrun.recorder.recording import Recording

_BODY: Final = ""
_MOST_LINES: Final = 200


@contextmanager
def pinned(recording: Recording) -> Iterator[None]:
    """Start every global generator from the run's seed, and record where each one ended."""
    from pytest_mlrun.pillars.randomness import end_state, pin, pinned_imports
    from pytest_mlrun.pillars.unpinned import Draws, noticed

    seed, detects = recording.plan.seed, recording.plan.entropy == "detect"
    names = pin(seed)
    with pinned_imports(seed) as late:
        try:
            with noticed(recording.drawn.setdefault(_BODY, Draws())) if detects else nullcontext():
                yield
        finally:
            if not recording.closed:
                _write_end_state(recording, {*names, *late}, end_state())


def _write_end_state(recording: Recording, pinned: set[str], ends: Mapping[str, str]) -> None:
    from pytest_mlrun.pillars.randomness import find_unpinnable

    lines = _describe_draws(recording)
    recording.write_context(
        {
            "rand.pinned": sorted(pinned),
            "rand.unpinned": list(find_unpinnable()),
            "rand.entropy": recording.plan.entropy,
            **({"randomness.unpinned": lines} if lines else {}),
            **{f"rand.end.{stream}": digest for stream, digest in ends.items()},
        }
    )


def _describe_draws(recording: Recording) -> list[str]:
    """Return ``file:line:what:count`` of each line that drew without a seed, by file and line."""
    counts: dict[Draw, int] = {}
    for draws in recording.drawn.values():
        for draw, count in draws.counts().items():
            counts[draw] = counts.get(draw, 0) + count
    root = recording.plan.project.root
    told = sorted((_shorten(draw.path, root), draw.line, draw.what, count) for draw, count in counts.items())
    return [f"{path}:{line}:{what}:{count}" for path, line, what, count in told[:_MOST_LINES]]


def _shorten(path: str, root: Path) -> str:
    place = Path(path)
    return place.relative_to(root).as_posix() if place.is_relative_to(root) else place.as_posix()
