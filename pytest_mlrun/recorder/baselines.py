"""Find what a gate compares with: a recorded run, and the rows behind its metrics."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from pytest_mlrun.errors import MetricError, RunNotFoundError, StoreDamagedError
from pytest_mlrun.recorder.baseline_files import is_replicate
from pytest_mlrun.recorder.evaluated import CONTEXT, Evaluations
from pytest_mlrun.records.run import REPEATED, RunRecord
from pytest_mlrun.registry.refs import parse_ref
from pytest_mlrun.rules.suggest import did_you_mean

if TYPE_CHECKING:
    from pytest_mlrun.rules.scored_rows import ScoredRows
    from pytest_mlrun.store.reader import Reader

_TAG = "tag:"
_CURE = 'record one: run the baseline\'s code with pytest --mlrun, then name that run: against="NAME or id"'


class Evidence(Protocol):
    """Where the artifacts of a recorded run are read."""

    def read_artifact(self, run: RunRecord, name: str) -> bytes:
        """Return the verified bytes of an artifact."""

    def runs(self, *, experiment: str, session_id: str) -> list[RunRecord]:
        """Return the runs of an experiment in one session."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a gate compares with.

    Attributes:
        record: The run.
        reader: Where it was found.
        judge: The run that judged it as a winner, whose metrics speak of the same model.
    """

    record: RunRecord
    reader: Evidence
    judge: RunRecord | None = None

    @property
    def name(self) -> str:
        """What it is called in a line for people."""
        return self.record.short_id

    def value(self, metric: str) -> float:
        """Return the last value of a metric.

        Raises:
            MetricError: If the baseline never logged it.
        """
        return self._owner(metric).metrics[metric]

    def _owner(self, metric: str) -> RunRecord:
        for run in (self.record, self.judge):
            if run is not None and metric in run.metrics:
                return run
        seeds = len(self.seeds_of(metric))
        if seeds:
            raise MetricError(
                f"baseline {self.record.short_id} logged {metric!r} under {seeds} seeds, and not itself",
                where=f"run {self.record.name}",
                next_step="compare with all of them: claim='procedure'; or name one of them by its id",
            )
        known = [*self.record.metrics, *(self.judge.metrics if self.judge is not None else ())]
        raise MetricError(
            f"baseline {self.record.short_id} never logged {metric!r}{did_you_mean(metric, known)}",
            details=(f"it has: {', '.join(known) or 'no metrics'}",),
            where=f"run {self.record.name}",
            next_step="gate on a metric that both have, or name a baseline that has it",
        )

    def rows(self, metric: str) -> ScoredRows | None:
        """Return the rows that a metric was computed on; None where it was logged by hand.

        Raises:
            StoreError: If the rows are missing or damaged.
        """
        return rows_of(self._owner(metric), metric, self.reader)

    def seeds_of(self, metric: str) -> list[float]:
        """Return a metric of the trainings that the baseline repeated under several seeds, or was one of."""
        families = {self.record.run_id, self.record.parent_id}
        runs = self.reader.runs(experiment=self.record.experiment, session_id=self.record.session_id)
        same = [run for run in runs if run.parent_id in families and run.parent_id and "replicate" in run.params]
        return [run.metrics[metric] for run in same if run.status == "finished" and metric in run.metrics]

    def replicates(self) -> list[RunRecord]:
        """Return the finished trainings that the run repeated, under several seeds or on folds.

        Raises:
            StoreDamagedError: If they are not those that the run recorded.
        """
        family = self.reader.runs(experiment=self.record.experiment, session_id=self.record.session_id)
        found = [run for run in family if is_replicate(run, self.record)]
        recorded = json.loads(self.record.context.get(REPEATED, "null"))
        if recorded is not None and recorded != {run.run_id: run.digest for run in found}:
            raise StoreDamagedError(
                f"baseline {self.name} has other seeds or folds than it recorded",
                details=(f"recorded {len(recorded)}, found {len(found)}, or one was changed",),
                where=f"run {self.record.name}",
                next_step="write the baseline anew where its store is, or see: pytest-mlrun verify",
            )
        return found


def resolve_baseline(
    ref: str,
    reader: Reader,
    *,
    judged: str,
    project_dir: Path,
    case: Mapping[str, str] = MappingProxyType({}),
    params: Mapping[str, str] = MappingProxyType({}),
) -> Baseline:
    """Return the baseline that a gate names; there is always one, or an error.

    Of several runs that a name or tag means, the newest with the params of the judged run is taken; where there is
    none, the newest with its parametrization; where there is none either, the newest.

    Args:
        ref: A model version, ``churn@production`` or ``churn/3``: what the registry says, from the store or from the
            file that is committed for it; an exported file, relative to ``mlrun.toml``; the end of a run's id; a run's
            name, which means its newest run that passed; or ``tag:key=value``, which means the newest that passed of
            those that carry it.
        reader: The store.
        judged: Id of the run that is judged, which is no baseline of itself.
        project_dir: Folder of ``mlrun.toml``.
        case: Params that the judged run had when it began, name to JSON text.
        params: Those that it has by now.

    Raises:
        RunNotFoundError: If no run answers to it.
        RegistryError: If the registry knows the model, but no such version or alias.
        StoreDamagedError: If the newest run may be one that cannot be read, or is not the run that was registered.
    """
    from pytest_mlrun.recorder.model_baselines import find_committed, find_registered

    other = find_committed(ref, project_dir) or find_registered(ref, reader, project_dir)
    if other is not None:
        return Baseline(*other)
    found = _tagged(ref, reader) if ref.startswith(_TAG) else reader.find_all(ref)
    others = [run for run in found if judged not in {run.run_id, run.parent_id} and not run.is_replay]
    by_id = len(others) == 1 and others[0].name != ref and not ref.startswith(_TAG)
    if by_id and others[0].status in {"finished", "failed"}:
        # Whoever names a run by its id means that one, even if its test failed.
        return Baseline(others[0], reader)
    damaged = reader.damaged()
    if damaged:
        raise StoreDamagedError(
            f"the baseline {ref!r} may be unreadable: the store is damaged",
            where=damaged[0],
            next_step="see: pytest-mlrun verify; or name the baseline by its id",
        )
    passed = [run for run in others if run.status == "finished" and run.outcome == "passed"]
    if passed:
        return Baseline(_closest(passed, case, params), reader)
    raise _missing(ref, others)


def rows_of(run: RunRecord, metric: str, reader: Evidence) -> ScoredRows | None:
    """Return the rows that a metric of a run in the store was computed on; None where it was logged by hand."""
    facts = {
        f"{key.removeprefix(CONTEXT)}_{name}": fact
        for key, text in run.context.items()
        if key.startswith(CONTEXT)
        for name, fact in json.loads(text).items()
    }
    artifacts = {artifact.name: artifact for artifact in run.artifacts}
    evaluations = Evaluations(facts, artifacts, lambda artifact: reader.read_artifact(run, artifact.name))
    return evaluations.rows(metric, run.metrics.get(metric))


def _closest(runs: Sequence[RunRecord], case: Mapping[str, str], params: Mapping[str, str]) -> RunRecord:
    """Return the run that is most like the judged one, the newest of several: ids say nothing of what was trained."""

    def likeness(place: int) -> tuple[bool, bool, bool, int]:
        run = runs[place]
        return dict(run.params) == dict(params), case.items() <= run.params.items(), run.parent_id is None, place

    return runs[max(range(len(runs)), key=likeness)]


def _tagged(ref: str, reader: Reader) -> list[RunRecord]:
    key, equals, value = ref.removeprefix(_TAG).partition("=")
    if not key or not equals:
        raise RunNotFoundError(
            f"the baseline {ref!r} says no tag and value", next_step='write against="tag:stage=production"'
        )
    return [run for run in reader.runs() if run.tags.get(key) == value]


def _missing(ref: str, others: list[RunRecord]) -> RunNotFoundError:
    if others:
        last = others[-1]
        return RunNotFoundError(
            f"no baseline: none of the {len(others)} runs of {ref!r} passed",
            details=(f"the newest, {last.short_id}, ended {last.outcome or last.status}",),
            next_step="name a run that passed, or one by its id",
        )
    named = parse_ref(ref)
    if named is not None:
        return RunNotFoundError(
            f"no baseline: there is no such model {named.model!r}",
            details=(f"{ref!r} names a registered model, and none is registered here",),
            next_step=f"register one, or commit a run that passed: pytest-mlrun baseline init RUN --as {named}",
        )
    return RunNotFoundError(f"no baseline: no run answers to {ref!r}", next_step=_CURE)
