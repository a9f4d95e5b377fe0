"""Say where two runs part: the first step, what differs there, by how much, and what that points to."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from pytest_mlrun.records.fingerprint import Fingerprint
from pytest_mlrun.rules.comparison import Points, first_difference
from pytest_mlrun.rules.fingerprints import distance

Likely = Literal["randomness", "data", "arithmetic", "unclear"]

GENERATORS: Final = "generators"
"""The channel of the random generators' states."""
BATCH: Final = "batch"
"""The channel of what a step is given, by convention."""

_GROWS: Final = 10.0
_MOST_NAMES: Final = 5
_MEANING: Final[Mapping[Likely, str]] = {
    "randomness": "randomness: other draws were made before",
    "data": "data: other content or order, while the recorded generators agree",
    "arithmetic": "arithmetic: code, settings or environment, for data and draws agree",
    "unclear": f"unclear: a fingerprint {BATCH!r} in both would tell data and draws from arithmetic",
}

ByStep: TypeAlias = "Mapping[int, Fingerprint]"


@dataclass(frozen=True, slots=True)
class Trace:
    """What a run left behind of its way.

    Attributes:
        series: Metric to its points.
        fingerprints: Channel, such as ``batch`` or ``weights``, to the fingerprint of each step that was kept.
        generators: Generator to the digest of its state at each of these steps.
    """

    series: Mapping[str, Points] = field(default_factory=dict)
    fingerprints: Mapping[str, ByStep] = field(default_factory=dict)
    generators: Mapping[str, Mapping[int, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Divergence:
    """Where two runs part.

    Attributes:
        step: First step at which anything differs.
        channel: What differs first: ``batch`` before ``generators``, these before other fingerprints, metrics last.
        channels: Everything that differs at this step.
        size: How far apart the first fingerprint or metric among them is there; None where that has no number.
        last_size: How far apart it is at the last step of both.
        likely: What that points to.
        sentence: All of it, for people.
    """

    step: int
    channel: str
    channels: tuple[str, ...]
    size: float | None
    last_size: float | None
    likely: Likely
    sentence: str


@dataclass(frozen=True, slots=True)
class _Part:
    """The first difference of one channel."""

    channel: str
    step: int
    size: float | None
    last_size: float | None
    ended: bool = False


def locate(recorded: Trace, replayed: Trace) -> Divergence | None:
    """Find the first step at which two runs differ, and name the likely cause.

    Only what both runs recorded is compared.

    Args:
        recorded: The way of one run.
        replayed: The way of the other.

    Returns:
        None if they agree in everything that both have.
    """
    parts = sorted(_parts(recorded, replayed), key=lambda part: (part.step, _rank(part.channel, recorded)))
    if not parts:
        return None
    step = parts[0].step
    first = [part for part in parts if part.step == step]
    sized = next((part for part in first if part.size is not None), first[0])
    likely = _diagnose([part.channel for part in first], first, recorded, replayed)
    return Divergence(
        step,
        first[0].channel,
        tuple(part.channel for part in first),
        sized.size,
        sized.last_size,
        likely,
        _sentence(first, sized, likely, before=_last_before(step, recorded, replayed)),
    )


def _rank(channel: str, trace: Trace) -> tuple[int, str]:
    if channel == BATCH:
        return 0, channel
    if channel == GENERATORS:
        return 1, channel
    return (2 if channel in trace.fingerprints else 3), channel


def _parts(one: Trace, other: Trace) -> Iterator[_Part]:
    for channel in one.fingerprints.keys() & other.fingerprints.keys():
        part = _fingerprint_part(channel, one.fingerprints[channel], other.fingerprints[channel])
        if part is not None:
            yield part
    generators = [
        _generator_step(one.generators[name], other.generators[name]) for name in _shared_generators(one, other)
    ]
    known = [step for step in generators if step is not None]
    if known:
        yield _Part(GENERATORS, min(known), None, None)
    for name in one.series.keys() & other.series.keys():
        step = first_difference(one.series[name], other.series[name])
        if step is not None:
            size, last = _series_sizes(one.series[name], other.series[name], step)
            yield _Part(name, step, size, last, ended=size is None)


def _shared_generators(one: Trace, other: Trace) -> set[str]:
    return one.generators.keys() & other.generators.keys()


def _fingerprint_part(channel: str, one: ByStep, other: ByStep) -> _Part | None:
    for step in sorted(one.keys() | other.keys()):
        if step not in one or step not in other:
            return _Part(channel, step, None, None, ended=True)
        if one[step].digest != other[step].digest:
            last = max(one.keys() & other.keys())
            return _Part(channel, step, distance(one[step], other[step]), distance(one[last], other[last]))
    return None


def _generator_step(one: Mapping[int, str], other: Mapping[int, str]) -> int | None:
    return min((step for step in one.keys() & other.keys() if one[step] != other[step]), default=None)


def _series_sizes(one: Points, other: Points, step: int) -> tuple[float | None, float | None]:
    """Return how far apart two series are at a step, and at the last step that both have."""
    import numpy as np

    shared = np.intersect1d(np.asarray(one[0], dtype=np.int64), np.asarray(other[0], dtype=np.int64))
    if step not in shared:
        return None, None
    sizes = [abs(_value_at(one, at) - _value_at(other, at)) for at in (step, int(shared[-1]))]
    return tuple(math.inf if math.isnan(size) else size for size in sizes)  # type: ignore[return-value]


def _value_at(points: Points, step: int) -> float:
    import numpy as np

    return float(np.asarray(points[1], dtype=np.float64)[np.asarray(points[0], dtype=np.int64) == step][-1])


def _diagnose(channels: list[str], first: list[_Part], one: Trace, other: Trace) -> Likely:
    """Name the cause by what differs first: batch and generators, batch alone, or neither."""
    if all(part.ended for part in first):
        return "unclear"
    if GENERATORS in channels:
        return "randomness"
    if BATCH in channels:
        return "data"
    seen = one.fingerprints.keys() & other.fingerprints.keys()
    return "arithmetic" if BATCH in seen and _shared_generators(one, other) else "unclear"


def _last_before(step: int, one: Trace, other: Trace) -> int | None:
    """Return the last step before the first difference: up to there both have the same."""
    import numpy as np

    marked = [one.fingerprints[channel].keys() for channel in one.fingerprints.keys() & other.fingerprints.keys()]
    logged = [one.series[name][0] for name in one.series.keys() & other.series.keys()]
    steps = [np.array(list(found), dtype=np.int64) for found in marked]
    steps += [np.asarray(found, dtype=np.int64) for found in logged]
    return max((int(found[found < step].max()) for found in steps if (found < step).any()), default=None)


def _sentence(first: list[_Part], sized: _Part, likely: Likely, *, before: int | None) -> str:
    same = f"same until step {before}" if before is not None else f"different from the first step on, {first[0].step}"
    if all(part.ended for part in first):
        return f"{same}; then only one run goes on: {_names(first, sized)} at step {first[0].step}"
    return f"{same}; then: {_names(first, sized)} → {_MEANING[likely]}"


def _names(first: list[_Part], sized: _Part) -> str:
    names = [part.channel + (_describe_size(part) if part is sized else "") for part in first]
    more = len(names) - _MOST_NAMES
    return ", ".join(names if more <= 0 else [*names[:_MOST_NAMES], f"{more} more"])


def _describe_size(part: _Part) -> str:
    if not part.size:
        return ""
    if not math.isfinite(part.size):
        return " (NaN or infinite in one of them)"
    text = f" (by {part.size:.2g}"
    if part.last_size is None or part.channel == BATCH:
        return f"{text})"
    if part.last_size > _GROWS * part.size:
        return f"{text}, growing to {part.last_size:.2g})"
    return f"{text}, not growing)"
