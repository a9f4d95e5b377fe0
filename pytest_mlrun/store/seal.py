"""Turn a log into a segment: published by rename, named after the log, repeatable after a kill at any point."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from heapq import merge

from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.store.files import Steps, aside, install, map_bytes, remove, writing
from pytest_mlrun.store.fold import FoldedRun, RunState, fold_events, fold_runs
from pytest_mlrun.store.layout import LogFiles
from pytest_mlrun.store.log import read_log
from pytest_mlrun.store.objects import Objects
from pytest_mlrun.store.points import Series, read_points
from pytest_mlrun.store.segment import write_segment
from pytest_mlrun.store.series import write_series


def seal_log(
    files: LogFiles,
    *,
    steps: Steps,
    known: Mapping[str, Mapping[str, str]] | None = None,
    last: FoldedRun | None = None,
) -> tuple[RunRecord, ...]:
    """Publish a log's runs as a segment and remove the log. The caller holds the log's lock.

    Args:
        files: The log; every run without an end becomes ``orphaned``.
        steps: Named instants.
        known: Run id to the series digests that this process computed when the run finished.
        last: A run that finishes by being sealed: its end and its points never were in the log.

    Returns:
        The runs, as sealed.

    Raises:
        StoreWriteError: The operating system refused; the log stays as it is.
    """
    log = read_log(map_bytes(files.events))
    states = fold_events(log.events)
    if last is not None:
        states.pop(last.record.run_id, None)
    _forget_absent(states.values(), Objects(files.root))
    runs = fold_runs(states.values(), load_points=lambda: read_points(files.points), unfinished="orphaned", known=known)
    ordered = merge(runs, [] if last is None else [last], key=lambda run: run.record.run_id)
    records = _publish(files, ordered, steps=steps) if states or last is not None else ()
    if log.damaged:
        _keep_damaged(files)
    remove_log(files, steps=steps)
    return records


def remove_log(files: LogFiles, *, steps: Steps) -> None:
    """Remove the files of a log whose runs are elsewhere.

    Args:
        files: The log.
        steps: Named instants.

    Raises:
        StoreWriteError: The operating system refused.
    """
    # The lock goes last: a log without one would look abandoned to whoever comes by.
    for path in (files.events, files.points, files.lock):
        remove(path)
        steps.reach(f"seal.removed{path.suffix}")


def _forget_absent(states: Iterable[RunState], objects: Objects) -> None:
    """Drop artifacts of unfinished runs whose object never came."""
    for state in states:
        if state.end is None:
            # An object appears after its event: without one the call never returned, and nothing of it was promised.
            state.artifacts = [artifact for artifact in state.artifacts if artifact.digest in objects]


def _publish(files: LogFiles, runs: Iterator[FoldedRun], *, steps: Steps) -> tuple[RunRecord, ...]:
    records: list[RunRecord] = []

    def series() -> Iterator[tuple[str, Series]]:
        for run in runs:
            records.append(run.record)
            for name in sorted(run.series):
                yield run.record.run_id, run.series[name]

    steps.reach("seal.begin")
    with aside(files.temporary("pts")) as temporary:
        written = write_series(temporary, series())
    if written:
        install(temporary, files.series, steps=steps)
    with aside(files.temporary("seg")) as temporary:
        write_segment(temporary, records, replaces=(f"log:{files.log}",), series=(files.log,) if written else ())
    # From this rename on the segment, not the log, holds the runs.
    install(temporary, files.segment, steps=steps)
    return tuple(records)


def _keep_damaged(files: LogFiles) -> None:
    with writing(files.damaged):
        files.damaged.parent.mkdir(exist_ok=True)
        files.events.replace(files.damaged)
