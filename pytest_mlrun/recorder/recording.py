"""Keep one run while it is under way, and finish it once."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_mlrun.errors import ArtifactError, GateFailure, ParamError, RunClosedError
from pytest_mlrun.recorder.end import describe_end, list_repeated
from pytest_mlrun.records.identity import now_us
from pytest_mlrun.records.run import Artifact, Outcome, RunEnd, RunRecord

if TYPE_CHECKING:
    from pytest_mlrun.pillars.code import CodeState
    from pytest_mlrun.pillars.unpinned import Draws
    from pytest_mlrun.recorder.baselines import Baseline
    from pytest_mlrun.recorder.evaluated import Evaluated
    from pytest_mlrun.recorder.fingerprints import Fingerprints
    from pytest_mlrun.recorder.looking import HeldOut, Looks
    from pytest_mlrun.recorder.plan import RunPlan
    from pytest_mlrun.recorder.recorder import Recorder
    from pytest_mlrun.recorder.selection import Selected
    from pytest_mlrun.records.project import MetricDefinition
    from pytest_mlrun.records.snapshot import Snapshot
    from pytest_mlrun.records.verdict import Verdict
    from pytest_mlrun.rules.checkpoints import Checkpoint
    from pytest_mlrun.rules.gates import Gate
    from pytest_mlrun.rules.row_ids import RowIds
    from pytest_mlrun.rules.scored_rows import ScoredRows
    from pytest_mlrun.rules.seed_sequence import SeedSequence
    from pytest_mlrun.store.objects import Staged
    from pytest_mlrun.store.points import Series


class Recording:
    """A run under way.

    Everything that a method wrote is in the page cache when it returns, so it survives the process.

    Attributes:
        id: UUIDv7 of the run.
        plan: What the run was going to be.
        params: Name to JSON text.
        values: Last value of every metric logged so far.
        ranged: Definition of every metric logged so far that has a range.
        verdicts: What the gates found so far.
        marker_gates: The marker's gates that were judged.
        log_metric: Log one value of a metric; see ``Run.log_metric``.
        selected: The winner that the run was given.
        sequence: The seeds that it trains until a gate is decided.
        splits: The rows of every split logged so far.
        checkpoints: The checkpoints that are kept so far.
        evaluations: Metric to how it was computed, of those that were computed from rows.
        evaluated: Split to its metrics among them.
        held_out: Metric to the look that it was, of those that were computed on held-out rows.
        parent: The run around this one.
        drawn: Draws without a seed so far, by where they were seen: in the test's body, or in a fixture.
        closed: Whether the run has finished.
    """

    def __init__(self, recorder: Recorder, run_id: str, plan: RunPlan, code: CodeState) -> None:
        from pytest_mlrun.recorder.ranges import check_ranges
        from pytest_mlrun.rules.metric_values import as_float
        from pytest_mlrun.rules.metric_vocabulary import has_ranges
        from pytest_mlrun.store.pointfile import Metrics

        self.id = run_id
        self.plan = plan
        self.code = code
        self.params: dict[str, str] = dict(plan.params)
        self.tags: dict[str, str] = dict(plan.tags)
        self.values: dict[str, float] = {}
        self.channels: dict[str, int] = {}
        self.ranged: dict[str, MetricDefinition] = {}
        self.verdicts: list[Verdict] = []
        self.marker_gates: list[Gate] = []
        self.artifacts: dict[str, Artifact] = {}
        self.snapshots: dict[str, Snapshot] = {}
        self.splits: dict[str, RowIds] = {}
        self.checkpoints: list[Checkpoint] = []
        self.evaluations: dict[str, Evaluated] = {}
        self.evaluated: dict[str, tuple[str, ...]] = {}
        self.held_out: dict[str, HeldOut] = {}
        self.children: list[Recording] = []
        self.parent: Recording | None = None
        self.drawn: dict[str, Draws] = {}
        self.selected: Selected | None = None
        self.sequence: SeedSequence | None = None
        self.closed = False
        self.record: RunRecord | None = None
        self._recorder = recorder
        self._fingerprints: Fingerprints | None = None
        self._first_nan: tuple[str, int | None] | None = None
        self._lock = threading.Lock()
        self._started = time.perf_counter()
        self._oom_kills = recorder.meters.begin(run_id)
        log_metric = recorder.writer.make_log_metric(
            Metrics(self.channels, self.values, self.open_channel, as_float, self.note_nan)
        )
        self.log_metric = check_ranges(self, log_metric) if has_ranges(plan.project) else log_metric

    # -- params, tags, context -------------------------------------------------------------------------------------

    def write_params(self, texts: Mapping[str, str]) -> None:
        """Add params, each written once.

        Raises:
            ParamError: If a param already has another value.
        """
        self.refuse_if_closed()
        for name, text in texts.items():
            if self.params.get(name, text) != text:
                raise ParamError(
                    f"param {name!r} is {self.params[name]} and cannot become {text}",
                    where=f"run {self.plan.name}",
                    next_step="log it under another name, or as a metric if it changes during the run",
                )
        fresh = {name: text for name, text in texts.items() if name not in self.params}
        if fresh:
            self._recorder.writer.params(self.id, fresh)
            self.params.update(fresh)

    def write_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags; a later value replaces an earlier one."""
        self.refuse_if_closed()
        self._recorder.writer.tags(self.id, tags)
        self.tags.update(tags)

    def write_context(self, facts: Mapping[str, object]) -> None:
        """Add facts to the context; values are anything JSON knows."""
        self.refuse_if_closed()
        texts = {name: json.dumps(value, sort_keys=True, allow_nan=False) for name, value in facts.items()}
        self._recorder.writer.context(self.id, texts)

    # -- metrics ---------------------------------------------------------------------------------------------------

    def open_channels(self, names: tuple[str, ...]) -> None:
        """Make metric names durable before their first value."""
        from pytest_mlrun.rules.metric_vocabulary import check_metric, has_range

        definitions = {name: check_metric(name, self.plan.project) for name in names}
        with self._lock:
            self.refuse_if_closed()
            fresh = tuple(name for name in names if name not in self.channels)
            if fresh:
                self.channels.update(zip(fresh, self._recorder.writer.channels(self.id, fresh), strict=True))
                self.ranged.update(
                    {name: known for name, known in definitions.items() if known is not None and has_range(known)}
                )
                self._describe_metrics({name: definitions[name] for name in fresh})

    def _describe_metrics(self, definitions: Mapping[str, MetricDefinition | None]) -> None:
        # mlrun.toml may say something else by the time that somebody asks whose number this was, and of what.
        facts = {
            f"metric.{name}": {"unit": known.unit, "owner": known.owner}
            for name, known in definitions.items()
            if known is not None and (known.unit or known.owner)
        }
        if facts:
            self.write_context(facts)

    def open_channel(self, name: str) -> int:
        """Make one metric name durable and return its channel."""
        self.open_channels((name,))
        return self.channels[name]

    def check_required(self) -> None:
        """Ask whether the run has everything that ``[naming]`` requires of every run.

        Raises:
            NamingError: If anything is missing.
        """
        from pytest_mlrun.rules.naming import check_required

        # What a search varies stands in its trials.
        params = {*self.params, *(name for child in self.children for name in child.params)}
        check_required(self.plan.project.naming, params=params, tags=self.tags, artifacts=self.artifacts)

    def note_nan(self, name: str, step: int | None) -> None:
        """Remember the first metric that was not a number, and its step."""
        if self._first_nan is None:
            self._first_nan = (name, step)

    def series(self, name: str) -> Series | None:
        """Return the points of a metric logged so far, or None if it was never logged with a step."""
        return self._recorder.writer.series(self.id, name)

    # -- artifacts -------------------------------------------------------------------------------------------------

    def add_bytes(self, name: str, content: bytes, *, media_type: str, role: str, unsafe: bool = False) -> Artifact:
        """Store bytes as an artifact of this run."""
        staged = self._recorder.store.objects.stage_bytes(content)
        return self._publish(name, staged, media_type=media_type, role=role, unsafe=unsafe)

    def add_file(self, name: str, path: Path, *, media_type: str, role: str, link: bool = False) -> Artifact:
        """Store a file as an artifact of this run: a copy, or the file itself under a second name."""
        objects = self._recorder.store.objects
        staged = objects.stage_link(path) if link else objects.stage_file(path)
        return self._publish(name, staged, media_type=media_type, role=role, unsafe=False)

    def link(self, artifact: Artifact) -> None:
        """Add an artifact whose object is in the store already."""
        self._recorder.writer.artifact(self.id, artifact)
        self.artifacts[artifact.name] = artifact

    def drop_artifacts(self, names: Iterable[str]) -> None:
        """Take artifacts from the run again; collection deletes objects that no other artifact names."""
        self.refuse_if_closed()
        for name in names:
            self._recorder.writer.drop(self.id, name)
            del self.artifacts[name]

    def _publish(self, name: str, staged: Staged, *, media_type: str, role: str, unsafe: bool) -> Artifact:
        from pytest_mlrun.rules.naming import check_artifact_name

        objects = self._recorder.store.objects
        try:
            self.refuse_if_closed()
            check_artifact_name(name)
            artifact = Artifact(name, staged.digest, staged.size_bytes, media_type, role, unsafe, now_us())
            known = self.artifacts.get(name)
            if known is not None and known.digest != artifact.digest:
                raise ArtifactError(
                    f"artifact {name!r} was logged already, with other content",
                    where=f"run {self.plan.name}",
                    next_step="log it under another name",
                )
            if known is None:
                # The reference is written before the object: a collector that runs in between must see it.
                self._recorder.writer.artifact(self.id, artifact)
                self.artifacts[name] = artifact
        except BaseException:
            objects.discard(staged)
            raise
        objects.publish(staged)
        return artifact

    # -- data and code ---------------------------------------------------------------------------------------------

    def verify_pillars(self) -> None:
        """Refuse to train on a dirty tree where a clean one is required, or on data that changed.

        Raises:
            CodeError: If the tree must be clean and is not.
            DataError: If a snapshot is missing, unlocked or changed.
        """
        if self.plan.clean_tree == "require":
            from pytest_mlrun.pillars.code import require_clean

            require_clean(self.code)
        for name in self.plan.data:
            self.snapshot(name)

    def snapshot(self, name: str) -> Snapshot:
        """Return verified data, and write its digest into the record."""
        if name not in self.snapshots:
            from pytest_mlrun.recorder.snapshots import record_snapshot

            self.snapshots[name] = record_snapshot(self, self._recorder, name)
        return self.snapshots[name]

    # -- randomness ------------------------------------------------------------------------------------------------

    def pinned(self) -> AbstractContextManager[None]:
        """Start every global generator from the run's seed, and record where each one ended."""
        from pytest_mlrun.recorder.randomness import pinned

        return pinned(self)

    @property
    def fingerprints(self) -> Fingerprints:
        """The marks that the run leaves on its way."""
        from pytest_mlrun.recorder.fingerprints import Fingerprints

        with self._lock:
            if self._fingerprints is None:
                self._fingerprints = Fingerprints(self)
            return self._fingerprints

    # -- gates -----------------------------------------------------------------------------------------------------

    def judge(self, verdict: Verdict) -> Verdict:
        """Write a verdict into the record."""
        self.refuse_if_closed()
        self._recorder.writer.gate(self.id, verdict)
        self.verdicts.append(verdict)
        return verdict

    def rows_of(self, metric: str) -> ScoredRows | None:
        """Return the rows that a metric was computed on, as they are recorded; None where it was logged by hand."""
        if metric not in self.evaluations:
            return None
        from pytest_mlrun.recorder.evaluated import Evaluations

        return Evaluations(self.evaluations, self.artifacts, self.read).rows(metric, self.values.get(metric))

    def read(self, artifact: Artifact) -> bytes:
        """Return the bytes of an artifact, compared with their digest."""
        return self._recorder.store.objects.read(artifact.digest)

    def baseline(self, ref: str) -> Baseline:
        """Return what a gate of this run compares with; see ``resolve_baseline``."""
        from pytest_mlrun.recorder.baselines import resolve_baseline

        reader, folder = self._recorder.store.reader(), self.plan.project.root
        return resolve_baseline(
            ref, reader, judged=self.id, project_dir=folder, case=self.plan.params, params=self.params
        )

    @property
    def looks(self) -> Looks:
        """What counts the looks of this process at held-out rows."""
        return self._recorder.looks

    # -- the end ---------------------------------------------------------------------------------------------------

    def begin_child(self, plan: RunPlan) -> Recording:
        """Begin a run whose parent is this one."""
        self.refuse_if_closed()
        child = self._recorder.begin(plan)
        self.children.append(child)
        child.selected, child.parent = self.selected, self
        return child

    def finish(
        self,
        outcome: Outcome,
        *,
        error: BaseException | None = None,
        text: str = "",
        phase: str = "call",
        last: bool = False,
        stopped: str = "",
    ) -> RunRecord:
        """Write the end of the run, durably, and return its row.

        Args:
            outcome: What happened to the test.
            error: The exception behind a failure, if there was one.
            text: Traceback for people.
            phase: ``setup``, ``call`` or ``teardown``.
            last: Whether nothing will be recorded after this run.
            stopped: Why a training was ended on purpose before its end, such as by a search's pruner.
        """
        for child in self.children:
            if not child.closed:
                child.finish(child.outcome_within(outcome, error), error=error, text=text, phase=phase)
        if self._fingerprints is not None:
            self._fingerprints.flush()
        with self._lock:
            # First of all: where the store refuses what follows, nobody may try to finish the run again.
            self.closed = True
            # Whoever logs now finds no channel, asks for one, and is refused.
            self.channels.clear()
        wall_s = round(time.perf_counter() - self._started, 6)
        peak, oom_kills = self._recorder.meters.end(self.id)
        repeated = list_repeated(child.record for child in self.children)
        self._recorder.writer.context(self.id, {**peak.context(), "time.wall_s": json.dumps(wall_s), **repeated})
        if stopped:
            end = RunEnd("killed", outcome, cause_detail=stopped, ended_us=now_us())
        else:
            end = describe_end(
                outcome, error, text=text, phase=phase, nan=self._first_nan, oom_kills=oom_kills - self._oom_kills
            )
        self.record = self._recorder.finish(self, end, last=last)
        return self.record

    def outcome_within(self, outcome: Outcome, error: BaseException | None) -> Outcome:
        """Return what became of this run when it is still open at the end of the one around it.

        A gate that failed somewhere else is no fault of this training.
        """
        elsewhere = isinstance(error, GateFailure) and all(verdict.passed for verdict in self.verdicts)
        return "passed" if elsewhere else outcome

    def family(self) -> list[RunRecord]:
        """Return the finished row of this run and those of its children, children first."""
        rows = [row for child in self.children for row in child.family()]
        return [*rows, self.record] if self.record is not None else rows

    def refuse_if_closed(self) -> None:
        """Raise ``RunClosedError`` if the run has finished."""
        if self.closed:
            raise RunClosedError(
                f"run {self.plan.name} has finished and cannot be written to",
                next_step="log inside the test or the with block that the run belongs to",
            )
