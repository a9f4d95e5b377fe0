"""Find the data that a name in ``mlrun.toml`` stands for, verified, and write down what it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_mlrun.errors import DataError

if TYPE_CHECKING:
    from pytest_mlrun.recorder.recorder import Recorder
    from pytest_mlrun.recorder.recording import Recording
    from pytest_mlrun.records.project import Project
    from pytest_mlrun.records.snapshot import Snapshot
    from pytest_mlrun.store.shared import Shared


def find_snapshot(project: Project, name: str, *, shared: Shared | None) -> Snapshot:
    """Return a snapshot whose content is what ``mlrun.lock`` says.

    Args:
        project: Where the name is looked up.
        name: Title of a ``[data.<name>]`` section.
        shared: Remembers what was verified, for all processes; None hashes every time.

    Raises:
        DataError: If it is unknown, missing, unlocked, unreadable or changed.
    """
    from pytest_mlrun.pillars.snapshots.lockfile import read_lock
    from pytest_mlrun.pillars.snapshots.verify import verify_snapshot
    from pytest_mlrun.rules.suggest import did_you_mean
    from pytest_mlrun.store.remote import fetch_uri

    if name not in project.data:
        if project.config_file is None:
            raise DataError(
                f"data {name!r} is not known: there is no mlrun.toml",
                where=str(project.root),
                next_step=f'write one: [data.{name}] path = "data/{name}.csv", then: pytest-mlrun data lock {name}',
            )
        hint = did_you_mean(name, tuple(project.data))
        cure = f"add a section [data.{name}] with its path, then: pytest-mlrun data lock {name}"
        raise DataError(
            f"data {name!r} is not in mlrun.toml{hint}",
            where=str(project.config_file),
            next_step=f"use that name, or {cure}" if hint else cure,
        )
    locked = read_lock(project.lock_file).get(name)
    return verify_snapshot(project.data[name], project.root, locked, cache=shared, fetch=fetch_uri)


def record_snapshot(recording: Recording, recorder: Recorder, name: str) -> Snapshot:
    """Verify a snapshot for a run, keep it if ``mlrun.toml`` says so, and write down what it is.

    Raises:
        DataError: If it is unknown, missing, unlocked, unreadable or changed.
    """
    snapshot = recorder.verify(recording.plan.project, name)
    keep = recording.plan.project.data[name].keep == "copy"
    manifest = recorder.manifest_of(snapshot, role="snapshot" if keep else "manifest")
    if keep:
        recorder.keep(snapshot)
    recording.link(manifest)
    facts: dict[str, object] = {
        "digest": snapshot.digest,
        "source": snapshot.source,
        "files": len(snapshot.manifest.files),
        "bytes": snapshot.manifest.size_bytes,
        **({"kept": "copy"} if keep else {}),
    }
    recording.write_context({f"data.{name}.{key}": value for key, value in facts.items()})
    return snapshot
