"""Gather the session's runs where the summary is written, and write it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

    from pytest_mlrun.options import Settings
    from pytest_mlrun.records.project import Project
    from pytest_mlrun.records.run import RunRecord
    from pytest_mlrun.session.pins import Pins
    from pytest_mlrun.session.replaying import Replay


class SessionResults:
    """What became of the runs of one session, all its processes together.

    Args:
        settings: The options in force.
        session_id: Shared by controller and workers.
        pins: Where projects are found.

    Attributes:
        updated: What became of the baselines that the session was to rewrite.
    """

    def __init__(self, settings: Settings, *, session_id: str, pins: Pins) -> None:
        self.worker_died = False
        self._runs: list[RunRecord] = []
        self._recovered = 0
        self._doubts: list[str] = []
        self._registered: list[str] = []
        self.updated: list[str] = []
        self._settings = settings
        self._session_id = session_id
        self._pins = pins

    def add(self, runs: Sequence[RunRecord]) -> None:
        """Take runs that ended."""
        self._runs.extend(runs)

    def recover(self, *, used: bool) -> list[RunRecord]:
        """Seal the logs of processes that died; return the runs of this session that they left.

        Args:
            used: Whether this process began a run.

        Raises:
            StoreError: If the store cannot be read or written.
        """
        if not (self._runs or self.worker_died or used) or not self._settings.store.exists():
            return []
        from pytest_mlrun.store.shared import Shared
        from pytest_mlrun.store.store import Store

        recovered = Store.open(self._settings.store).recover()
        Shared(self._settings.store).forget(self._session_id)
        known = {run.run_id for run in self._runs}
        ours = [run for run in recovered if run.session_id == self._session_id]
        self._recovered = len(recovered) - len(ours)
        return [run for run in ours if run.run_id not in known]

    def compact(self) -> None:
        """Rewrite the store's small files as larger ones if that is due; what hinders it is told, and fails nothing."""
        if not self._runs or not self._settings.store.exists():
            return
        from pytest_mlrun.errors import StoreError
        from pytest_mlrun.store.store import Store

        try:
            done = Store.open(self._settings.store).compact(brief=True)
        except StoreError as error:
            # The runs of this session are recorded: no test is to blame for a disk that is full now.
            self._doubts.append(f"the store was not compacted: {error}")
            return
        for file in () if done is None else done.quarantined:
            self._doubts.append(f"damaged: {file.was} was put aside. See: pytest-mlrun verify")

    def register(self, *, passed: bool) -> None:
        """Register the runs whose tests asked for it.

        Args:
            passed: Whether every test of the session passed.

        Raises:
            RegistryError: If a run cannot be registered.
        """
        from pytest_mlrun.session.registering import register_runs

        self._registered = register_runs(
            self._runs,
            lambda run: self._pins.project_of(Path(json.loads(run.context["project"]))),
            store=self._settings.store,
            asked=self._settings.register,
            passed=passed,
        )

    def update_baselines(self) -> None:
        """Make the runs of this session the baselines of their gates, if it was asked for.

        Raises:
            StoreError: A baseline cannot be written.
        """
        if not self._settings.update_baselines:
            return
        from pytest_mlrun.session.updating import update_baselines

        self.updated = update_baselines(
            self._runs,
            lambda run: self._pins.project_of(Path(json.loads(run.context["project"]))),
            store=self._settings.store,
        ) or ["no baseline was updated: no gate of this session names a committed file"]

    def write_summary(self, reporter: pytest.TerminalReporter, *, verbosity: int) -> None:
        """Write the table of this session's runs."""
        from pytest_mlrun.records.project import Goals
        from pytest_mlrun.report.terminal import render_summary

        if not self._runs:
            return
        projects = self._known_projects()
        leaderboards = {name: board for project in projects for name, board in project.leaderboards.items()}
        lines = render_summary(
            self._runs,
            verbosity=verbosity,
            width=shutil.get_terminal_size().columns,
            leaderboards=leaderboards,
            store_path=self._settings.store,
            recovered=self._recovered,
            goals=Goals(*projects),
        )
        if lines:
            reporter.section("training runs")
        for text, markup in lines:
            reporter.write_line(text, **markup)
        if verbosity >= 0:
            for text in self._registered:
                reporter.write_line(text)
        for text in self.updated:
            reporter.write_line(text, red=not text.startswith(" "))
        for doubt in self._doubts:
            reporter.write_line(doubt, yellow=True)

    def write_replay(self, reporter: pytest.TerminalReporter, replay: Replay | None, *, verbosity: int) -> None:
        """Write what the comparison with a recorded run found."""
        if replay is None or replay.reproduction is None:
            return
        from pytest_mlrun.report.reproduction import render_reproduction

        width = shutil.get_terminal_size().columns
        reporter.section("replay")
        for text, markup in render_reproduction(replay.reproduction, replay.run, width=width, verbosity=verbosity):
            reporter.write_line(text, **markup)

    def _known_projects(self) -> list[Project]:
        # Under xdist the controller collected nothing: the runs say which folders to look in.
        for run in self._runs:
            path = run.context.get("project")
            if path is not None:
                self._pins.project_of(Path(json.loads(path)))
        return self._pins.projects
