"""Give a run its data by name, verified before the first byte is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from pytest_mlrun.errors import DataError

if TYPE_CHECKING:
    from pytest_mlrun.recorder.recording import Recording
    from pytest_mlrun.records.snapshot import Snapshot


class SnapshotsByName(Mapping[str, "Snapshot"]):
    """The snapshots of ``mlrun.toml``; one that the marker did not name is verified when it is asked for."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording

    def __getitem__(self, name: str) -> Snapshot:
        from pytest_mlrun.rules.arguments import expect_text

        expect_text(name, what="the name of a snapshot", write='mlrun.data["churn"]', error=DataError)
        return self._recording.snapshot(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._recording.plan.project.data)

    def __len__(self) -> int:
        return len(self._recording.plan.project.data)
