"""Write the log of one process: events at once, points into a mapped file, sealed at the end."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, cast

from pytest_mlrun.errors import RunClosedError, StoreError
from pytest_mlrun.records.identity import now_us
from pytest_mlrun.records.run import Artifact, RunEnd, RunRecord, RunStart
from pytest_mlrun.records.verdict import Verdict
from pytest_mlrun.store import schema
from pytest_mlrun.store.files import Steps, sync_folder, writing
from pytest_mlrun.store.fold import FoldedRun, RunState, fold_finished
from pytest_mlrun.store.locks import claim_log, describe_writer
from pytest_mlrun.store.log import EventLog
from pytest_mlrun.store.pointfile import LogMetric, Metrics, PointFile
from pytest_mlrun.store.points import WRITTEN, Records, Series, as_bytes, fold_points, select_channels, sort_records
from pytest_mlrun.store.seal import remove_log, seal_log

_CLOSED: Final = "the run store's log is closed: nothing more can be logged"
_FORKED: Final = "this run belongs to the parent process: a forked child cannot log to it"
_CHUNK_POINTS: Final = 1 << 20


@dataclass(slots=True)
class _OpenRun:
    state: RunState
    mark: int


class LogWriter:
    """The log of this process. What a method returned from survives SIGKILL; what ``finish`` returned from, power loss.

    Args:
        root: The store's folder.
        session_id: Session that the process belongs to.
        steps: Named instants.

    Attributes:
        append: Log one point: channel, value, step; a step of None makes it a summary value. Safe from any thread.
            Raises ``MetricError`` for what is not a number, ``RunClosedError`` after ``close`` and in a forked child,
            ``StoreWriteError`` when the disk is full.
        make_log_metric: Make the function that does the same for the metrics of one run, by name and fast.

    Raises:
        StoreWriteError: The operating system refused.
    """

    append: Callable[[int, float, int | None], None]
    make_log_metric: Callable[[Metrics], LogMetric]

    def __init__(self, root: Path, *, session_id: str, steps: Steps) -> None:
        self._files, self._file_lock = claim_log(root)
        steps.reach("create.locked")
        self._steps = steps
        self._lock = threading.Lock()
        self._closed_reason = ""
        self._runs: dict[str, _OpenRun] = {}
        self._finished: dict[str, Mapping[str, str]] = {}
        self._channels = 0
        try:
            self._log = EventLog(self._files.events, steps=steps)
            steps.reach("create.log-made")
            self._log.write("log", "", describe_writer(session_id))
            with writing(self._files.events):
                sync_folder(self._files.events.parent)
        except BaseException:
            self._file_lock.release()
            raise
        self._points = PointFile(self._files.points, steps=steps)
        self.append = self._points.append
        self.make_log_metric = self._points.make_log_metric
        _forget_in_children(self)

    @property
    def log(self) -> str:
        """Id of the log, and of the segment it becomes."""
        return self._files.log

    def start(self, start: RunStart) -> None:
        """Begin a run.

        Args:
            start: What is known of it.

        Raises:
            StoreError: The run was started before.
        """
        content = schema.dump_fields(start, schema.START_FIELDS)
        content["started_us"] = content["started_us"] or now_us()
        with self._lock:
            self._check_writable()
            run_id = str(content["run_id"])
            if run_id in self._runs or run_id in self._finished:
                raise StoreError(f"run {run_id[-8:]} was started twice", next_step="give every run an id of its own")
            state = RunState(run_id)
            state.apply(self._log.write("start", run_id, content))
            self._runs[run_id] = _OpenRun(state, self._points.mark())

    def params(self, run_id: str, values: Mapping[str, str]) -> None:
        """Log params.

        Args:
            run_id: The run.
            values: Name to JSON text.
        """
        self._write("params", run_id, schema.clean_texts(values))

    def tags(self, run_id: str, values: Mapping[str, str]) -> None:
        """Set tags.

        Args:
            run_id: The run.
            values: Name to text.
        """
        self._write("tags", run_id, schema.clean_texts(values))

    def context(self, run_id: str, values: Mapping[str, str]) -> None:
        """Log facts of the pillars, the host, the process.

        Args:
            run_id: The run.
            values: Dotted name to JSON text.
        """
        self._write("context", run_id, schema.clean_texts(values))

    def artifact(self, run_id: str, artifact: Artifact) -> None:
        """Log an artifact, before its object is published: collection then knows that it is wanted.

        Args:
            run_id: The run.
            artifact: The artifact.
        """
        self._write("artifact", run_id, schema.dump_fields(artifact, schema.ARTIFACT_FIELDS))

    def hold(self, digest: str, *, role: str) -> None:
        """Say that an object is wanted by runs yet to come; call it before the object is published.

        Args:
            digest: The object. As long as this log is written, collection lets it be.
            role: What it will be; of a ``snapshot`` the files that it lists are wanted too.
        """
        with self._lock:
            self._check_writable()
            self._log.write("hold", "", {"digest": digest, "role": role})

    def drop(self, run_id: str, name: str) -> None:
        """Take an artifact from a run again, as a checkpoint that a better one replaced.

        Args:
            run_id: The run.
            name: Name of the artifact.
        """
        self._write("drop", run_id, {"name": name})

    def gate(self, run_id: str, verdict: Verdict) -> None:
        """Log a gate's verdict.

        Args:
            run_id: The run.
            verdict: The verdict.
        """
        self._write("gate", run_id, schema.dump_fields(verdict, schema.GATE_FIELDS))

    def channel(self, run_id: str, name: str) -> int:
        """Give the number that stands for a metric of a run.

        Args:
            run_id: The run.
            name: The metric.

        Returns:
            The number, for ``append``; the same for the same name.
        """
        return self.channels(run_id, (name,))[0]

    def channels(self, run_id: str, names: Sequence[str]) -> tuple[int, ...]:
        """Give the numbers of several metrics, in one event.

        Args:
            run_id: The run.
            names: The metrics.

        Returns:
            One number a name.
        """
        names = [schema.clean(str(name)) for name in names]
        with self._lock:
            run = self._open_run(run_id)
            known = {name: channel for channel, name in run.state.channels.items()}
            new: dict[str, int] = {}
            for name in names:
                if name not in known:
                    self._channels += 1
                    known[name] = new[name] = WRITTEN + self._channels
            if new:
                run.state.apply(self._log.write("channels", run_id, new))
            return tuple(known[name] for name in names)

    def series(self, run_id: str, name: str) -> Series | None:
        """Read back what was logged so far, without looking at the disk.

        Args:
            run_id: A run that has not finished.
            name: The metric.

        Returns:
            The points that have a step, or None if there are none.
        """
        with self._lock:
            run = self._open_run(run_id)
            channels = {channel: label for channel, label in run.state.channels.items() if label == name}
            return fold_points(self._records(run, channels), channels)[1].get(name)

    def finish(self, run_id: str, end: RunEnd) -> RunRecord:
        """Finish a run; its record survives power loss when this returns.

        Args:
            run_id: The run.
            end: How it ended.

        Returns:
            The record, as every reader will see it.
        """
        with self._lock:
            run = self._open_run(run_id)
            self._move_points(run_id, run)
            record = self._fold_end(run.state, end).record
            content = schema.dump_fields(cast("RunEnd", run.state.end), schema.END_FIELDS)
            self._log.write("finish", run_id, {**content, "digest": record.digest})
            self._finished[run_id] = record.series
            del self._runs[run_id]
            self._steps.reach("finish.before-sync")
            self._log.sync()
            self._steps.reach("finish.after-sync")
        return record

    def finish_and_seal(self, run_id: str, end: RunEnd) -> RunRecord:
        """Finish the run and seal the log, in one durable write instead of two; the log is closed then.

        A process killed before this returned leaves an ``orphaned`` run, with every point.

        Args:
            run_id: The run; others that have not finished become ``orphaned``.
            end: How it ended.

        Returns:
            The record, as every reader will see it.

        Raises:
            StoreWriteError: The operating system refused; the log stays where recovery finds it.
        """
        with self._lock:
            run = self._open_run(run_id)
            run.state.points = [as_bytes(self._records(run, run.state.channels))]
            folded = self._fold_end(run.state, end)
            self._shut()
            try:
                seal_log(self._files, steps=self._steps, known=self._finished, last=folded)
            finally:
                self._file_lock.release()
        return folded.record

    def seal(self) -> None:
        """Turn the log into a segment and close it; a run that has not finished becomes ``orphaned``."""
        self._close(orphan=True)

    def close(self) -> None:
        """Seal the log if every run has finished, else leave it to recovery. Closing twice is fine."""
        self._close(orphan=False)

    def _close(self, *, orphan: bool) -> None:
        with self._lock:
            if self._closed_reason:
                return
            self._shut()
            try:
                if not self._runs and not self._finished:
                    remove_log(self._files, steps=self._steps)
                elif orphan or not self._runs:
                    seal_log(self._files, steps=self._steps, known=self._finished)
            finally:
                self._file_lock.release()

    def _shut(self) -> None:
        self._closed_reason = _CLOSED
        self._points.close(_CLOSED)
        self._log.close()

    def _fold_end(self, state: RunState, end: RunEnd) -> FoldedRun:
        content = schema.dump_fields(replace(end, ended_us=end.ended_us or now_us()), schema.END_FIELDS)
        state.end = schema.load_fields(RunEnd, schema.END_FIELDS, content)
        return fold_finished(state)

    def _write(self, kind: str, run_id: str, content: Mapping[str, object]) -> None:
        if not content:
            return
        with self._lock:
            self._open_run(run_id).state.apply(self._log.write(kind, run_id, content))

    def _move_points(self, run_id: str, run: _OpenRun) -> None:
        # A finished run's points live in the log: checksummed, and made durable by the one sync that finishing costs.
        records = self._records(run, run.state.channels)
        for at in range(0, len(records), _CHUNK_POINTS):
            chunk = as_bytes(records[at : at + _CHUNK_POINTS])
            run.state.apply(self._log.write("points", run_id, {"at": at}, points=chunk))

    def _records(self, run: _OpenRun, channels: Iterable[int]) -> Records:
        return select_channels(sort_records(self._points.window(run.mark, self._points.mark())), channels)

    def _open_run(self, run_id: str) -> _OpenRun:
        self._check_writable()
        run = self._runs.get(run_id)
        if run is None:
            verb = "has finished" if run_id in self._finished else "was never started"
            raise RunClosedError(
                f"run {run_id[-8:]} {verb}: nothing can be logged to it", next_step="log inside the test"
            )
        return run

    def _check_writable(self) -> None:
        if self._closed_reason:
            raise RunClosedError(
                self._closed_reason, next_step="log inside the test, in the process that started the run"
            )

    def _forget(self) -> None:
        # The parent goes on: a child that wrote, sealed or unlocked would take the log away from it.
        self._lock = threading.Lock()
        self._closed_reason = _FORKED
        self._points.abandon(_FORKED)


def _forget_in_children(writer: LogWriter) -> None:
    reference = weakref.ref(writer)

    def forget() -> None:
        living = reference()
        if living is not None:
            living._forget()  # noqa: SLF001 - the writer's own hook, kept outside so that it does not keep the writer alive

    os.register_at_fork(after_in_child=forget)
