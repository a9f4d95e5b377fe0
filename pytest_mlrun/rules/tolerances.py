"""Say how far a replayed number may lie from the recorded one, by the distance of the two environments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pytest_mlrun.records.reproduction import Level, Tolerance

_RELATIVE: Mapping[Level, float] = {"L0": 1e-9, "L1": 1e-9, "L2": 1e-6, "L3": 2e-2}
_RELATIVE_OF_NETS: Mapping[Level, float] = {"L0": 1e-9, "L1": 1e-3, "L2": 1e-2, "L3": 2e-2}
_FLIPS: Mapping[Level, int] = {"L0": 0, "L1": 0, "L2": 2}
_FLIPS_OF_NETS: Mapping[Level, int] = {"L0": 0, "L1": 2, "L2": 2}
_ABSOLUTE = 1e-12
_SPREADS = 2


@dataclass(frozen=True, slots=True)
class Tolerances:
    """The tolerances in force for one comparison.

    Attributes:
        level: Distance of the two environments.
        nets: Whether a library computes in single precision, where small errors grow.
        overrides: What was written for a metric, which comes first.
        spread: Standard deviation of a metric over the seeds of the recorded run, where it repeated itself.
    """

    level: Level
    nets: bool = False
    overrides: Mapping[str, Tolerance] = field(default_factory=dict)
    spread: Mapping[str, float] = field(default_factory=dict)

    def of(self, metric: str) -> Tolerance:
        """Return the tolerance of a metric."""
        return self.overrides.get(metric) or self.default(metric)

    def default(self, metric: str) -> Tolerance:
        """Return what would hold for a metric if nothing was written for it."""
        relative = (_RELATIVE_OF_NETS if self.nets else _RELATIVE)[self.level]
        if self.level == "L3" and self.spread.get(metric, 0.0) > 0:
            return Tolerance(relative, _SPREADS * self.spread[metric], "L3, or twice the spread of its seeds")
        return Tolerance(relative, _ABSOLUTE, f"{self.level}, nets" if self.nets else self.level)

    def flips(self, metric: str) -> int | None:
        """Return how many rows may change their class; None where the value decides."""
        if metric in self.overrides:
            return None
        return (_FLIPS_OF_NETS if self.nets else _FLIPS).get(self.level)

    @property
    def points_decide(self) -> bool:
        """Whether single steps and rows decide, or only what they end in: errors of nets grow until they are noise."""
        return self.level in {"L0", "L1"} or (self.level == "L2" and not self.nets)
