"""Pin the generators around a run's body, and record where each one ended and which draws nobody pinned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_mlrun.recorder.recording import Recording


@contextmanager
def pinned(recording: Recording) -> Iterator[None]:
    """Start every global generator from the run's seed, and record where each one ended."""
    from pytest_mlrun.pillars.randomness import end_state, pin, pinned_imports

    seed = recording.plan.seed
    names = pin(seed)
    with pinned_imports(seed) as late:
        try:
            yield
        finally:
            if not recording.closed:
                _write_end_state(recording, {*names, *late}, end_state())


def _write_end_state(recording: Recording, pinned: set[str], ends: Mapping[str, str]) -> None:
    from pytest_mlrun.pillars.randomness import find_unpinnable

    recording.write_context(
        {
            "rand.pinned": sorted(pinned),
            "rand.unpinned": list(find_unpinnable()),
            **{f"rand.end.{stream}": digest for stream, digest in ends.items()},
        }
    )
