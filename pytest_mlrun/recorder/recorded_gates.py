"""Find the gates that a test recorded last, and the rows behind them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_mlrun.errors import RunNotFoundError
from pytest_mlrun.recorder.baseline_files import ASKS
from pytest_mlrun.recorder.baselines import Baseline, rows_of
from pytest_mlrun.recorder.looking import GATE as SPENT
from pytest_mlrun.recorder.model_baselines import find_committed
from pytest_mlrun.records.names import BASELINES_FOLDER
from pytest_mlrun.records.project import Goals, Project
from pytest_mlrun.records.query import Comparison
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.records.verdict import Verdict
from pytest_mlrun.rules.goals import default_goal
from pytest_mlrun.rules.over_folds import NEW_DATA
from pytest_mlrun.rules.over_seeds import ON_THESE_ROWS
from pytest_mlrun.rules.recorded_gate import RecordedGate
from pytest_mlrun.rules.scored_rows import ScoredRows, align

if TYPE_CHECKING:
    from pytest_mlrun.recorder.plan import RunPlan
    from pytest_mlrun.store.reader import Reader

MUST_DETECT = "gate.must_detect."
"""Context of a drop that a gate itself, and no marker, must be able to see."""
_BESIDE = {"floor": "ceiling", "ceiling": "floor"}
_TESTED = frozenset({"floor", "ceiling", "no-regression"})
_CLAIMS = frozenset({"this model", "this procedure"})
"""Of folds, and of seeds without rows, there is nothing to draw samples from."""
_KINDS = {NEW_DATA: "folds", ON_THESE_ROWS: "seeds without rows", "this procedure": "bounds of seeds"}


def find_last_run(plan: RunPlan, reader: Reader, *, nodeid: str) -> RunRecord:
    """Return the newest run of a test and its params that came to its end, whatever its gates found.

    A run that asked to become the baseline judged nothing against it, and is passed over.

    Raises:
        RunNotFoundError: If there is none: nobody knows what gates it has.
    """
    wanted = (Comparison("attribute", "test", "==", plan.test), Comparison("attribute", "status", "==", "finished"))
    runs = [
        run
        for run in reader.runs(experiment=plan.experiment, where=wanted)
        if run.parent_id is None
        and run.outcome != "skipped"
        and plan.params.items() <= run.params.items()
        and not any(name.startswith(ASKS) for name in run.context)
    ]
    if not runs:
        raise RunNotFoundError(
            f"nothing is recorded of the gates of {plan.name}",
            where=f"experiment {plan.experiment}",
            next_step=f"record it once: pytest --mlrun {nodeid!r}",
        )
    return runs[-1]


def with_children(run: RunRecord, reader: Reader) -> list[RunRecord]:
    """Return a run and the finished runs below it, which have gates of their own."""
    family = [run]
    for each in reader.runs(experiment=run.experiment, session_id=run.session_id):
        # A child starts after its parent, so its parent is known by now.
        if each.parent_id in {known.run_id for known in family} and each.status == "finished":
            family.append(each)
    return family


def untested_kinds(run: RunRecord) -> list[str]:
    """Return what sort of gates a run recorded for which no samples can be drawn, each once."""
    # That held-out rows are spent is a verdict, and no gate.
    left_out = [verdict for verdict in run.gates if verdict.gate != SPENT and not _can_be_tested(verdict)]
    return list(dict.fromkeys(_KINDS.get(verdict.claim, verdict.gate) for verdict in left_out))


def read_gates(run: RunRecord, plan: RunPlan, reader: Reader) -> Iterator[RecordedGate]:
    """Read the gates of a run that have rows to be tested on or a value, each once, with the rows behind both sides.

    Args:
        run: The run.
        plan: What the test asks today: its project, and the drops that its gates must see.
        reader: The store.

    Raises:
        RunNotFoundError: If a baseline is gone.
        StoreError: If rows are missing or damaged.
    """
    gates = {_identity(verdict): verdict for verdict in run.gates if _can_be_tested(verdict)}
    kinds = {(verdict.gate, verdict.metric) for verdict in gates.values()}
    for verdict in gates.values():
        definition = plan.project.metric(verdict.metric)
        new, base = _rows_behind(verdict, run, reader, plan.project)
        yield RecordedGate(
            verdict=verdict,
            goal=Goals(plan.project).get(verdict.metric) or default_goal(verdict.metric),
            new=new,
            base=base,
            must_detect=_must_detect(verdict, run.context, plan),
            guarded=(_BESIDE.get(verdict.gate, ""), verdict.metric) in kinds,
            low=None if definition is None else definition.low,
            high=None if definition is None else definition.high,
        )


def _can_be_tested(verdict: Verdict) -> bool:
    # The bound of a mean over seeds has no one sample of rows either.
    over_seeds = verdict.margin is None and verdict.claim == "this procedure"
    return verdict.gate in _TESTED and verdict.claim in _CLAIMS and not over_seeds


def _identity(verdict: Verdict) -> tuple[object, ...]:
    return (verdict.gate, verdict.metric, verdict.bound, verdict.margin, verdict.claim, verdict.at, verdict.require)


def _must_detect(verdict: Verdict, context: Mapping[str, str], plan: RunPlan) -> float | None:
    written = context.get(f"{MUST_DETECT}{verdict.metric}")
    return plan.policy.drop_to_detect(verdict.metric) if written is None else float(json.loads(written))


def _rows_behind(
    verdict: Verdict, run: RunRecord, reader: Reader, project: Project
) -> tuple[list[ScoredRows], list[ScoredRows]]:
    if verdict.at != "last":
        return [], []
    if verdict.margin is None:
        return _labelled(_all([rows_of(run, verdict.metric, reader)])), []
    baseline = _baseline_of(verdict, run, reader, project)
    if verdict.claim == "this procedure":
        sides = [
            [rows_of(each, verdict.metric, side.reader) for each in side.replicates() if verdict.metric in each.metrics]
            for side in (Baseline(run, reader), baseline)
        ]
    else:
        sides = [[rows_of(run, verdict.metric, reader)], [baseline.rows(verdict.metric)]]
    new, base = (_all(side) for side in sides)
    if not new or not base:
        return [], []
    names = f"{verdict.metric} against {baseline.name}"
    arms = _labelled([new[0], *(align(each, new[0], names=names) for each in (*new[1:], *base))])
    return arms[: len(new)], arms[len(new) :]


def _all(rows: Sequence[ScoredRows | None]) -> list[ScoredRows]:
    known = [each for each in rows if each is not None]
    return known if len(known) == len(rows) else []


def _labelled(arms: list[ScoredRows]) -> list[ScoredRows]:
    """Name the classes, of which a sample of the rows may lack one."""
    from pytest_mlrun.rules.planting import all_classes

    if not arms or arms[0].labels is not None:
        return arms
    found = [all_classes(arm) for arm in arms]
    if None in found:
        return arms
    columns = next((classes for arm, classes in zip(arms, found, strict=True) if arm.out.ndim > 1), None)
    # Of labels that are predicted, one model may use fewer than the other.
    united = sorted(
        {label for classes in found for label in classes or ()}, key=lambda label: (str(type(label)), label)
    )
    return [replace(arm, labels=columns or tuple(united)) for arm in arms]


def _baseline_of(verdict: Verdict, run: RunRecord, reader: Reader, project: Project) -> Baseline:
    wanted = verdict.baseline_id or ""
    found = reader.find_all(wanted) if wanted else []
    if found:
        return Baseline(found[0], reader)
    for path in sorted((project.root / BASELINES_FOLDER).glob("*.mlrun")):
        committed = find_committed(f"{BASELINES_FOLDER}/{path.name}", project.root)
        if committed is not None and committed[0].run_id == wanted:
            return Baseline(*committed)
    raise RunNotFoundError(
        f"the baseline of {verdict.metric} is gone: run {wanted[-8:]} is in no store and no committed file",
        where=f"run {run.name} ({run.short_id})",
        next_step="record the test again, against a baseline that is there: pytest --mlrun",
    )
