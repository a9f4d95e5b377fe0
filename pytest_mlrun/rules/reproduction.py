"""Decide whether a replay made a recorded run again."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pytest_mlrun.records.reproduction import (
    GeneratorComparison,
    MetricComparison,
    ReplayVerdict,
    Reproduction,
    SeriesComparison,
    Tolerance,
)
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.rules.divergence import Divergence, locate
from pytest_mlrun.rules.environment_distance import Capture, Distance, environment_distance, uses_float32_nets
from pytest_mlrun.rules.reproduced_pillars import (
    compare_code,
    compare_data,
    compare_environment,
    compare_generators,
    compare_randomness,
)
from pytest_mlrun.rules.reproduced_values import (
    Account,
    compare_metrics,
    compare_predictions,
    compare_series,
)
from pytest_mlrun.rules.tolerances import Tolerances

_WRONG = frozenset({"differs", "missing", "extra"})
_STOPPED = frozenset({"interrupted", "timeout", "oom"})
_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class _Values:
    """Everything that was compared."""

    metrics: tuple[MetricComparison, ...]
    series: tuple[SeriesComparison, ...]
    predictions: tuple[SeriesComparison, ...]
    generators: tuple[GeneratorComparison, ...]
    parting: Divergence | None = None

    @property
    def empty(self) -> bool:
        return not (self.metrics or self.series or self.predictions)

    @property
    def wrong(self) -> list[MetricComparison | SeriesComparison]:
        """What lies outside its tolerance, and decides."""
        points = [each for each in (*self.series, *self.predictions) if each.decides or each.status != "differs"]
        compared: list[MetricComparison | SeriesComparison] = [*self.metrics, *points]
        return [each for each in compared if each.status in _WRONG]

    @property
    def exact(self) -> bool:
        """Whether every bit is the same, those of the generators and fingerprints included."""
        statuses = {each.status for each in self.metrics}
        statuses |= {each.status for each in (*self.series, *self.predictions)}
        return statuses <= {"exact"} and all(each.same for each in self.generators) and self.parting is None


def compare_runs(
    recorded: Account,
    replayed: Account,
    *,
    overrides: Mapping[str, Tolerance] | None = None,
    spread: Mapping[str, float] | None = None,
    findings: Sequence[str] = (),
) -> Reproduction:
    """Compare a recorded run with its replay, at the level that their environments give.

    Args:
        recorded: The recorded run.
        replayed: The replay.
        overrides: Tolerances that were written for a metric; one looser than the default is a finding.
        spread: Standard deviation of a metric over seeds, where the recorded run repeated itself.
        findings: What whoever ran the replay knows beside.
    """
    runs = recorded.evidence.run, replayed.evidence.run
    captures = [Capture(each.evidence.run.context, each.evidence.environment) for each in (recorded, replayed)]
    distance = environment_distance(captures[0], captures[1])
    nets = any(uses_float32_nets(capture) for capture in captures)
    tolerances = Tolerances(distance.level, nets, overrides or {}, spread or {})
    values = _Values(
        tuple(compare_metrics(recorded, replayed, tolerances)),
        tuple(compare_series(recorded, replayed, tolerances)),
        tuple(compare_predictions(recorded, replayed, tolerances)),
        compare_generators(*runs),
        _parting(recorded, replayed),
    )
    verdict, reason = _decide(runs, values, distance, recorded)
    return Reproduction(
        verdict,
        reason,
        distance.level,
        distance.reasons,
        runs[0].run_id,
        runs[0].digest,
        runs[1].run_id,
        runs[1].digest,
        values.metrics,
        values.series,
        values.predictions,
        values.generators,
        (
            compare_code(*runs),
            compare_data(*runs),
            compare_environment(distance),
            compare_randomness(*runs, values.generators),
        ),
        values.parting.sentence if values.parting is not None else _first_step(values.series),
        (*findings, *_own_findings(recorded, replayed, values, tolerances)),
    )


def refused(recorded: RunRecord, verdict: ReplayVerdict, reason: str, *, findings: Sequence[str] = ()) -> Reproduction:
    """Return what is left to say of a run that could not be run again, or whose record is not to be trusted."""
    return Reproduction(verdict, reason, None, (), recorded.run_id, recorded.digest, findings=tuple(findings))


def with_findings(reproduction: Reproduction, findings: Sequence[str]) -> Reproduction:
    """Return it with further findings."""
    return replace(reproduction, findings=(*reproduction.findings, *findings))


def _decide(
    runs: tuple[RunRecord, RunRecord], values: _Values, distance: Distance, recorded: Account
) -> tuple[ReplayVerdict, str]:
    before, after = runs
    if after.outcome == "skipped" != before.outcome:
        return "INCONCLUSIVE", "the test was skipped"
    if after.status not in {"finished", before.status}:
        if after.cause in _STOPPED or after.status in {"running", "orphaned", "killed"}:
            return "INCONCLUSIVE", f"the replay did not come to its end: {after.cause or after.status}"
        if all(each.status != "differs" for each in values.wrong):
            why = after.cause_detail or after.cause or "error"
            return "NOT_REPRODUCIBLE", f"the replay failed ({why}), the recorded run did not"
    if values.empty:
        return "INCONCLUSIVE", "the recorded run logged nothing that could be compared"
    if values.wrong:
        return "DIVERGED", _name_wrong(values.wrong)
    return _degree(values, distance, recorded)


def _degree(values: _Values, distance: Distance, recorded: Account) -> tuple[ReplayVerdict, str]:
    """Return how exactly a run was made again of which everything lies within its tolerance."""
    if values.exact and (distance.level != "L3" or _tells_models_apart(values, recorded)):
        return "REPRODUCED_EXACTLY", "every number that was recorded has the same bits"
    if distance.level == "L3":
        return "CONSISTENT", "every metric lies within the tolerance of another environment, which proves no more"
    return "REPRODUCED", "every number lies within its tolerance"


def _tells_models_apart(values: _Values, recorded: Account) -> bool:
    """Return whether equal bits say more than that as many rows were right: another algorithm can be as good."""
    counts = {name for name, how in recorded.scorings.items() if how.counts_rows}
    return bool(values.series or values.predictions) or any(each.name not in counts for each in values.metrics)


def _name_wrong(wrong: Sequence[MetricComparison | SeriesComparison]) -> str:
    # A series and its last value differ together: one name is enough.
    words = list(dict.fromkeys(f"{each.name} {_WORDS.get(each.status, each.status)}" for each in wrong))
    more = f" and {len(words) - _MOST_NAMED} more" if len(words) > _MOST_NAMED else ""
    return f"{', '.join(words[:_MOST_NAMED])}{more}"


_WORDS = {"missing": "is missing in the replay", "extra": "was never recorded"}


def _parting(recorded: Account, replayed: Account) -> Divergence | None:
    """Return where the two runs part, if both left fingerprints on their way."""
    if recorded.trace is None or replayed.trace is None:
        return None
    return locate(recorded.trace, replayed.trace)


def _first_step(series: Sequence[SeriesComparison]) -> str:
    parted = [(each.first, each.name) for each in series if each.first is not None]
    if not parted:
        return ""
    step, name = min(parted)
    return f"the curves part at step {step}: {name}"


def _own_findings(recorded: Account, replayed: Account, values: _Values, tolerances: Tolerances) -> list[str]:
    before, after = recorded.evidence.run, replayed.evidence.run
    found = [f"{name} of run {before.short_id} is not compared: {why}" for name, why in recorded.unread.items()]
    found += [f"{name} of the replay is not compared: {why}" for name, why in replayed.unread.items()]
    if tolerances.level == "L3":
        found.append("the environment is not the recorded one: its packages, Python or system are others")
    if before.status != "finished":
        found.append(f"the recorded run itself did not finish: {before.cause_detail or before.cause or before.status}")
    found += _looser(recorded, values.metrics, tolerances)
    written = [tolerances.overrides[each.name] for each in values.predictions if each.name in tolerances.overrides]
    found += [f"a tolerance of the predictions was written ({tolerance.source})" for tolerance in written[:1]]
    gates = [{(each.gate, each.metric, each.at): each.decision for each in run.gates} for run in (before, after)]
    found += [
        f"the {kind} of {metric} was {decision}, and is {gates[1][kind, metric, at]}"
        for (kind, metric, at), decision in gates[0].items()
        if gates[1].get((kind, metric, at), decision) != decision
    ]
    if values.parting is not None and not values.wrong:
        found.append(f"fingerprints differ from step {values.parting.step} on: {values.parting.channel}")
    hidden = [each for each in (*values.series, *values.predictions) if each.status == "differs" and not each.decides]
    found += [f"{each.name} differs; at {tolerances.level} single rows and steps decide nothing" for each in hidden]
    return found


def _looser(recorded: Account, metrics: Sequence[MetricComparison], tolerances: Tolerances) -> list[str]:
    plain = replace(tolerances, overrides={})
    found = []
    for metric in metrics:
        written, value = tolerances.overrides.get(metric.name), metric.recorded
        if written is None or value is None or metric.replayed is None or not math.isfinite(value):
            continue
        default = plain.default(metric.name).allowed(value)
        how = recorded.scorings.get(metric.name)
        if metric.flips is not None and how is not None:
            default = (plain.flips(metric.name) or 0) / max(1, len(recorded.predictions[how.predictions]))
        if written.allowed(value) == math.inf:
            found.append(f"{metric.name} is not held to anything ({written.source}): it decides nothing")
        elif written.allowed(value) > default:
            found.append(
                f"the tolerance of {metric.name} ({written.source}) is looser than that of {plain.level}: "
                f"{written.allowed(value):.3g} instead of {default:.3g}"
            )
    return found
