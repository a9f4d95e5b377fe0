"""Describe what comparing a recorded run with its replay found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

ReplayVerdict = Literal[
    "REPRODUCED_EXACTLY", "REPRODUCED", "CONSISTENT", "DIVERGED", "NOT_REPRODUCIBLE", "REJECTED", "INCONCLUSIVE"
]
VERDICTS: tuple[ReplayVerdict, ...] = get_args(ReplayVerdict)
Level = Literal["L0", "L1", "L2", "L3"]
MetricStatus = Literal["exact", "close", "consistent", "differs", "missing", "extra"]
PillarName = Literal["code", "data", "environment", "randomness"]
PillarStatus = Literal["same", "differs", "unpinned", "unknown"]

REPRODUCED: frozenset[ReplayVerdict] = frozenset({"REPRODUCED_EXACTLY", "REPRODUCED"})
_INCONCLUSIVE_EXIT = 4


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far a replayed number may lie from the recorded one.

    Attributes:
        relative: Largest difference, as a part of the recorded number.
        absolute: Largest difference, whatever the number.
        source: Where it comes from, such as ``L2`` or ``mlrun.toml``.
    """

    relative: float
    absolute: float
    source: str

    def allowed(self, recorded: float) -> float:
        """Return the largest difference from a number."""
        return max(self.absolute, self.relative * abs(recorded))


@dataclass(frozen=True, slots=True)
class MetricComparison:
    """A summary metric of both runs.

    Attributes:
        name: Its name.
        recorded: Value in the recorded run; None where it has none.
        replayed: Likewise in the replay.
        status: ``exact`` bit by bit; ``close`` within the tolerance of one environment; ``consistent`` within that of
            two; ``differs``; ``missing`` in the replay; ``extra`` in the replay.
        difference: How far they lie apart, None where that is no number.
        relative: The same, as a part of the recorded value.
        allowed: Largest difference that its tolerance allows.
        source: Where the tolerance comes from.
        flips: Rows whose predicted class changed, for a metric that counts rows.
    """

    name: str
    recorded: float | None
    replayed: float | None
    status: MetricStatus
    difference: float | None = None
    relative: float | None = None
    allowed: float | None = None
    source: str = ""
    flips: int | None = None


@dataclass(frozen=True, slots=True)
class SeriesComparison:
    """A metric's points, step by step, or what a model put out, row by row.

    Attributes:
        name: Name of the metric, or of the artifact that holds the predictions.
        recorded: Number of points in the recorded run; 0 where it has none.
        replayed: Likewise in the replay.
        status: As of a metric.
        first: First step, or row, that is not equal.
        difference: Largest difference of two points.
        allowed: Largest difference that is allowed where that one is.
        decides: Whether the verdict rests on it: numbers that small errors grow in are told, and decide nothing.
    """

    name: str
    recorded: int
    replayed: int
    status: MetricStatus
    first: int | None = None
    difference: float | None = None
    allowed: float | None = None
    decides: bool = True


@dataclass(frozen=True, slots=True)
class GeneratorComparison:
    """Where a stream of random numbers ended.

    Attributes:
        stream: Such as ``numpy``.
        same: Whether both runs left it in one state: they drew as much, in the same order.
    """

    stream: str
    same: bool


@dataclass(frozen=True, slots=True)
class PillarComparison:
    """What one pillar of both runs shares.

    Attributes:
        pillar: Its name.
        status: ``same``; ``differs``; ``unpinned`` where the recorded run did not hold it; ``unknown`` where the
            records do not say.
        findings: A sentence for each thing to know.
    """

    pillar: PillarName
    status: PillarStatus
    findings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reproduction:
    """Whether a run could be made again.

    Attributes:
        verdict: One of ``VERDICTS``.
        reason: Why, in a sentence.
        level: How far apart the two environments are, which decides what counts as equal; None if nothing ran.
        why: What put them there.
        recorded_id: Id of the recorded run.
        recorded_digest: Digest of its record.
        replayed_id: Id of the replay; None if nothing ran.
        replayed_digest: Digest of its record.
        metrics: Summary metrics, by name.
        series: Points of the metrics, by name.
        predictions: What the models put out, by artifact.
        generators: Where the streams of random numbers ended.
        pillars: Code, data, environment, randomness.
        divergence: Where the two runs part, in a sentence.
        findings: What a reader must know beside the verdict.
    """

    verdict: ReplayVerdict
    reason: str
    level: Level | None
    why: tuple[str, ...]
    recorded_id: str
    recorded_digest: str
    replayed_id: str | None = None
    replayed_digest: str | None = None
    metrics: tuple[MetricComparison, ...] = ()
    series: tuple[SeriesComparison, ...] = ()
    predictions: tuple[SeriesComparison, ...] = ()
    generators: tuple[GeneratorComparison, ...] = ()
    pillars: tuple[PillarComparison, ...] = ()
    divergence: str = ""
    findings: tuple[str, ...] = ()

    @property
    def reproduced(self) -> bool:
        """Whether the run was made again, exactly or within the tolerance of one environment."""
        return self.verdict in REPRODUCED

    @property
    def exit_code(self) -> int:
        """0 if it was reproduced, 4 if nobody can say, else 1."""
        if self.reproduced:
            return 0
        return _INCONCLUSIVE_EXIT if self.verdict == "INCONCLUSIVE" else 1
