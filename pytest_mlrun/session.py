"""Drive the runs of one pytest process: begin, pin, observe, finish, collect."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

from pytest_mlrun.ending import Ending
from pytest_mlrun.errors import MarkerError, MlrunError
from pytest_mlrun.experiment import (
    SKIPPED,
    check_item,
    is_experiment,
    is_refused,
    plan_item,
    plan_module,
    read_marker_of,
    seed_of,
)
from pytest_mlrun.recorder.recorder import Recorder
from pytest_mlrun.refusal import refusing, trimmed
from pytest_mlrun.run.run import Run

if TYPE_CHECKING:
    from pytest_mlrun.options import Settings
    from pytest_mlrun.recorder.plan import RunPlan
    from pytest_mlrun.recorder.recording import Recording
    from pytest_mlrun.records.project import Project
    from pytest_mlrun.records.run import RunRecord
    from pytest_mlrun.records.snapshot import Snapshot
    from pytest_mlrun.store.reader import Reader

_RECORDING = pytest.StashKey["Recording"]()
_ENDING = pytest.StashKey[Ending]()


class ExperimentSession:
    """Everything that one process knows about its experiments.

    Args:
        config: The pytest configuration.
        settings: The options in force.
        session_id: Shared by controller and workers.
        worker: Name of the xdist worker, if this is one.
    """

    def __init__(self, config: pytest.Config, settings: Settings, *, session_id: str, worker: str | None) -> None:
        self.settings = settings
        self.session_id = session_id
        self.finished: list[RunRecord] = []
        self.reported: list[RunRecord] = []
        self.recovered = 0
        self.worker_died = False
        self._rootpath = config.rootpath
        self._worker = worker
        self._recorder = Recorder(settings.store, session_id=session_id, argv=(config.invocation_params.args))
        self._item: pytest.Item | None = None
        self._over: list[pytest.Item | pytest.Collector] = []
        self._interruption: BaseException | None = None
        self._projects: dict[Path, Project] = {}
        self._snapshots: dict[tuple[Path, str], Snapshot] = {}

    # -- runs of tests ---------------------------------------------------------------------------------------------

    def begin(self, item: pytest.Item) -> None:
        """Begin the item's run, if it has one, and verify what it rests on."""
        self._item = item
        if not (is_experiment(item) or is_refused(item)):
            return
        item.stash[_ENDING] = Ending()
        with refusing():
            function = check_item(item)
            if "mlrun" in function.fixturenames:
                self._begin(item, plan_item(function, self.settings, self.project_of(item.path)))

    def _begin(self, node: pytest.Item | pytest.Collector, plan: RunPlan) -> Recording:
        node.stash[_RECORDING] = recording = self._recorder.begin(plan)
        recording.write_context({"worker": self._worker, "nodeid": node.nodeid})
        recording.verify_pillars()
        return recording

    def run_of(self, request: pytest.FixtureRequest) -> Run:
        """Return the run that the ``mlrun`` fixture hands out."""
        recording = request.node.stash.get(_RECORDING, None)
        if recording is None:
            self._refuse_late(request)
        # Asked for when it is used: most runs need no folder, and making one costs more than the rest of the fixture.
        return Run(recording, tmp_path=lambda: request.getfixturevalue("tmp_path"))

    @contextmanager
    def module_run(self, request: pytest.FixtureRequest) -> Iterator[Run]:
        """Record the run that the tests of a module share."""
        node = request.node
        if "mlrun_module" not in getattr(self._item, "fixturenames", ()):
            self._refuse_late(request)
        factory = request.getfixturevalue("tmp_path_factory")
        node.stash[_ENDING] = Ending(shared=True)
        try:
            with refusing():
                recording = self._begin(node, plan_module(node, self.settings, self.project_of(node.path)))
            yield Run(recording, tmp_path=lambda: factory.mktemp("mlrun_module", numbered=True))
            with refusing():
                self._judge_rest(node, recording)
        finally:
            # It finishes with the teardown that follows, in which fixtures that use the run may still fail.
            self._over.append(node)

    def _refuse_late(self, request: pytest.FixtureRequest) -> NoReturn:
        """Refuse a fixture that left no time to skip the test, or to begin its run."""
        if not self.settings.mlrun:
            pytest.skip(SKIPPED)
        with refusing():
            raise MarkerError(
                f"{request.node.name}: {request.fixturename} was asked for after the test had begun",
                where=request.node.nodeid,
                next_step=f"take {request.fixturename} as an argument, of the test or of a fixture it uses",
            )

    def _judge_rest(self, node: pytest.Collector, recording: Recording) -> None:
        from pytest_mlrun.run.gates import judge_marker

        # After a test that failed, a metric may be missing for its reason: one failure is enough.
        if not recording.closed and node.stash[_ENDING].outcome == "passed":
            recording.check_required()
            judge_marker(recording, read_marker_of(node))

    # -- phases ----------------------------------------------------------------------------------------------------

    @contextmanager
    def calling(self, item: pytest.Item) -> Iterator[None]:
        """Pin the generators around the body of a test, and judge its marker's gates when it returned."""
        recordings = self._recordings_of(item)
        if not recordings:
            with self._pinned_alone(item), trimmed():
                yield
            return
        with recordings[0].pinned(), trimmed():
            yield
        with refusing():
            self._judge(item, recordings[0])

    def _judge(self, item: pytest.Item, recording: Recording) -> None:
        from pytest_mlrun.run.gates import judge_marker

        if "mlrun" not in getattr(item, "fixturenames", ()):
            # Each gate of a shared run is judged once, after the first test that finds its metric logged.
            judge_marker(recording, read_marker_of(item.getparent(pytest.Module) or item), only_logged=True)
            return
        recording.check_required()
        judge_marker(recording, read_marker_of(item))

    @contextmanager
    def setting_up(self, fixturedef: pytest.FixtureDef[object], request: pytest.FixtureRequest) -> Iterator[None]:
        """Pin the generators around a fixture, so that its value depends on no test that ran before."""
        from pytest_mlrun.pillars.randomness import derive_seed, pin, pinned_imports, restore, save

        index = str(getattr(request, "param_index", 0))
        seed = derive_seed(self.seed_of(request.node), "fixture", fixturedef.argname, index)
        state = save()
        pin(seed)
        try:
            # numpy.random loads when it is first used: in the fixture, perhaps.
            with pinned_imports(seed), trimmed():
                yield
        finally:
            restore(state)

    def observe(self, item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
        """Take note of a phase's outcome; after the last one, finish the run."""
        for node in (*_nodes_of(item), *self._over):
            if _ENDING in node.stash:
                node.stash[_ENDING].observe(call, report)
        if call.when == "teardown":
            self._finish_reported(item, report)

    def _finish_reported(self, item: pytest.Item, report: pytest.TestReport) -> None:
        try:
            record = self._finish(item)
            self._finish_over()
        except MlrunError as failure:
            # The run could not be written to its end: the test must not look as if it had been recorded.
            report.outcome, report.longrepr = "failed", str(failure)
            return
        if record is not None and self.settings.junit:
            report.user_properties.extend(_properties(record))

    def _finish_over(self) -> None:
        """Finish the runs that nothing more can happen to."""
        while self._over:
            node = self._over.pop()
            if self._interruption is not None:
                node.stash[_ENDING].interrupt(self._interruption)
            self._finish(node)

    def _finish(self, node: pytest.Item | pytest.Collector) -> RunRecord | None:
        recording, ending = node.stash.get(_RECORDING, None), node.stash.get(_ENDING, None)
        if recording is None or ending is None or recording.closed:
            return None
        del node.stash[_RECORDING]
        record = recording.finish(ending.outcome, error=ending.error, text=ending.text, phase=ending.phase)
        self.finished.extend(recording.family())
        return record

    # -- pins alone ------------------------------------------------------------------------------------------------

    def seed_of(self, node: pytest.Item | pytest.Collector) -> int:
        """Return the seed that the generators of a test, or of a fixture's scope, start from."""
        with refusing():
            return seed_of(node, self.settings)

    def snapshots_of(self, item: pytest.Item) -> Mapping[str, Snapshot]:
        """Verify and return the snapshots that the item's marker names."""
        from pytest_mlrun.recorder.snapshots import find_snapshot

        with refusing():
            project = self.project_of(item.path)
            for name in read_marker_of(item).data or ():
                key = (project.root, name)
                if key not in self._snapshots:
                    # Without --mlrun nothing may be written, so there is no cache on disk to ask.
                    shared = self._recorder.shared if self.settings.mlrun else None
                    self._snapshots[key] = find_snapshot(project, name, shared=shared)
            return {name: self._snapshots[project.root, name] for name in read_marker_of(item).data or ()}

    def clean_commit_of(self, item: pytest.Item) -> str:
        """Return the commit of the item's git tree, which must have no uncommitted changes."""
        from pytest_mlrun.pillars.code import find_code, require_clean
        from pytest_mlrun.records.names import COMMITTED_FILES

        with refusing():
            state = find_code(self.project_of(item.path).root, own_files=(*COMMITTED_FILES, self.settings.store.name))
            require_clean(state)
            return str(state.commit)

    def stored(self) -> Reader:
        """Open the store for reading."""
        from pytest_mlrun.store.store import Store

        with refusing():
            return Store.open(self.settings.store).reader()

    def project_of(self, path: Path) -> Project:
        """Return what the nearest ``mlrun.toml`` says."""
        from pytest_mlrun.project import find_project

        folder = path if path.is_dir() else path.parent
        if folder not in self._projects:
            stop = self._rootpath if folder.is_relative_to(self._rootpath) else folder
            self._projects[folder] = find_project(folder, stop=stop)
        return self._projects[folder]

    @contextmanager
    def _pinned_alone(self, item: pytest.Item) -> Iterator[None]:
        from pytest_mlrun.pillars.randomness import pin, pinned_imports

        seed = self.seed_of(item)
        pin(seed)
        with pinned_imports(seed):
            yield

    # -- the end ---------------------------------------------------------------------------------------------------

    def take_finished(self) -> list[RunRecord]:
        """Return the runs that finished since the last call."""
        finished, self.finished = self.finished, []
        return finished

    def interrupt(self, error: BaseException) -> None:
        """Note what stopped the session: the runs under way did not come to their end."""
        self._interruption = error

    def close(self) -> None:
        """Finish what was interrupted and seal this process's log.

        Raises:
            StoreWriteError: If the store refuses; what was finished before is safe.
        """
        try:
            if self._item is not None and _RECORDING in self._item.stash:
                self._item.stash[_ENDING].interrupt(self._interruption or KeyboardInterrupt())
                self._over.append(self._item)
            self._finish_over()
        finally:
            self.finished.extend(self._recorder.close(interrupted=self._interruption))

    def recover(self) -> list[RunRecord]:
        """Seal the logs of processes that died; return the runs of this session that they left.

        Raises:
            StoreError: If the store cannot be read or written.
        """
        if not (self.reported or self.worker_died or self._recorder.used) or not self.settings.store.exists():
            return []
        from pytest_mlrun.store.shared import Shared
        from pytest_mlrun.store.store import Store

        recovered = Store.open(self.settings.store).recover()
        Shared(self.settings.store).forget(self.session_id)
        known = {run.run_id for run in self.reported}
        ours = [run for run in recovered if run.session_id == self.session_id]
        self.recovered = len(recovered) - len(ours)
        return [run for run in ours if run.run_id not in known]

    def write_summary(self, reporter: pytest.TerminalReporter, *, verbosity: int) -> None:
        """Write the table of this session's runs."""
        from pytest_mlrun.report.terminal import render_summary

        if not self.reported:
            return
        projects = self._known_projects()
        leaderboards = {name: board for project in projects for name, board in project.leaderboards.items()}
        goals = {name: metric.goal for project in projects for name, metric in project.metrics.items() if metric.goal}
        lines = render_summary(
            self.reported,
            verbosity=verbosity,
            width=shutil.get_terminal_size().columns,
            leaderboards=leaderboards,
            store_path=self.settings.store,
            recovered=self.recovered,
            goals=goals,
        )
        if lines:
            reporter.section("training runs")
        for text, markup in lines:
            reporter.write_line(text, **markup)

    def _known_projects(self) -> list[Project]:
        # Under xdist the controller collected nothing: the runs say which folders to look in.
        for run in self.reported:
            path = run.context.get("project")
            if path is not None:
                self.project_of(Path(json.loads(path)))
        return list(self._projects.values())

    def _recordings_of(self, item: pytest.Item) -> list[Recording]:
        found = [node.stash.get(_RECORDING, None) for node in _nodes_of(item)]
        return [recording for recording in found if recording is not None]


def _nodes_of(item: pytest.Item) -> list[pytest.Item | pytest.Collector]:
    """Return the nodes whose runs a test takes part in: its own, and its module's if it asks for that one."""
    module = item.getparent(pytest.Module)
    shares = module is not None and "mlrun_module" in getattr(item, "fixturenames", ())
    return [item, module] if shares and module is not None else [item]


def _properties(record: RunRecord) -> list[tuple[str, object]]:
    return [
        ("mlrun_id", record.run_id),
        ("mlrun_experiment", record.experiment),
        *((f"mlrun_param_{name}", text) for name, text in record.params.items()),
        *((f"mlrun_metric_{name}", value) for name, value in record.metrics.items()),
        *((f"mlrun_gate_{verdict.gate}_{verdict.metric}", verdict.decision) for verdict in record.gates),
    ]
