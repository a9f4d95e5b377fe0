"""Give a replay the data that the recorded run was trained on: as it lies there, or written anew from the store."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_mlrun.errors import DataChangedError, DataError, MlrunError
from pytest_mlrun.records.snapshot import Snapshot
from pytest_mlrun.rules.reproduced_pillars import data_digests

if TYPE_CHECKING:
    from pytest_mlrun.recorder.accounts import Recorded
    from pytest_mlrun.recorder.plan import RunPlan
    from pytest_mlrun.recorder.recorder import Recorder
    from pytest_mlrun.records.project import Project
    from pytest_mlrun.records.snapshot import Manifest


@dataclass(slots=True)
class ReplayedData:
    """The data of one replay.

    Attributes:
        recorded: The recorded run.
        recorder: Where verified data is remembered, and kept data is read.
    """

    recorded: Recorded
    recorder: Recorder
    _folders: list[tempfile.TemporaryDirectory[str]] = field(default_factory=list)

    def provide(self, plan: RunPlan) -> list[str]:
        """Have each snapshot of the run ready under its name; return a sentence for each that was written anew.

        Raises:
            DataError: If one cannot be had.
        """
        found = []
        for name, digest in data_digests(self.recorded.run).items():
            # A name that the test no longer asks for, or mlrun.toml no longer has, is told where it is missed.
            if name in plan.data and name in plan.project.data:
                why = self._why_not_there(plan.project, name, digest)
                if why:
                    self.recorder.provide(plan.project, self._restore(plan.project, name, why))
                    found.append(f"data {name!r} was restored from the store: {why}")
        return found

    def remove(self) -> None:
        """Remove what was written."""
        while self._folders:
            self._folders.pop().cleanup()

    def _why_not_there(self, project: Project, name: str, digest: str) -> str:
        """Return why the data that lies there is not what the run was trained on, or nothing."""
        from pytest_mlrun.pillars.snapshots.lockfile import read_lock

        try:
            locked = read_lock(project.lock_file).get(name)
            if locked is None or locked.digest != digest:
                return "mlrun.lock names other content" if locked else "mlrun.lock does not name it"
            self.recorder.verify(project, name)
        except DataError as error:
            return error.headline
        return ""

    def _restore(self, project: Project, name: str, why: str) -> Snapshot:
        from pytest_mlrun.recorder.restoring import read_kept_listing, restore_kept

        run, source = self.recorded.run, self.recorded.source
        objects = self.recorder.store.objects
        try:
            manifest = read_kept_listing(run, name, lambda artifact: source.read_artifact(run, artifact))
        except MlrunError as error:
            raise self._missing(name, why, error.headline, project) from error
        if not all(objects.holds(f"sha256:{entry.sha256}", entry.size_bytes) for entry in manifest.files):
            raise self._missing(name, why, "no copy of it is in this store", project)
        folder = tempfile.TemporaryDirectory(prefix="mlrun-replay-")
        self._folders.append(folder)
        target = Path(folder.name) / name
        restore_kept(manifest, target, objects, told=lambda _: None)
        return Snapshot(name, _place_of(manifest, target), project.data[name].source, manifest)

    def _missing(self, name: str, why: str, found: str, project: Project) -> DataChangedError:
        run = self.recorded.run
        return DataChangedError(
            f"data {name!r} of run {run.short_id} cannot be had any more",
            details=(why, found, f"recorded: {data_digests(run)[name]}"),
            where=str(project.lock_file),
            next_step=f'bring it back and lock it; for runs to come, keep = "copy" in [data.{name}] of mlrun.toml',
        )


def _place_of(manifest: Manifest, target: Path) -> Path:
    return target if manifest.kind == "folder" else target / manifest.files[0].path
