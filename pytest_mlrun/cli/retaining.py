"""Ask every project of a store what it keeps."""

from __future__ import annotations

import json
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

from pytest_mlrun.cli.console import Console
from pytest_mlrun.cli.projects import find_named_project
from pytest_mlrun.cli.reachable import read_reachable
from pytest_mlrun.project import find_project
from pytest_mlrun.records.project import Goals, Project
from pytest_mlrun.records.retention import Fates
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.rules.leaderboard import complete_rule
from pytest_mlrun.rules.retention import Scope, decide, split_named


class Retaining:
    """The policies and registries of the projects that recorded into a store.

    Args:
        named: Folder of the project that speaks for runs whose own is not here; None keeps them.
        console: Surroundings.

    Attributes:
        registries: Root of each project asked to the number of runs and digests that its registry names.
        elsewhere: Folders of the projects that are not here.

    Raises:
        ConfigError: If a ``mlrun.toml`` is missing where one is named, or cannot be understood.
    """

    def __init__(self, named: str | None, console: Console) -> None:
        if named is not None:
            self._nearest = find_named_project(named, console, next_step="name the folder of one: --project DIR")
        else:
            self._nearest = find_project(console.folder, stop=Path(console.folder.anchor))
            if self._nearest.config_file is None:
                self._nearest = Project(root=console.folder)
        self._speaks_for_all = named is not None
        self._now_us = console.now_us
        self._known: dict[Path, Project] = {self._nearest.root: self._nearest}
        self.registries: dict[Path, int] = {}
        self.elsewhere: set[str] = set()

    def decide(self, runs: Sequence[RunRecord], live: AbstractSet[str]) -> Fates:
        """Decide what becomes of the artifacts of each run; see ``rules.retention``."""
        groups: dict[Path | None, list[RunRecord]] = {self._nearest.root: []}
        for run in runs:
            groups.setdefault(self._root_of(run), []).append(run)
        scopes = [self._scope(root, group) for root, group in groups.items()]
        reachable: set[str] = set()
        lapsed: set[str] = set()
        for root in groups:
            if root is not None:
                named = read_reachable(self._known[root])
                wanted, unwanted = split_named(named, self._known[root].retention, now_us=self._now_us)
                self.registries[root] = len(named)
                reachable |= wanted
                lapsed |= unwanted
        return decide(scopes, reachable=reachable, live=live, now_us=self._now_us, lapsed=lapsed)

    def _root_of(self, run: RunRecord) -> Path | None:
        if "project" not in run.context:
            return self._nearest.root
        root = Path(str(json.loads(run.context["project"])))
        if root not in self._known and root.is_dir():
            self._known[root] = find_project(root, stop=root)
        if root in self._known:
            return root
        if self._speaks_for_all:
            return self._nearest.root
        self.elsewhere.add(str(root))
        return None

    def _scope(self, root: Path | None, runs: Sequence[RunRecord]) -> Scope:
        if root is None:
            return Scope(runs, None, {})
        project = self._known[root]
        goals = Goals(project)
        boards = {name: complete_rule(board, goals) for name, board in project.leaderboards.items()}
        return Scope(runs, project.retention, boards)
