"""Judge whether what a run has logged is what a recorded run logged."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pytest_mlrun.errors import MetricError, MlrunError
from pytest_mlrun.rules.suggest import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_mlrun.recorder.baselines import Baseline
    from pytest_mlrun.recorder.recording import Recording
    from pytest_mlrun.records.reproduction import MetricComparison
    from pytest_mlrun.records.verdict import Verdict
    from pytest_mlrun.rules.reproduces import RecordedRun, Reproduces
    from pytest_mlrun.rules.tolerances import Tolerances

_ENVIRONMENT = "environment.json"


def judge_reproduces(recording: Recording, gate: Reproduces) -> Verdict:
    """Compare the metrics of a run with those of a recorded one.

    Raises:
        MetricError: If one of them never logged a metric that is named, or equivalence has no rows to prove it.
        RunNotFoundError: If there is no such run.
    """
    from pytest_mlrun.rules.reproduces import RecordedRun, judge_values

    baseline = recording.baseline(gate.against)
    record = baseline.record
    recorded = RecordedRun(baseline.name, record.run_id, record.digest)
    names = gate.metrics or tuple(record.metrics)
    _refuse_unknown(names, recording, baseline)
    if gate.tier == "equivalent":
        return _judge_all(recording, gate, names, baseline, recorded)
    tolerances = _tolerances(recording, gate, baseline, names)
    compared = [_compare(name, recording, baseline, tolerances) for name in names]
    return judge_values(gate, compared, tolerances, recorded)


def _judge_all(
    recording: Recording, gate: Reproduces, names: tuple[str, ...], baseline: Baseline, recorded: RecordedRun
) -> Verdict:
    """Return the verdict of the metric that is farthest from being proven."""
    from pytest_mlrun.rules.reproduces import judge_equivalence

    verdicts = []
    for name in names:
        rows = baseline.rows(name), recording.rows_of(name)
        if rows[0] is None or rows[1] is None:
            raise MetricError(
                f"nothing proves {name!r} equivalent: {'this run' if rows[0] else baseline.name} kept no rows of it",
                where=f"the reproduces gate against {gate.against}",
                next_step="log it by mlrun.evaluate(…) in both runs, or name others: metrics=[…]",
            )
        verdicts.append(judge_equivalence(gate, name, (rows[0], rows[1]), recorded))
    order = {"FAIL": 2, "INCONCLUSIVE": 1, "PASS": 0}
    return max(verdicts, key=lambda verdict: (order[verdict.decision], verdict.p or 0.0))


def _refuse_unknown(names: tuple[str, ...], recording: Recording, baseline: Baseline) -> None:
    if not names:
        raise MetricError(
            f"run {baseline.name} logged no metric to compare with",
            where=f"run {baseline.record.name}",
            next_step="name a run that did",
        )
    for name in names:
        baseline.value(name)
        if name not in recording.values:
            raise MetricError(
                f"metric {name!r} of run {baseline.name} was never logged here{did_you_mean(name, recording.values)}",
                details=(f"this run has: {', '.join(recording.values) or 'no metrics'}",),
                next_step="log it before the gate, or name those to compare: metrics=[…]",
            )


def _compare(name: str, recording: Recording, baseline: Baseline, tolerances: Tolerances) -> MetricComparison:
    from pytest_mlrun.rules.reproduced_values import compare_metric

    values = baseline.value(name), recording.values[name]
    flips = _count_flips(recording, baseline, name) if values[0] != values[1] else None
    return compare_metric(name, *values, tolerances, flips=flips)


def _count_flips(recording: Recording, baseline: Baseline, name: str) -> int | None:
    from pytest_mlrun.rules.reproduced_values import changed_classes, counts_rows

    before, after = baseline.rows(name), recording.rows_of(name)
    if before is None or after is None or not counts_rows(before.metric):
        return None
    return changed_classes((before.out, before.threshold), (after.out, after.threshold))


def _tolerances(recording: Recording, gate: Reproduces, baseline: Baseline, names: tuple[str, ...]) -> Tolerances:
    from pytest_mlrun.rules.environment_distance import Capture, environment_distance, uses_float32_nets
    from pytest_mlrun.rules.tolerances import Tolerances

    record = baseline.record
    own = recording.artifacts.get(_ENVIRONMENT)
    before = Capture(record.context, _read(lambda: baseline.reader.read_artifact(record, _ENVIRONMENT)))
    after = Capture({}, None if own is None else _read(lambda: recording.read(own)))
    nets = uses_float32_nets(before) or uses_float32_nets(after)
    written = gate.tolerance()
    overrides = {} if written is None else dict.fromkeys(names, written)
    project = recording.plan.project.replay.overrides(names) if written is None else {}
    return Tolerances(environment_distance(before, after).level, nets, {**project, **overrides})


def _read(read: Callable[[], bytes]) -> dict[str, object] | None:
    try:
        document = json.loads(read())
    except (MlrunError, ValueError):
        # An exported run can have left it out: the environments then count as others.
        return None
    return document if isinstance(document, dict) else None
