"""Bring together what a run's gate compares: its own trainings, and those of its baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_mlrun.errors import MetricError, NarrowMarginWarning
from pytest_mlrun.run.held_out import policy_of

if TYPE_CHECKING:
    from pytest_mlrun.recorder.baselines import Baseline
    from pytest_mlrun.recorder.recording import Recording
    from pytest_mlrun.records.project import Goal
    from pytest_mlrun.records.run import RunRecord
    from pytest_mlrun.records.verdict import Verdict
    from pytest_mlrun.rules.gates import Gate
    from pytest_mlrun.rules.no_regression import NoRegression
    from pytest_mlrun.rules.scored_rows import ScoredRows
    from pytest_mlrun.rules.statistics.sequential import Looks


@dataclass(frozen=True, slots=True)
class Stored:
    """The stored side of a comparison.

    Attributes:
        baseline: The run.
        goal: Whether more or less of the metric is better.
        rows: Rows of each training; empty where they are not kept of all.
        scores: The metric of each training.
    """

    baseline: Baseline
    goal: Goal
    rows: list[ScoredRows]
    scores: list[float]

    @property
    def name(self) -> str:
        """What it is called in a line for people."""
        return self.baseline.name


_JUDGED_TOGETHER = {
    "replicate": "judge all seeds: for run in mlrun.seeds(until=gate), or claim='procedure' of a no-regression gate",
    "fold": "judge all folds: claim='data' of a no-regression gate",
}
"""What the child runs of a loop differ by, and how to judge them together."""


def judge_model(recording: Recording, gate: NoRegression) -> Verdict:
    """Compare the model of a run with the one of its baseline.

    Raises:
        MetricError: If the metric was never logged, or on other rows than the baseline.
        RunNotFoundError: If there is no such baseline.
    """
    refuse_unlogged(recording, gate.metric)
    return _judge(recording, gate, [recording], stored_side(recording, gate), None)


def judge_procedure(recording: Recording, gate: NoRegression, base: Stored | None, looks: Looks | None) -> Verdict:
    """Compare the trainings of a run under several seeds with those of its baseline.

    Args:
        recording: The run.
        gate: The gate.
        base: The stored side, if it was read already.
        looks: The looks at seeds as they come, of which this is one.

    Raises:
        MetricError: If a training never logged the metric, or on other rows than the baseline.
        RunNotFoundError: If there is no such baseline.
    """
    trainings = trainings_of(recording, gate.metric, f"the no-regression gate on {gate.metric}")
    return _judge(recording, gate, trainings, base or stored_side(recording, gate), looks)


def judge_data(recording: Recording, gate: NoRegression) -> Verdict:
    """Compare the folds of a run with those of its baseline.

    Raises:
        MetricError: If they are not the same folds, or one never logged the metric.
        RunNotFoundError: If there is no such baseline.
    """
    from pytest_mlrun.rules.no_regression import Compared, judge_no_regression
    from pytest_mlrun.run.folds import paired_folds

    baseline, goal = recording.baseline(gate.against), _goal_of(recording, gate.metric)
    stored = _stored_children(baseline, gate.metric, "fold")
    folds = [child for child in recording.children if "fold" in child.params]
    new, base, sizes = paired_folds(folds, stored, gate.metric, baseline=baseline.name)
    both = Compared(
        name=baseline.name,
        goal=goal,
        new=(),
        base=(),
        new_value=sum(new) / len(new),
        base_value=sum(base) / len(base),
        baseline_id=baseline.record.run_id,
        baseline_digest=baseline.record.digest,
        new_scores=new,
        base_scores=base,
        folds=sizes,
    )
    return judge_no_regression(gate, both, policy_of(recording, gate))


def judge_seeds_bound(recording: Recording, gate: Gate, looks: Looks) -> Verdict:
    """Judge a floor or ceiling on the mean of a run's trainings under several seeds.

    Raises:
        MetricError: If a training never logged the metric.
    """
    from pytest_mlrun.rules.seed_bounds import judge_seed_bound

    trainings = trainings_of(recording, gate.metric, f"the {gate.kind} of {gate.metric}")
    scores = [one.values[gate.metric] for one in trainings]
    rows = _all_rows([one.rows_of(gate.metric) for one in trainings])
    return judge_seed_bound(gate, scores, rows, policy_of(recording, gate), looks)


def stored_side(recording: Recording, gate: NoRegression) -> Stored:
    """Return what a gate compares with.

    Raises:
        MetricError: If the baseline lacks the metric.
        RunNotFoundError: If there is no such baseline.
    """
    baseline = recording.baseline(gate.against)
    goal = _goal_of(recording, gate.metric)
    if gate.claim == "model":
        return Stored(baseline, goal, _all_rows([baseline.rows(gate.metric)]), [baseline.value(gate.metric)])
    found = _stored_children(baseline, gate.metric, "replicate")
    from pytest_mlrun.recorder.baselines import rows_of

    rows = _all_rows([rows_of(run, gate.metric, baseline.reader) for run in found])
    return Stored(baseline, goal, rows, [run.metrics[gate.metric] for run in found])


def _stored_children(baseline: Baseline, metric: str, param: str) -> list[RunRecord]:
    found = [run for run in baseline.replicates() if param in run.params and metric in run.metrics]
    if found:
        return found
    seeds = param == "replicate"
    raise MetricError(
        f"baseline {baseline.name} holds no {'trainings under several seeds' if seeds else 'folds'} with {metric!r}",
        where=f"run {baseline.record.name}",
        next_step="record one with ten: for run in mlrun.seeds(10): train, then run.evaluate(…)"
        if seeds
        else "record one: for fold in mlrun.folds(splitter, X, y): train, then fold.evaluate(…)",
    )


def trainings_of(recording: Recording, metric: str, where: str) -> list[Recording]:
    """Return the trainings of a run under several seeds.

    Raises:
        MetricError: If there are none, or one of them never logged the metric.
    """
    children = replicates_of(recording)
    lacking = [child for child in children if metric not in child.values]
    if not children or len(lacking) == len(children):
        raise MetricError(
            f"claim='procedure' needs {metric!r} of several trainings, and this run repeated none",
            where=where,
            next_step="write for run in mlrun.seeds(3): train, then run.evaluate(…); or claim='model' for one model",
        )
    if lacking:
        raise MetricError(
            f"{len(lacking)} of {len(children)} trainings never logged {metric!r}",
            where=f"run {lacking[0].plan.name}",
            next_step="log it in every pass of the loop: a mean over some of them would be a choice",
        )
    return children


def replicates_of(recording: Recording) -> list[Recording]:
    """Return the trainings that a run repeated under several seeds so far."""
    return [child for child in recording.children if "replicate" in child.params]


def refuse_unlogged(recording: Recording, metric: str) -> None:
    """Refuse a gate on a metric that the run does not have.

    Raises:
        MetricError: If it was never logged.
    """
    if metric in recording.values:
        return
    children = [child for child in recording.children if metric in child.values]
    if not children:
        from pytest_mlrun.rules.gates import never_logged

        raise never_logged(metric, recording.values)
    repeated = next((param for param in _JUDGED_TOGETHER if param in children[-1].params), "")
    raise MetricError(
        f"metric {metric!r} was never logged by this run, but by {len(children)} of its child runs",
        where=f"run {children[-1].plan.name}" + ("" if len(children) == 1 else " and others"),
        next_step=_JUDGED_TOGETHER.get(repeated, "judge it where it is logged: with mlrun.child(…) as child: …"),
    )


def _judge(
    recording: Recording, gate: NoRegression, trainings: Sequence[Recording], base: Stored, looks: Looks | None
) -> Verdict:
    from pytest_mlrun.rules.no_regression import Compared, judge_no_regression
    from pytest_mlrun.rules.seed_noise import narrow_margin
    from pytest_mlrun.run.warning import warn_at_test

    if gate.must_detect is not None:
        from pytest_mlrun.recorder.recorded_gates import MUST_DETECT

        # The verdict keeps what was found, not what was asked: the gate's self-test plants this drop.
        recording.write_context({f"{MUST_DETECT}{gate.metric}": float(gate.must_detect)})
    scores, several = [one.values[gate.metric] for one in trainings], gate.claim == "procedure"
    both = Compared(
        name=base.name,
        goal=base.goal,
        new=_all_rows([each.rows_of(gate.metric) for each in trainings]),
        base=base.rows,
        new_value=sum(scores) / len(scores),
        base_value=sum(base.scores) / len(base.scores),
        baseline_id=base.baseline.record.run_id,
        baseline_digest=base.baseline.record.digest,
        new_scores=scores if several else (),
        base_scores=base.scores if several else (),
        seeds=() if several else base.baseline.seeds_of(gate.metric),
    )
    narrow = narrow_margin(gate.margin, both.seeds)
    if narrow:
        warn_at_test(f"{gate.metric}: {narrow}", NarrowMarginWarning)
    return judge_no_regression(gate, both, policy_of(recording, gate), looks)


def _goal_of(recording: Recording, metric: str) -> Goal:
    from pytest_mlrun.records.project import Goals
    from pytest_mlrun.rules.goals import default_goal

    goal = Goals(recording.plan.project).get(metric) or default_goal(metric)
    if goal is None:
        raise MetricError(
            f"nothing says whether more or less of {metric!r} is better",
            where=f"the no-regression gate on {metric}",
            next_step=f'write goal = "max" or "min" under [metrics.{metric}] in mlrun.toml',
        )
    return goal


def _all_rows(rows: Sequence[ScoredRows | None]) -> list[ScoredRows]:
    """Return the rows of all trainings, or none: some would be a choice among them."""
    known = [each for each in rows if each is not None]
    return known if len(known) == len(rows) else []
