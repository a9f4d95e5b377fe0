"""Read runs: sealed ones from segments, running ones from live logs, without taking a lock."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pytest_mlrun.errors import ArtifactError, MetricError, QueryError, RunNotFoundError, StoreDamagedError
from pytest_mlrun.records.project import Goal
from pytest_mlrun.records.query import Comparison
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.store.columns import Bools, equal_text, number_values
from pytest_mlrun.store.objects import Objects
from pytest_mlrun.store.points import Series
from pytest_mlrun.store.query import match_rows, metric_values
from pytest_mlrun.store.segment import Segment, decode_runs
from pytest_mlrun.store.series import read_one_series
from pytest_mlrun.store.tables import join_tables
from pytest_mlrun.store.view import View, Viewer

_BROKEN: Final = (ValueError, pa.ArrowException)
_SHORT_ID: Final = re.compile(r"[0-9a-f-]{8,36}")
_DENSE: Final = 4

_Ranked = tuple[float, int, str, pa.RecordBatch, int]

Mask = Callable[[Segment, pa.RecordBatch], Bools]


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
        return _by_age(self._select(self._viewer.look(), lambda segment, batch: _match_all(segment, batch, wanted)))

    def find(self, ref: str) -> RunRecord:
        """Find one run.

        Args:
            ref: Its id, the last 8 or more characters of it, or its name.

        Returns:
            The run.

        Raises:
            RunNotFoundError: No run, or more than one, answers to it.
        """
        view = self._viewer.look()
        found: list[RunRecord] = []
        if _SHORT_ID.fullmatch(ref):
            found = self._select(view, lambda _, batch: equal_text(batch.column("run_id"), ref, suffix=True))
        found = found or self._select(view, lambda _, batch: equal_text(batch.column("name"), ref))
        if len(found) == 1:
            return found[0]
        if not found:
            raise RunNotFoundError(
                f"no run answers to {ref!r}", where=str(self._root), next_step="list the runs: pytest-mlrun runs"
            )
        raise RunNotFoundError(
            f"{len(found)} runs answer to {ref!r}",
            details=tuple(f"{run.run_id}  {run.name}  {run.experiment}  {run.status}" for run in _by_age(found)),
            where=str(self._root),
            next_step=f"name one by the end of its id, such as {found[-1].short_id}",
        )

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
            StoreDamagedError: The points cannot be read.
        """
        view = self._viewer.look()
        for segment in view.segments:
            for batch in segment.batches:
                rows = np.flatnonzero(_safe_mask(lambda _, b: equal_text(b.column("run_id"), run_id), segment, batch))
                if len(rows):
                    record = decode_runs(batch.slice(int(rows[0]), 1))[0]
                    return self._read_series(view, segment, record, name)
        raise RunNotFoundError(
            f"there is no run {run_id}", where=str(self._root), next_step="list the runs: pytest-mlrun runs"
        )

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
        best: list[_Ranked] = []
        for segment in self._viewer.look().segments:
            for batch in segment.batches:
                best += _rank(segment, batch, by=by, goal=goal, where=wanted, limit=limit)
        best.sort(key=lambda ranked: ranked[:3])
        found: list[RunRecord] = []
        for *_, batch, row in best[:limit]:
            with suppress(*_BROKEN):  # damaged() names it
                found += decode_runs(batch.slice(row, 1))
        return found

    def table(self, *, columns: Sequence[str] | None = None) -> pa.Table:
        """Read all runs as one Arrow table.

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
            ArtifactError: The run has no such artifact.
            StoreError: The object is missing.
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
        return Objects(self._root).read(run.artifacts[names.index(name)].digest)

    def damaged(self) -> tuple[str, ...]:
        """Name the files whose runs cannot be read.

        Returns:
            Paths.
        """
        view = self._viewer.look()
        paths = list(view.damaged)
        for segment in view.segments:
            try:
                for batch in segment.batches:
                    batch.validate(full=True)
            except pa.ArrowException:
                paths.append(str(self._root / "seg" / f"{segment.id}.arrow"))
        return tuple(paths)

    def _select(self, view: View, mask: Mask) -> list[RunRecord]:
        found: list[RunRecord] = []
        for segment in view.segments:
            for batch in segment.batches:
                rows = np.flatnonzero(_safe_mask(mask, segment, batch))
                try:
                    found += _decode_rows(batch, rows)
                except _BROKEN:
                    continue  # damaged() names it
        return found

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
                return found
        raise _lost_series(record, name, self._root / "pts")


def _lost_series(record: RunRecord, name: str, path: Path) -> StoreDamagedError:
    return StoreDamagedError(
        f"the points of {name!r} of run {record.short_id} cannot be read",
        where=str(path),
        next_step="see: pytest-mlrun verify",
    )


def _with_texts(where: tuple[Comparison, ...], **texts: str | None) -> tuple[Comparison, ...]:
    fixed = tuple(Comparison("attribute", name, "==", text) for name, text in texts.items() if text is not None)
    return fixed + where


def _match_all(segment: Segment, batch: pa.RecordBatch, where: tuple[Comparison, ...]) -> Bools:
    mask = np.ones(batch.num_rows, dtype=np.bool_)
    for comparison in where:
        mask &= match_rows(segment, batch, comparison)
    return mask


def _safe_mask(mask: Mask, segment: Segment, batch: pa.RecordBatch) -> Bools:
    try:
        return mask(segment, batch)
    except QueryError:
        raise
    except (*_BROKEN, KeyError, IndexError):  # a damaged segment must not hide the others; damaged() names it
        return np.zeros(batch.num_rows, dtype=np.bool_)


def _rank(
    segment: Segment, batch: pa.RecordBatch, *, by: str, goal: Goal, where: tuple[Comparison, ...], limit: int
) -> list[_Ranked]:
    mask = _safe_mask(lambda s, b: _match_all(s, b, where), segment, batch)
    if not mask.any():
        return []
    try:
        values = metric_values(segment, batch, by)
        keys = np.where(mask, -values if goal == "max" else values, np.nan)
        ages = number_values(batch.column("started_us"))
        rows = _lowest(keys, limit)
        return [(float(keys[row]), int(ages[row]), batch.column("run_id")[row].as_py(), batch, row) for row in rows]
    except _BROKEN:
        return []


def _lowest(keys: npt.NDArray[np.float64], limit: int) -> list[int]:
    rows = np.flatnonzero(~np.isnan(keys))
    if len(rows) > limit > 0:
        last = np.partition(keys[rows], limit - 1)[limit - 1]
        rows = rows[keys[rows] <= last]
    return [int(row) for row in rows] if limit > 0 else []


def _decode_rows(batch: pa.RecordBatch, rows: npt.NDArray[np.intp]) -> Iterator[RunRecord]:
    if len(rows) * _DENSE >= batch.num_rows:
        records = decode_runs(batch)
        return iter([records[row] for row in rows])
    return iter([decode_runs(batch.slice(int(row), 1))[0] for row in rows])


def _by_age(records: list[RunRecord]) -> list[RunRecord]:
    return sorted(records, key=lambda record: (record.started_us, record.run_id))
