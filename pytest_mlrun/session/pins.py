"""Hold what a test rests on: its seed, its data, its clean tree, its project; with or without a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_mlrun.session.experiment import entropy_of, read_marker_of, seed_of
from pytest_mlrun.session.refusal import refusing

if TYPE_CHECKING:
    import pytest

    from pytest_mlrun.options import Settings
    from pytest_mlrun.recorder.recorder import Recorder
    from pytest_mlrun.records.project import Project
    from pytest_mlrun.records.snapshot import Snapshot
    from pytest_mlrun.rules.marker import Entropy
    from pytest_mlrun.store.reader import Reader


class Pins:
    """The pins of one pytest process.

    Args:
        settings: The options in force.
        rootpath: pytest's root directory, above which no ``mlrun.toml`` is looked for.
        recorder: Where verified snapshots are remembered.
    """

    def __init__(self, settings: Settings, rootpath: Path, recorder: Recorder) -> None:
        self._settings = settings
        self._rootpath = rootpath
        self._recorder = recorder
        self._projects: dict[Path, Project] = {}
        self._snapshots: dict[tuple[Path, str], Snapshot] = {}

    def seed_of(self, node: pytest.Item | pytest.Collector) -> int:
        """Return the seed that the generators of a test, or of a fixture's scope, start from."""
        with refusing():
            return seed_of(node, self._settings)

    def entropy_of(self, node: pytest.Item | pytest.Collector) -> Entropy:
        """Return whether draws without a seed are looked for in a test, or in a fixture's scope."""
        with refusing():
            return entropy_of(node, self._settings)

    @contextmanager
    def pinned(self, item: pytest.Item) -> Iterator[None]:
        """Start the generators from the item's seed, without a run."""
        from pytest_mlrun.pillars.randomness import pin, pinned_imports

        seed = self.seed_of(item)
        pin(seed)
        with pinned_imports(seed):
            yield

    def snapshots_of(self, item: pytest.Item) -> Mapping[str, Snapshot]:
        """Verify and return the snapshots that the item's marker names."""
        from pytest_mlrun.recorder.snapshots import find_snapshot

        with refusing():
            project = self.project_of(item.path)
            for name in read_marker_of(item).data or ():
                key = (project.root, name)
                if key not in self._snapshots:
                    # Without --mlrun nothing may be written, so there is no cache on disk to ask.
                    shared = self._recorder.shared if self._settings.mlrun else None
                    self._snapshots[key] = find_snapshot(project, name, shared=shared)
            return {name: self._snapshots[project.root, name] for name in read_marker_of(item).data or ()}

    def clean_commit_of(self, item: pytest.Item) -> str:
        """Return the commit of the item's git tree, which must have no uncommitted changes."""
        from pytest_mlrun.pillars.code import find_code, require_clean
        from pytest_mlrun.records.names import COMMITTED_FILES

        with refusing():
            state = find_code(self.project_of(item.path).root, own_files=(*COMMITTED_FILES, self._settings.store.name))
            require_clean(state)
            return str(state.commit)

    def stored(self) -> Reader:
        """Open the store for reading."""
        from pytest_mlrun.store.store import Store

        with refusing():
            return Store.open(self._settings.store).reader()

    def project_of(self, path: Path) -> Project:
        """Return what the nearest ``mlrun.toml`` says."""
        from pytest_mlrun.project import find_project

        folder = path if path.is_dir() else path.parent
        if folder not in self._projects:
            stop = self._rootpath if folder.is_relative_to(self._rootpath) else folder
            self._projects[folder] = find_project(folder, stop=stop)
        return self._projects[folder]

    @property
    def projects(self) -> list[Project]:
        """The projects asked for so far."""
        return list(self._projects.values())
