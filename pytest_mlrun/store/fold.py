"""Fold the events and points of a log into run records: the one way from what was logged to a row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, cast

import numpy as np

from pytest_mlrun.records.run import Artifact, RunEnd, RunRecord, RunStart
from pytest_mlrun.records.verdict import Verdict
from pytest_mlrun.store.digest import compute_run_digest
from pytest_mlrun.store.event import Event
from pytest_mlrun.store.points import RECORD, Records, Series, fold_points, select_channels
from pytest_mlrun.store.schema import ARTIFACT_FIELDS, END_FIELDS, GATE_FIELDS, START_FIELDS, load_fields


@dataclass(frozen=True, slots=True)
class FoldedRun:
    """A run and its series."""

    record: RunRecord
    series: Mapping[str, Series]


@dataclass(slots=True)
class RunState:
    """What the events seen so far say about one run.

    Attributes:
        run_id: The run.
        start: Its beginning; texts only, if the event was damaged.
        end: Its end, once finished.
        digest: What the writing process computed when it finished the run.
    """

    run_id: str
    start: RunStart = field(init=False)
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    context: dict[str, str] = field(default_factory=dict)
    artifacts: list[Artifact] = field(default_factory=list)
    gates: list[Verdict] = field(default_factory=list)
    channels: dict[int, str] = field(default_factory=dict)
    points: list[bytes | memoryview] = field(default_factory=list)
    end: RunEnd | None = None
    digest: str = ""
    last_us: int = 0

    def __post_init__(self) -> None:
        self.start = RunStart(self.run_id, session_id="", experiment="", name="", test="")

    def apply(self, event: Event) -> None:
        """Take one event in.

        Args:
            event: An event of this run. A kind that this version does not know changes nothing.
        """
        self.last_us = max(self.last_us, event.time_us)
        change = _CHANGES.get(event.kind)
        if change is not None:
            change(self, event)


def _start(state: RunState, event: Event) -> None:
    state.start = load_fields(RunStart, START_FIELDS, event.content)
    state.params.update(state.start.params)
    state.tags.update(state.start.tags)
    state.context.update(state.start.context)


def _params(state: RunState, event: Event) -> None:
    state.params.update(cast("Mapping[str, str]", event.content))


def _tags(state: RunState, event: Event) -> None:
    state.tags.update(cast("Mapping[str, str]", event.content))


def _context(state: RunState, event: Event) -> None:
    state.context.update(cast("Mapping[str, str]", event.content))


def _artifact(state: RunState, event: Event) -> None:
    state.artifacts.append(load_fields(Artifact, ARTIFACT_FIELDS, event.content))


def _drop(state: RunState, event: Event) -> None:
    state.artifacts = [artifact for artifact in state.artifacts if artifact.name != event.content["name"]]


def _gate(state: RunState, event: Event) -> None:
    state.gates.append(load_fields(Verdict, GATE_FIELDS, event.content))


def _channels(state: RunState, event: Event) -> None:
    for name, channel in cast("Mapping[str, int]", event.content).items():
        state.channels[channel] = name


def _points(state: RunState, event: Event) -> None:
    if not event.content.get("at"):
        state.points.clear()  # a first try to finish may have met a full disk
    state.points.append(event.points)


def _finish(state: RunState, event: Event) -> None:
    state.end = load_fields(RunEnd, END_FIELDS, event.content)
    state.digest = str(event.content.get("digest", ""))


_CHANGES: Final[Mapping[str, Callable[[RunState, Event], None]]] = {
    "start": _start,
    "params": _params,
    "tags": _tags,
    "context": _context,
    "artifact": _artifact,
    "drop": _drop,
    "gate": _gate,
    "channels": _channels,
    "points": _points,
    "finish": _finish,
}


def fold_events(events: Iterable[Event]) -> dict[str, RunState]:
    """Gather the events of each run.

    Args:
        events: In written order.

    Returns:
        Run id to state, sorted by run id.
    """
    states: dict[str, RunState] = {}
    for event in events:
        if not event.run_id:
            continue
        state = states.get(event.run_id)
        if state is None:
            state = states[event.run_id] = RunState(event.run_id)
        state.apply(event)
    return dict(sorted(states.items()))


def fold_runs(
    states: Iterable[RunState],
    *,
    load_points: Callable[[], Records],
    unfinished: str,
    known: Mapping[str, Mapping[str, str]] | None = None,
) -> Iterator[FoldedRun]:
    """Build the records of a log's runs.

    Args:
        states: The runs.
        load_points: Reads the mapped points; called once, and only if a run has not finished.
        unfinished: Status of a run without an end: ``orphaned`` when its process is gone.
        known: Run id to the series digests that this process computed when the run finished.

    Yields:
        Each run with its series.
    """
    mapped: Records | None = None
    for state in states:
        if state.end is not None:
            yield fold_finished(state, known=(known or {}).get(state.run_id))
            continue
        if mapped is None:
            mapped = load_points()
        yield _fold_unfinished(state, select_channels(mapped, state.channels), unfinished)


def fold_finished(state: RunState, *, known: Mapping[str, str] | None = None) -> FoldedRun:
    """Build the record of a finished run; its points are those that its log holds.

    Args:
        state: A run with an end.
        known: Its series digests, if this process has computed them.

    Returns:
        The run with its series. The digest is what the writing process computed, if it is known: a run that lost an
        event to damage shows a digest that its row does not have.
    """
    end = cast("RunEnd", state.end)
    content = state.points[0] if len(state.points) == 1 else b"".join(state.points)
    records = np.frombuffer(content, dtype=RECORD)
    folded = _fold(state, records, end, known=known)
    return FoldedRun(replace(folded.record, digest=state.digest or compute_run_digest(folded.record)), folded.series)


def _fold_unfinished(state: RunState, records: Records, status: str) -> FoldedRun:
    last_us = max(state.last_us, int(records["time_ns"].max(initial=0)) // 1000)
    if status != "orphaned":
        return _fold(state, records, RunEnd("running", "", ended_us=last_us), status=status)
    folded = _fold(state, records, RunEnd("orphaned", "", cause="unknown", ended_us=last_us))
    return FoldedRun(replace(folded.record, digest=compute_run_digest(folded.record)), folded.series)


def _fold(
    state: RunState, records: Records, end: RunEnd, *, status: str = "", known: Mapping[str, str] | None = None
) -> FoldedRun:
    start = state.start
    metrics, series = fold_points(records, state.channels, known=known)
    record = RunRecord(
        run_id=state.run_id,
        session_id=start.session_id,
        experiment=start.experiment,
        name=start.name,
        test=start.test,
        case=start.case,
        attempt=start.attempt,
        parent_id=start.parent_id,
        status=status or end.status,
        outcome=end.outcome,
        cause=end.cause,
        cause_detail=end.cause_detail,
        error=end.error,
        started_us=start.started_us,
        ended_us=max(end.ended_us, start.started_us),
        params=dict(sorted(state.params.items())),
        metrics=dict(sorted(metrics.items())),
        tags=dict(sorted(state.tags.items())),
        context=dict(sorted(state.context.items())),
        artifacts=tuple(state.artifacts),
        gates=tuple(state.gates),
        series={name: series[name].digest for name in sorted(series)},
    )
    return FoldedRun(record, series)
