"""Read runs: sealed ones from segments, running ones from live logs, without taking a lock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from pytest_mlrun.errors import ArtifactError, MetricError, RunNotFoundError, StoreDamagedError
from pytest_mlrun.records.annotation import Annotation
from pytest_mlrun.records.project import Goal
from pytest_mlrun.records.query import Census, Comparison
from pytest_mlrun.records.retention import Tombstone
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.store.census import experiment_names, metric_names, take_census
from pytest_mlrun.store.flat import TableName, read_table, table_schema
from pytest_mlrun.store.guard import SpoiltError
from pytest_mlrun.store.lookup import find_id, find_runs
from pytest_mlrun.store.objects import Objects
from pytest_mlrun.store.points import Series
from pytest_mlrun.store.segment import Segment
from pytest_mlrun.store.selection import best_runs, by_age, count_runs, newest_runs
from pytest_mlrun.store.series import compute_series_digest, read_one_series
from pytest_mlrun.store.tables import without_zone
from pytest_mlrun.store.tombstones import Graveyard, last_wanted_us
from pytest_mlrun.store.view import View, Viewer

if TYPE_CHECKING:
    import pyarrow as pa

_Answer = TypeVar("_Answer")


class Reader:
    """Read a store. Every call sees the store as it is then; damaged files are left out and named by ``damaged``.

    Args:
        root: The store's folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._viewer = Viewer(root)

    def runs(
        self,
        *,
        experiment: str | None = None,
        session_id: str | None = None,
        where: tuple[Comparison, ...] = (),
        limit: int | None = None,
    ) -> list[RunRecord]:
        """List runs, those in progress included.

        Args:
            experiment: Only runs of this experiment.
            session_id: Only runs of this session.
            where: Comparisons that must all hold.
            limit: Only so many, those that started last; the others are not read.

        Returns:
            The runs, oldest first.

        Raises:
            QueryError: A comparison names an attribute that runs do not have.
        """
        wanted = _with_texts(where, experiment=experiment, session_id=session_id)
        return self._ask(
            lambda view: view.overlay.apply(newest_runs(view.segments, where=wanted, limit=limit, overlay=view.overlay))
        )

    def count(self, *, experiment: str | None = None, where: tuple[Comparison, ...] = ()) -> int:
        """Count runs, those in progress included, without reading them.

        Args:
            experiment: Only runs of this experiment.
            where: Comparisons that must all hold.

        Returns:
            Their number. Of all runs, of an experiment or of a status it is what the segments say of themselves.

        Raises:
            QueryError: A comparison names an attribute that runs do not have.
        """
        wanted = _with_texts(where, experiment=experiment)
        return self._ask(lambda view: count_runs(view.segments, where=wanted, overlay=view.overlay))

    def experiments(self) -> tuple[str, ...]:
        """Name the experiments that have runs.

        Returns:
            Names, sorted.
        """
        return self._ask(lambda view: experiment_names(view.segments))

    def metrics(self, experiment: str | None = None) -> tuple[str, ...]:
        """Name the metrics that runs logged.

        Args:
            experiment: Only runs of this experiment.

        Returns:
            Names, sorted.
        """
        wanted = _with_texts((), experiment=experiment)
        return self._ask(lambda view: metric_names(view.segments, wanted))

    def census(self, experiment: str | None, *, by: str, where: tuple[Comparison, ...] = ()) -> Census:
        """Count who takes part in a ranking, and the others by why they do not.

        Args:
            experiment: Only runs of this experiment, or None for all.
            by: The metric.
            where: Comparisons that must all hold.

        Returns:
            The counts.

        Raises:
            QueryError: A comparison names an attribute that runs do not have.
        """
        within = _with_texts((), experiment=experiment)
        return self._ask(
            lambda view: take_census(view.segments, by=by, within=within, where=where, overlay=view.overlay)
        )

    def find(self, ref: str) -> RunRecord:
        """Find one run.

        Args:
            ref: Its id, the last 8 or more characters of it, or its name.

        Returns:
            The run.

        Raises:
            RunNotFoundError: No run, or more than one, answers to it.
            StoreDamagedError: The run is not what was recorded, or the file that may hold it cannot be read.
        """
        found = self.find_all(ref)
        if len(found) == 1:
            return found[0]
        if not found:
            raise _missing_run(self._viewer.look(), self._root, ref, f"no run answers to {ref!r}")
        raise RunNotFoundError(
            f"{len(found)} runs answer to {ref!r}",
            details=tuple(f"{run.run_id}  {run.name}  {run.experiment}  {run.status}" for run in found),
            where=str(self._root),
            next_step=f"name one by the end of its id, such as {found[-1].short_id}",
        )

    def find_all(self, ref: str) -> list[RunRecord]:
        """Find the runs that answer to an id or a name.

        Args:
            ref: An id, the last 8 or more characters of one, or a name.

        Returns:
            The runs whose id it is or, where there is none, those of that name; oldest first.
        """
        return self._ask(lambda view: by_age(view.overlay.apply(find_runs(view.segments, ref))))

    def annotations(self, run_id: str) -> tuple[Annotation, ...]:
        """Read what was said about a run after it ended.

        Args:
            run_id: The run.

        Returns:
            The events, oldest first. Their tags stand over those of the row in every record that this class returns.
        """
        return self._viewer.look().overlay.events_of(run_id)

    def series(self, run_id: str, name: str) -> Series:
        """Read the points of one metric that have a step.

        Args:
            run_id: The run.
            name: The metric.

        Returns:
            The points in logged order; none for a metric that was only logged without a step.

        Raises:
            RunNotFoundError: There is no such run.
            MetricError: The run has no such metric.
            StoreDamagedError: The run or its points are not what was recorded.
        """
        while True:
            try:
                return self._ask(lambda view: self._find_series(view, run_id, name))
            except _CompactedError:
                continue  # the segment is elsewhere since it was looked at

    def top(
        self, experiment: str | None, *, by: str, goal: Goal, where: tuple[Comparison, ...] = (), limit: int = 20
    ) -> list[RunRecord]:
        """Choose the best finished runs; NaN never wins, the earlier of two equals does.

        Args:
            experiment: Only runs of this experiment, or None for all.
            by: The metric.
            goal: Whether more or less of it is better.
            where: Comparisons that must all hold.
            limit: Most runs returned.

        Returns:
            The best runs, best first.

        Raises:
            QueryError: A comparison names an attribute that runs do not have.
        """
        wanted = _with_texts(where, experiment=experiment, status="finished")
        return self._ask(
            lambda view: view.overlay.apply(
                best_runs(view.segments, by=by, goal=goal, where=wanted, limit=limit, overlay=view.overlay)
            )
        )

    def table(
        self,
        name: TableName = "runs",
        *,
        columns: Sequence[str] | None = None,
        experiment: str | None = None,
        where: tuple[Comparison, ...] = (),
        zone: bool = True,
    ) -> pa.Table:
        """Read one of four Arrow tables. Only the columns that are asked for, of runs that are asked for, are read.

        Example: ``mlrun_store.table("runs", columns=["name", "p.depth", "m.val_auc"])``

        Args:
            name: ``runs``: one row a run, without the tags that were added to it later. Typed columns such as
                ``p.depth``, ``m.val_auc`` and ``t.team`` repeat the names that are frequent; where segments disagree on
                the type of a param, its column holds JSON texts. ``metrics``: one row a point, with ``run_id``,
                ``name``, ``step``, ``time`` and ``value``; a metric that was logged without a step is one row that has
                none. ``artifacts`` and ``gates``: one row each, with its ``run_id``.
            columns: Only these columns; None for all.
            experiment: Only of runs of this experiment.
            where: Comparisons that must all hold of the run.
            zone: Whether the type of times says that they are UTC, which they always are.

        Returns:
            The table.

        Raises:
            QueryError: There is no such table or column, or a comparison names an attribute that runs do not have.
            StoreDamagedError: Points cannot be read.
        """
        wanted = _with_texts(where, experiment=experiment)
        table = self._ask(lambda view: read_table(self._root, view, name, columns=columns, where=wanted))
        return table if zone else without_zone(table)

    def schema(self, name: TableName = "runs") -> pa.Schema:
        """Say which columns a table has, without reading it.

        Args:
            name: As for ``table``.

        Raises:
            QueryError: There is no such table.
        """
        return self._ask(lambda view: table_schema(view, name))

    def read_artifact(self, run: RunRecord, name: str) -> bytes:
        """Read the bytes of one artifact, compared with their digest.

        Args:
            run: The run.
            name: Name of the artifact.

        Returns:
            The bytes. Reading them runs no code; what they say may be ``unsafe`` to load.

        Raises:
            ArtifactError: The run has no such artifact, or it was collected.
            StoreError: The object cannot be read.
            StoreDamagedError: The bytes are not what was stored.
        """
        names = [artifact.name for artifact in run.artifacts]
        if name not in names:
            raise ArtifactError(
                f"run {run.short_id} has no artifact {name!r}",
                details=(f"it has: {', '.join(names) or 'none'}",),
                where=str(self._root),
                next_step=f"list them: pytest-mlrun show {run.short_id}",
            )
        artifact = run.artifacts[names.index(name)]
        return Objects(self._root).read(artifact.digest, since_us=last_wanted_us(run, artifact))

    def collected(self, run: RunRecord) -> dict[str, Tombstone]:
        """Say which artifacts of a run were collected.

        Args:
            run: The run.

        Returns:
            Name of the artifact to the tombstone of its object.
        """
        objects, graveyard = Objects(self._root), Graveyard(self._root)
        found = {
            artifact.name: graveyard.find(artifact.digest, since_us=last_wanted_us(run, artifact))
            for artifact in run.artifacts
            if not objects.path(artifact.digest).exists()
        }
        return {name: tombstone for name, tombstone in found.items() if tombstone is not None}

    def damaged(self) -> tuple[str, ...]:
        """Name the files whose runs cannot be read.

        Returns:
            Paths.
        """
        return tuple(dict.fromkeys(damage.path for damage in self._viewer.look().damaged))

    def _ask(self, question: Callable[[View], _Answer]) -> _Answer:
        while True:
            view = self._viewer.look()
            try:
                return question(view)
            except SpoiltError as error:  # at most once a segment: what is condemned is made anew from intact runs
                self._viewer.condemn(error.segment_id)

    def _find_series(self, view: View, run_id: str, name: str) -> Series:
        for segment in view.segments:
            found = find_id(segment, run_id)
            if not found:
                continue
            try:
                return self._read_series(view, segment, found[0], name)
            except FileNotFoundError as gone:
                if (self._root / "seg" / f"{segment.id}.arrow").exists():
                    raise _lost_series(found[0], name, self._root / "pts") from gone
                raise _CompactedError from gone
        raise _missing_run(view, self._root, run_id, f"there is no run {run_id}")

    def _read_series(self, view: View, segment: Segment, record: RunRecord, name: str) -> Series:
        if name not in record.series:
            if name in record.metrics:
                return Series(name, np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float64))
            raise MetricError(
                f"metric {name!r} was never logged; this run has: {', '.join(record.metrics) or 'none'}",
                where=f"run {record.short_id}",
                next_step=f"see what it has: pytest-mlrun show {record.short_id}",
            )
        if record.run_id in view.live_series:
            return view.live_series[record.run_id][name]
        missing: FileNotFoundError | None = None
        for part in segment.facts.series:
            path = self._root / "pts" / f"{part}.arrow"
            try:
                found = read_one_series(path, record.run_id, name)
            except FileNotFoundError as gone:
                missing = gone
                continue
            except ValueError as error:
                raise _lost_series(record, name, path) from error
            if found is not None:
                if compute_series_digest(found) != record.series[name]:
                    raise _lost_series(record, name, path)
                return found
        if missing is not None:
            raise missing
        raise _lost_series(record, name, self._root / "pts")


class _CompactedError(Exception):
    """A segment was compacted while its series were about to be read."""


def _missing_run(view: View, root: Path, ref: str, headline: str) -> RunNotFoundError | StoreDamagedError:
    for damage in view.damaged:
        if any(run_id.endswith(ref) for run_id in damage.run_ids):
            return StoreDamagedError(
                f"run {ref[-8:]} is not what was recorded", where=damage.path, next_step="see: pytest-mlrun verify"
            )
    if view.damaged:
        return StoreDamagedError(
            f"{headline}; the store is damaged: it may have been there",
            where=view.damaged[0].path,
            next_step="see: pytest-mlrun verify",
        )
    return RunNotFoundError(headline, where=str(root), next_step="list the runs: pytest-mlrun runs")


def _lost_series(record: RunRecord, name: str, path: Path) -> StoreDamagedError:
    return StoreDamagedError(
        f"the points of {name!r} of run {record.short_id} cannot be read",
        where=str(path),
        next_step="see: pytest-mlrun verify",
    )


def _with_texts(where: tuple[Comparison, ...], **texts: str | None) -> tuple[Comparison, ...]:
    fixed = tuple(Comparison("attribute", name, "==", text) for name, text in texts.items() if text is not None)
    return fixed + where
