"""Keep the fingerprints of a run under way, in batches, and read those of a recorded one."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Final, Protocol

from pytest_mlrun.records.fingerprint import ROLE, Fingerprint, Mark
from pytest_mlrun.rules.divergence import BATCH, Trace

if TYPE_CHECKING:
    from pytest_mlrun.recorder.recording import Recording
    from pytest_mlrun.records.run import RunRecord
    from pytest_mlrun.rules.comparison import Points
    from pytest_mlrun.rules.fingerprints import Fingerprinter
    from pytest_mlrun.store.points import Series

BATCH_MARKS: Final = 512
"""So many marks wait in memory; a process that is killed loses them and keeps all before."""


class Fingerprints:
    """The fingerprints of a run under way.

    Args:
        recording: The run.
    """

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._pending: list[Mark] = []
        self._written = 0
        self._last_step: int | None = None
        self._lock = threading.Lock()

    @cached_property
    def _fingerprinter(self) -> Fingerprinter:
        from pytest_mlrun.rules.fingerprints import Fingerprinter

        return Fingerprinter()

    def add(self, channel: str, value: object, step: int, *, generators: Mapping[str, str]) -> None:
        """Keep the fingerprint of arrays at a step, and where the random generators stood.

        Args:
            channel: What the arrays are.
            value: The arrays.
            step: The step; beyond the first thousand only some are kept, see ``is_kept``.
            generators: Digests of the states of generators that are not global.

        Raises:
            ArtifactError: If there is no fingerprint of such a value.
            RunClosedError: If the run has finished.
        """
        from pytest_mlrun.rules.fingerprints import is_kept

        self._recording.refuse_if_closed()
        if not is_kept(step):
            return
        with self._lock:
            found = self._fingerprinter.take(channel, value)
            # Once a step is enough; but the draws that made a batch may lie between the first mark and the batch.
            if step != self._last_step or channel == BATCH:
                self._add_generators(step, generators)
            self._last_step = step
            self._pending.append(Mark(step, "array", channel, found))
            if len(self._pending) >= BATCH_MARKS:
                self._write()

    def _add_generators(self, step: int, own: Mapping[str, str]) -> None:
        from pytest_mlrun.pillars.randomness import end_state

        states = {**end_state(), **own}
        self._pending += [Mark(step, "generator", name, Fingerprint(digest)) for name, digest in states.items()]

    def flush(self) -> None:
        """Store what waits in memory."""
        with self._lock:
            if self._pending:
                self._write()

    def _write(self) -> None:
        from pytest_mlrun.store.fingerprints import MEDIA_TYPE, encode_marks

        # Taken first: where the store refuses, nobody may try to write the same again.
        marks, self._pending = self._pending, []
        self._recording.add_bytes(
            f"fingerprints/{self._written:06}.arrow", encode_marks(marks), media_type=MEDIA_TYPE, role=ROLE
        )
        self._written += 1


class MarkSource(Protocol):
    """What reading the marks of a run asks of a store's reader."""

    def read_artifact(self, run: RunRecord, name: str) -> bytes:
        """Return the bytes of an artifact."""
        ...


class TraceSource(MarkSource, Protocol):
    """What reading the trace of a run asks of a store's reader."""

    def series(self, run_id: str, name: str) -> Series:
        """Return the points of one metric."""
        ...


def read_trace(run: RunRecord, source: TraceSource) -> Trace:
    """Return what a recorded run left behind of its way.

    Args:
        run: The run.
        source: Its store's reader.

    Raises:
        StoreError: If it cannot be read.
        ValueError: If it is not as it was written.
    """
    series: dict[str, Points] = {}
    for name in run.series:
        points = source.series(run.run_id, name)
        series[name] = points.steps, points.values
    return build_trace(read_marks(run, source), series)


def read_marks(run: RunRecord, source: MarkSource) -> list[Mark]:
    """Return the marks of a recorded run, in their order.

    Args:
        run: The run.
        source: Its store's reader.

    Raises:
        StoreError: If they cannot be read.
        ValueError: If they are not as they were written.
    """
    from pytest_mlrun.store.fingerprints import decode_marks

    names = [artifact.name for artifact in run.artifacts if artifact.role == ROLE]
    return [mark for name in names for mark in decode_marks(source.read_artifact(run, name))]


def build_trace(marks: list[Mark], series: Mapping[str, Points]) -> Trace:
    """Return the trace that marks and series make; of two marks of one step and channel the last counts."""
    fingerprints: dict[str, dict[int, Fingerprint]] = {}
    generators: dict[str, dict[int, str]] = {}
    for mark in marks:
        if mark.kind == "array":
            fingerprints.setdefault(mark.channel, {})[mark.step] = mark.found
        elif mark.kind == "generator":
            generators.setdefault(mark.channel, {})[mark.step] = mark.found.digest
    return Trace(series, fingerprints, generators)
