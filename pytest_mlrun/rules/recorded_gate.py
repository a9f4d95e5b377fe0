"""Judge a recorded gate again, on rows that were recorded and then changed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from pytest_mlrun.errors import MetricError
from pytest_mlrun.records.project import Goal
from pytest_mlrun.records.verdict import GateKind, Verdict
from pytest_mlrun.rules.bound_evidence import judge_bound
from pytest_mlrun.rules.gate_policy import GatePolicy, Require
from pytest_mlrun.rules.gates import Gate
from pytest_mlrun.rules.goals import default_goal
from pytest_mlrun.rules.no_regression import Claim, Compared, NoRegression, judge_no_regression
from pytest_mlrun.rules.planting import worsen
from pytest_mlrun.rules.scored_rows import ScoredRows, value_of
from pytest_mlrun.rules.statistics.decision import ALPHA

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_RANGES: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("accuracy", "balanced_accuracy", "f1", "precision", "recall"), (0.0, 1.0)),
    **dict.fromkeys(("roc_auc", "average_precision"), (0.0, 1.0)),
    **dict.fromkeys(("log_loss", "brier", "rmse", "mse", "mae", "mape"), (0.0, math.inf)),
    **dict.fromkeys(("median_absolute_error", "max_error"), (0.0, math.inf)),
    **dict.fromkeys(("r2", "explained_variance"), (-math.inf, 1.0)),
    "matthews_corrcoef": (-1.0, 1.0),
}


@dataclass(frozen=True, slots=True)
class RecordedGate:
    """A gate as a run recorded it, with the rows behind it.

    Attributes:
        verdict: What it found.
        goal: Whether more or less of the metric is better, as the project says; None where nobody says.
        new: Rows of the run, one entry a training, in one order; empty where none are kept.
        base: Likewise, of the baseline, in the same order; empty for a floor or ceiling.
        must_detect: Drop that it must see, if one is asked for.
        guarded: Whether another gate of the run bounds the metric from its bad side.
        low: Least value that the project lets the metric have.
        high: Greatest value.
    """

    verdict: Verdict
    goal: Goal | None
    new: Sequence[ScoredRows] = ()
    base: Sequence[ScoredRows] = ()
    must_detect: float | None = None
    guarded: bool = False
    low: float | None = None
    high: float | None = None

    @property
    def rows(self) -> ScoredRows:
        """The rows that are drawn from."""
        return self.new[0]

    @property
    def sign(self) -> int:
        """1 where more is better for the gate, else -1."""
        return 1 if self.goal == "max" else -1

    @property
    def compares(self) -> bool:
        """Whether it compares with a baseline."""
        return self.verdict.margin is not None

    def contradiction(self) -> tuple[str, str]:
        """Return why no predictions at all could make it fail rightly, and the cure; or nothing."""
        metric, kind = self.verdict.metric, self.verdict.gate
        own = default_goal(self.new[0].metric) if self.new else self.goal
        if self.compares and own is not None and self.goal != own:
            return (
                f'cannot fail: the project says goal = "{self.goal}" of {metric}, whose goal is "{own}"',
                f'write goal = "{own}" under [metrics.{metric}] in mlrun.toml, or leave it out',
            )
        wanted = {"floor": "max", "ceiling": "min"}.get(kind)
        if wanted is not None and own is not None and own != wanted and not self.guarded:
            other = "ceiling" if kind == "floor" else "floor"
            return (
                f"a worse model passes: {'more' if own == 'max' else 'less'} {metric} is better; a {kind} stops that",
                f"write a {other}; where the {kind} guards against a leak, a {other} beside it",
            )
        if self.verdict.require != "value" and not (self.new and (self.base or not self.compares)):
            return (
                "cannot fail: no rows are behind it",
                'log the metric with mlrun.evaluate, or write require="value"',
            )
        if self.new and self.new[0].groups is None and " groups" in f" {self.verdict.method}":
            return ("its groups are not recorded", "pass groups= to evaluate rather than to the gate")
        return "", ""


@dataclass(frozen=True, slots=True)
class World:
    """Rows to be judged, and the bound of a floor or ceiling."""

    new: tuple[ScoredRows, ...]
    base: tuple[ScoredRows, ...]
    bound: float | None

    def sample(self, rows: NDArray[np.intp], groups: NDArray[np.intp] | None) -> World:
        """Return the rows at these positions, each of them a row of its own.

        Args:
            rows: Positions; some more than once.
            groups: What each of them belongs to.
        """
        return World(_take(self.new, rows, groups), _take(self.base, rows, groups), self.bound)


def at_the_bound(gate: RecordedGate, *, seed: int) -> World | None:
    """Return rows whose truth lies exactly at the bound; None where no predictions are so bad.

    Where the recorded values are beyond it already, a floor or ceiling is moved to them, and a comparison is turned
    round: the baseline's rows are made worse than the run's.
    """
    return _shift(gate, 0.0, seed=seed, short=True)


def with_drop(gate: RecordedGate, drop: float, *, seed: int) -> World | None:
    """Return rows with a planted drop: of a comparison from the baseline, of a floor or ceiling from its bound."""
    beyond = drop - (gate.verdict.margin or 0.0)
    return _shift(gate, beyond, seed=seed, short=False)


def judge_world(gate: RecordedGate, world: World) -> Verdict | None:
    """Judge rows by the gate; None where they do not define the metric, such as rows of a single class."""
    verdict = gate.verdict
    # Of held-out rows each look has its share of alpha, and so has each look at seeds.
    looks = max(round(ALPHA / verdict.alpha), 1) if verdict.alpha else 1
    require, policy = cast("Require", verdict.require), GatePolicy(m=verdict.m or 1, looks=looks)
    if _lacks_a_class(world):
        return None
    try:
        if not gate.compares:
            kind = cast("GateKind", verdict.gate)
            bound = Gate(kind, verdict.metric, world.bound or 0.0, require=require)
            return judge_bound(bound, value_of(world.new[0]), world.new[0], policy)
        claim = cast("Claim", verdict.claim.removeprefix("this "))
        asked = NoRegression(verdict.metric, "the baseline", verdict.margin or 0.0, claim, require)
        both = Compared("the baseline", gate.goal or "max", world.new, world.base, 0.0, 0.0, "", "")
        return judge_no_regression(asked, both, policy)
    except MetricError:
        return None


def judge_shifted(gate: RecordedGate) -> Verdict | None:
    """Judge a value just past the bound by the gate; None where the metric has no such value."""
    verdict = gate.verdict
    low, high = _range_of(gate)
    if not gate.compares:
        floor = verdict.gate == "floor"
        past = math.nextafter(verdict.bound or 0.0, -math.inf if floor else math.inf)
        if not low <= past <= high:
            return None
        return Gate(cast("GateKind", verdict.gate), verdict.metric, verdict.bound or 0.0).judge(past)
    margin = verdict.margin or 0.0
    base = sum(map(value_of, gate.base)) / len(gate.base) if gate.base else 0.0
    past = base - gate.sign * math.nextafter(margin * (1 + 1e-9), math.inf)
    if gate.base and not low <= past <= high:
        return None
    asked = NoRegression(verdict.metric, "the baseline", margin, require="value")
    both = Compared("the baseline", gate.goal or "max", (), (), past, base, "", "")
    return judge_no_regression(asked, both, GatePolicy())


# -- worlds ------------------------------------------------------------------------------------------------------------


def _shift(gate: RecordedGate, beyond: float, *, seed: int, short: bool) -> World | None:
    """Make the rows worse until they are so far beyond the bound."""
    if gate.compares:
        return _shift_against(gate, (gate.verdict.margin or 0.0) + beyond, seed=seed, short=short)
    sign = 1 if gate.verdict.gate == "floor" else -1
    value = sign * value_of(gate.rows)
    bound = min(value, sign * (gate.verdict.bound or 0.0))
    new = _worsened(gate.new, [value], sign, value - (bound - beyond), seed=seed, short=short)
    return None if new is None else World(new, (), sign * bound)


def _shift_against(gate: RecordedGate, drop: float, *, seed: int, short: bool) -> World | None:
    new, base = gate.new, gate.base
    values, base_values = ([gate.sign * value_of(each) for each in arm] for arm in (new, base))
    if _mean(values) < _mean(base_values) - drop:
        # What is recorded is worse already, and nothing here makes a model better: from the other side, then.
        if len(new) == len(base):
            new, base, values, base_values = base, new, base_values, values
        else:
            new = [base[place % len(base)] for place in range(len(new))]
            values = [base_values[place % len(base)] for place in range(len(new))]
    worse = _worsened(new, values, gate.sign, _mean(values) - _mean(base_values) + drop, seed=seed, short=short)
    return None if worse is None else World(worse, tuple(base), None)


def _worsened(
    arms: Sequence[ScoredRows], values: Sequence[float], sign: int, drop: float, *, seed: int, short: bool
) -> tuple[ScoredRows, ...] | None:
    """Return every training worse by the same drop, which leaves the spread of the seeds what it is."""
    if drop <= 0:
        return tuple(arms)
    found = [
        worsen(arm, to=sign * (value - drop), seed=seed, short=short) for arm, value in zip(arms, values, strict=True)
    ]
    known = tuple(each for each in found if each is not None)
    return known if len(known) == len(found) else None


def _take(
    arms: Sequence[ScoredRows], rows: NDArray[np.intp], groups: NDArray[np.intp] | None
) -> tuple[ScoredRows, ...]:
    import numpy as np

    ids = np.arange(len(rows))
    return tuple(replace(each.take(rows), ids=ids, groups=groups) for each in arms)


def _lacks_a_class(world: World) -> bool:
    from pytest_mlrun.rules.metric_names import parse_metric

    rows = world.new[0]
    return parse_metric(rows.metric).family == "ranking" and bool((rows.truth == rows.truth[0]).all())


def _range_of(gate: RecordedGate) -> tuple[float, float]:
    from pytest_mlrun.rules.metric_names import parse_metric

    low, high = _RANGES[parse_metric(gate.new[0].metric).base] if gate.new else (-math.inf, math.inf)
    return max(low, -math.inf if gate.low is None else gate.low), min(
        high, math.inf if gate.high is None else gate.high
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
