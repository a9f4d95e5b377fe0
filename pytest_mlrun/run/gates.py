"""Judge a gate on what a run has logged, and on the rows behind it."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_mlrun.errors import InconclusiveGateWarning, MetricError, NarrowMarginWarning

if TYPE_CHECKING:
    from pytest_mlrun.recorder.baselines import Baseline
    from pytest_mlrun.recorder.recording import Recording
    from pytest_mlrun.records.verdict import Verdict
    from pytest_mlrun.rules.gates import Gate
    from pytest_mlrun.rules.marker import MarkerArguments
    from pytest_mlrun.rules.no_regression import NoRegression
    from pytest_mlrun.rules.scored_rows import ScoredRows

_MOST_SHOWN = 1_000_000
"""Rows up to which a gate that decides by value reads them for its interval; beyond, nobody could see its width."""


def judge_gate(recording: Recording, gate: Gate | NoRegression) -> Verdict:
    """Judge a gate and write the verdict into the record.

    Raises:
        MetricError: If the metric was never logged, has no point at that step, or other rows than the baseline.
        RunNotFoundError: If there is no such baseline.
    """
    from pytest_mlrun.rules.gates import Gate

    verdict = _judge_bound(recording, gate) if isinstance(gate, Gate) else _judge_against(recording, gate)
    return recording.judge(verdict)


def settle(verdicts: Sequence[Verdict]) -> None:
    """Fail once, naming every gate that is broken; warn of each that could not be decided.

    Raises:
        GateFailure: If any is broken.
    """
    __tracebackhide__ = True
    from pytest_mlrun.rules.gates import failure, is_broken, verdict_lines

    for verdict in verdicts:
        if verdict.decision == "INCONCLUSIVE" and not is_broken(verdict):
            _warn("\n".join(verdict_lines(verdict)), InconclusiveGateWarning)
    if any(is_broken(verdict) for verdict in verdicts):
        raise failure(verdicts)


def judge_marker(recording: Recording, marker: MarkerArguments, *, only_logged: bool = False) -> None:
    """Judge the gates written in the marker, each once in a run, and fail once, naming every one that failed.

    Args:
        recording: The run.
        marker: What the markers say.
        only_logged: Whether a gate whose metric was not logged yet can wait.

    Raises:
        GateFailure: If any failed.
        MetricError: If a metric was never logged.
    """
    from pytest_mlrun.rules.gates import Gate

    gates = [Gate("floor", metric, bound) for metric, bound in marker.floors.items()]
    gates += [Gate("ceiling", metric, bound) for metric, bound in marker.ceilings.items()]
    primary = recording.plan.primary
    verdicts = []
    for gate in gates:
        waits = only_logged and gate.metric not in recording.values
        if not waits and gate not in recording.marker_gates:
            recording.marker_gates.append(gate)
            verdicts.append(judge_gate(recording, replace(gate, primary=gate.metric == primary)))
    settle(verdicts)


# -- floors and ceilings -----------------------------------------------------------------------------------------------


def _judge_bound(recording: Recording, gate: Gate) -> Verdict:
    from pytest_mlrun.rules.bound_evidence import judge_bound

    _refuse_unlogged(recording, gate.metric)
    rows = recording.rows_of(gate.metric) if gate.at == "last" and _is_wanted(recording, gate) else None
    return judge_bound(gate, _value(recording, gate), rows, recording.plan.policy)


def _is_wanted(recording: Recording, gate: Gate) -> bool:
    if recording.plan.policy.require(gate.require, default="value") != "value":
        return True
    fact = recording.evaluations.get(gate.metric)
    return fact is not None and fact["n"] <= _MOST_SHOWN


def _value(recording: Recording, gate: Gate) -> float:
    last = recording.values[gate.metric]
    points = None if gate.at == "last" else recording.series(gate.metric)
    if gate.at == "last" or (points is None and gate.at == "best"):
        return last
    from pytest_mlrun.rules.series import read_at

    if points is None:
        return read_at((), (), gate.at, kind=gate.kind, metric=gate.metric)
    return read_at(points.values, points.steps, gate.at, kind=gate.kind, metric=gate.metric)


def _refuse_unlogged(recording: Recording, metric: str) -> None:
    if metric not in recording.values:
        from pytest_mlrun.rules.gates import never_logged

        raise never_logged(metric, recording.values)


# -- baselines ---------------------------------------------------------------------------------------------------------


def _judge_against(recording: Recording, gate: NoRegression) -> Verdict:
    from pytest_mlrun.records.project import Goals
    from pytest_mlrun.rules.goals import default_goal
    from pytest_mlrun.rules.no_regression import Compared, judge_no_regression
    from pytest_mlrun.rules.seed_noise import narrow_margin

    trainings = _trainings(recording, gate)
    baseline = recording.baseline(gate.against)
    if gate.must_detect is not None:
        from pytest_mlrun.recorder.recorded_gates import MUST_DETECT

        # The verdict keeps what was found, not what was asked: the gate's self-test plants this drop.
        recording.write_context({f"{MUST_DETECT}{gate.metric}": float(gate.must_detect)})
    goal = Goals(recording.plan.project).get(gate.metric) or default_goal(gate.metric)
    if goal is None:
        raise MetricError(
            f"nothing says whether more or less of {gate.metric!r} is better",
            where=f"the no-regression gate on {gate.metric}",
            next_step=f'write goal = "max" or "min" under [metrics.{gate.metric}] in mlrun.toml',
        )
    new = _all_rows([each.rows_of(gate.metric) for each in trainings])
    base, base_value = _stored(baseline, gate)
    both = Compared(
        name=baseline.name,
        goal=goal,
        new=new,
        base=base,
        new_value=sum(each.values[gate.metric] for each in trainings) / len(trainings),
        base_value=base_value,
        baseline_id=baseline.record.run_id,
        baseline_digest=baseline.record.digest,
        seeds=baseline.seeds_of(gate.metric) if gate.claim == "model" else (),
    )
    narrow = narrow_margin(gate.margin, both.seeds)
    if narrow:
        _warn(f"{gate.metric}: {narrow}", NarrowMarginWarning)
    return judge_no_regression(gate, both, recording.plan.policy)


def _trainings(recording: Recording, gate: NoRegression) -> list[Recording]:
    if gate.claim == "model":
        _refuse_unlogged(recording, gate.metric)
        return [recording]
    found = [child for child in recording.children if "replicate" in child.params and gate.metric in child.values]
    if not found:
        raise MetricError(
            f"claim='procedure' needs {gate.metric!r} of several trainings, and this run repeated none",
            where=f"the no-regression gate on {gate.metric}",
            next_step="write for run in mlrun.seeds(3): train, then run.evaluate(…); or claim='model' for one model",
        )
    return found


def _stored(baseline: Baseline, gate: NoRegression) -> tuple[list[ScoredRows], float]:
    if gate.claim == "model":
        value = baseline.value(gate.metric)
        return _all_rows([baseline.rows(gate.metric)]), value
    from pytest_mlrun.recorder.baselines import rows_of

    found = [run for run in baseline.replicates() if "replicate" in run.params and gate.metric in run.metrics]
    if not found:
        raise MetricError(
            f"baseline {baseline.name} holds no trainings under several seeds with {gate.metric!r}",
            where=f"run {baseline.record.name}",
            next_step="record one with ten: for run in mlrun.seeds(10): train, then run.evaluate(…)",
        )
    rows = _all_rows([rows_of(run, gate.metric, baseline.reader) for run in found])
    return rows, sum(run.metrics[gate.metric] for run in found) / len(found)


def _all_rows(rows: Sequence[ScoredRows | None]) -> list[ScoredRows]:
    """Return the rows of all trainings, or none: some would be a choice among them."""
    known = [each for each in rows if each is not None]
    return known if len(known) == len(rows) else []


# -- warnings ----------------------------------------------------------------------------------------------------------


def _warn(text: str, kind: type[Warning]) -> None:
    """Warn at the line of the test: ours would say nothing."""
    __tracebackhide__ = True
    frame: Any = sys._getframe()  # noqa: SLF001 - what warnings itself walks
    package = str(Path(__file__).parents[1])
    while frame.f_back is not None and frame.f_code.co_filename.startswith(package):
        frame = frame.f_back
    warnings.warn_explicit(text, kind, frame.f_code.co_filename, frame.f_lineno)
