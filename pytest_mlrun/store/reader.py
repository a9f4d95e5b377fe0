"""Read runs: sealed ones from segments, running ones from live logs, without taking a lock."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from pytest_mlrun.errors import ArtifactError, MetricError, RunNotFoundError, StoreDamagedError
from pytest_mlrun.records.annotation import Annotation
from pytest_mlrun.records.project import Goal
from pytest_mlrun.records.query import Comparison
from pytest_mlrun.records.retention import Tombstone
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.store.columns import equal_text
from pytest_mlrun.store.objects import Objects
from pytest_mlrun.store.points import Series
from pytest_mlrun.store.segment import Segment, decode_runs
from pytest_mlrun.store.selection import best_runs, by_age, match_all, safe_mask, select_runs
from pytest_mlrun.store.series import compute_series_digest, read_one_series
from pytest_mlrun.store.tables import join_tables
from pytest_mlrun.store.tombstones import Graveyard, last_wanted_us
from pytest_mlrun.store.view import View, Viewer

if TYPE_CHECKING:
    import pyarrow as pa

_SHORT_ID: Final = re.compile(r"[0-9a-f-]{8,36}")


class Reader:
    """Read a store. Every call sees the store as it is then; damaged files are left out and named by ``damaged``.

    Args:
        root: The store's folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._viewer = Viewer(root)

    def runs(
        self, *, experiment: str | None = None, session_id: str | None = None, where: tuple[Comparison, ...] = ()
    ) -> list[RunRecord]:
        """List runs, those in progress included.

        Args:
            experiment: Only runs of this experiment.
            session_id: Only runs of this session.
            where: Comparisons that must all hold.

        Returns:
            The runs, oldest first.

        Raises:
            QueryError: A comparison names an attribute that runs do not have.
        """
        wanted = _with_texts(where, experiment=experiment, session_id=session_id)
        view = self._viewer.look()
        chosen = select_runs(view.segments, lambda segment, batch: match_all(segment, batch, wanted, view.overlay))
        return by_age(view.overlay.apply(chosen))

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
        view = self._viewer.look()
        found: list[RunRecord] = []
        if _SHORT_ID.fullmatch(ref):
            found = select_runs(view.segments, lambda _, batch: equal_text(batch.column("run_id"), ref, suffix=True))
        found = found or select_runs(view.segments, lambda _, batch: equal_text(batch.column("name"), ref))
        return by_age(view.overlay.apply(found))

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
        view = self._viewer.look()
        for segment in view.segments:
            for batch in segment.batches:
                rows = np.flatnonzero(safe_mask(lambda _, b: equal_text(b.column("run_id"), run_id), segment, batch))
                if len(rows):
                    record = decode_runs(batch.slice(int(rows[0]), 1))[0]
                    return self._read_series(view, segment, record, name)
        raise _missing_run(view, self._root, run_id, f"there is no run {run_id}")

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
        view = self._viewer.look()
        found = best_runs(view.segments, by=by, goal=goal, where=wanted, limit=limit, overlay=view.overlay)
        return view.overlay.apply(found)

    def table(self, *, columns: Sequence[str] | None = None) -> pa.Table:
        """Read the rows of all runs as one Arrow table, without the tags that were added to them later.

        Args:
            columns: Only these columns, typed ones such as ``m.val_auc`` included; None for all.

        Returns:
            One row a run; where segments disagree on the type of a param, its column holds JSON texts.

        Raises:
            QueryError: No run has such a column.
        """
        return join_tables(self._viewer.look().segments, columns=columns)

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
        for part in segment.facts.series:
            path = self._root / "pts" / f"{part}.arrow"
            try:
                found = read_one_series(path, record.run_id, name)
            except FileNotFoundError:
                continue
            except ValueError as error:
                raise _lost_series(record, name, path) from error
            if found is not None:
                if compute_series_digest(found) != record.series[name]:
                    raise _lost_series(record, name, path)
                return found
        raise _lost_series(record, name, self._root / "pts")


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
