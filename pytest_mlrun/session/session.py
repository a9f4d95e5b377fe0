"""Drive the runs of one pytest process: begin, pin, observe, finish."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

from pytest_mlrun.errors import MarkerError, MlrunError
from pytest_mlrun.items import SKIPPED, is_experiment, is_refused, selects_winner
from pytest_mlrun.recorder.recorder import Recorder
from pytest_mlrun.run.run import Run
from pytest_mlrun.session import replaying
from pytest_mlrun.session.branching import ORIGIN, check_data, keep_branches, refusal
from pytest_mlrun.session.ending import Ending
from pytest_mlrun.session.entropy import give_fixture_draws, noticed_fixture
from pytest_mlrun.session.experiment import check_item, plan_item, plan_module, read_marker_of
from pytest_mlrun.session.pins import Pins
from pytest_mlrun.session.primary_gates import PRIMARY_GATES
from pytest_mlrun.session.refusal import refusing, trimmed
from pytest_mlrun.session.replaying import REPLAY, Replay
from pytest_mlrun.session.results import SessionResults
from pytest_mlrun.session.selecting import choice_of, plan_selection
from pytest_mlrun.session.selections import Selections

if TYPE_CHECKING:
    from pytest_mlrun.options import Settings
    from pytest_mlrun.recorder.plan import RunPlan
    from pytest_mlrun.recorder.recording import Recording
    from pytest_mlrun.records.run import RunRecord
    from pytest_mlrun.rules.gate_policy import GatePolicy

_RECORDING = pytest.StashKey["Recording"]()
_ENDING = pytest.StashKey[Ending]()


class ExperimentSession:
    """The runs of one pytest process, from the start of each to its end.

    Args:
        config: The pytest configuration.
        settings: The options in force.
        session_id: Shared by controller and workers.
        worker: Name of the xdist worker, if this is one.
        workers: How many processes run tests beside each other.
        held: Whether a controller says when its tests that judge a winner may run.

    Attributes:
        pins: What tests rest on.
        selections: When the tests that judge a winner may run.
        results: What became of the runs, where the summary is written.
        replay: The run that the session makes again, if it does.
        finished: Runs that nobody took note of yet.
    """

    def __init__(
        self,
        config: pytest.Config,
        settings: Settings,
        *,
        session_id: str,
        worker: str | None,
        workers: int,
        held: bool,
    ) -> None:
        self._config = config
        self._settings = settings
        self._worker = worker
        self._workers = workers
        self._recorder = Recorder(settings.store, session_id=session_id, argv=(config.invocation_params.args))
        self.pins = Pins(settings, config.rootpath, self._recorder)
        self.selections = Selections(self._recorder, held=held)
        self._origin = config.stash.get(ORIGIN, None)
        self.replay = config.stash.get(REPLAY, None)
        self._left_out = 0
        self.results = SessionResults(settings, session_id=session_id, pins=self.pins)
        self.finished: list[RunRecord] = []
        self._item: pytest.Item | None = None
        self._over: list[pytest.Item | pytest.Collector] = []
        self._interruption: BaseException | None = None

    # -- runs of tests ---------------------------------------------------------------------------------------------

    def check_choice(self, definition: pytest.Function) -> None:
        """Check how a test's winner is chosen while it is collected: hours of training should not end in a typo.

        Raises:
            MarkerError: If neither the marker nor a leaderboard says how.
        """
        choice_of(definition, self._settings, self.pins.project_of(definition.path))

    def keep_branches(self, items: list[pytest.Item]) -> tuple[list[pytest.Item], list[pytest.Item], MlrunError | None]:
        """Divide items into those that belong to the branch or the replay of this session and those left out.

        Returns:
            Both, and the error if no experiment belongs to it.
        """
        if self.replay is not None:
            return self._keep_replayed(items, self.replay)
        if self._origin is None:
            return items, [], None
        try:
            kept, left_out = keep_branches(items, self._origin, self.pins.project_of)
            error = None if kept else refusal(items, self._origin, self.pins.project_of)
        except MlrunError as unreadable:
            return [], items, unreadable
        self._left_out = sum(is_experiment(item) for item in left_out)
        return kept, left_out, error

    def _keep_replayed(
        self, items: list[pytest.Item], replay: Replay
    ) -> tuple[list[pytest.Item], list[pytest.Item], MlrunError | None]:
        try:
            kept, left_out = replaying.keep_replayed(items, replay, self.pins.project_of)
            return kept, left_out, None if kept else replaying.refusal(items, replay, self.pins.project_of)
        except MlrunError as unreadable:
            return [], items, unreadable

    def begin(self, item: pytest.Item) -> None:
        """Begin the item's run, if it has one, and verify what it rests on."""
        self._item = item
        if not (is_experiment(item) or is_refused(item)):
            return
        if selects_winner(item):
            self.selections.skip_if_stopped()
        item.stash[_ENDING] = Ending()
        with refusing():
            function = check_item(item)
            if "mlrun" in function.fixturenames:
                plan = plan_item(function, self._settings, self.pins.project_of(item.path))
                self._begin(item, plan_selection(plan, item, self._settings))

    @cached_property
    def _threads(self) -> int | None:
        # When the first run begins, and not before: a session without experiments is left as it is.
        from pytest_mlrun.pillars.threads import share_cores

        return share_cores(self._workers)

    def _begin(self, node: pytest.Item | pytest.Collector, plan: RunPlan) -> Recording:
        threads = self._threads
        plan = replace(plan, policy=self._policy_of(plan))
        if self._origin is not None:
            plan = replace(plan, context={**plan.context, **self._origin.context(left_out=self._left_out)})
        if self.replay is not None:
            plan = self.replay.plan(plan)
        node.stash[_RECORDING] = recording = self._recorder.begin(plan)
        recording.write_context({"worker": self._worker, "threads": threads, "nodeid": node.nodeid})
        if self._origin is not None:
            check_data(self._origin, plan.project)
        if self.replay is not None:
            self.replay.provide(recording, self._recorder)
        recording.verify_pillars()
        if self.replay is not None and "selection.winner" in self.replay.run.context:
            self._recorder.give_winner(recording, self.replay.run)
        elif plan.selection is not None:
            self._recorder.select(recording, plan.selection)
        return recording

    def _policy_of(self, plan: RunPlan) -> GatePolicy:
        settings = self._settings
        m = settings.gates or self._config.stash.get(PRIMARY_GATES, 0)
        return replace(
            plan.policy,
            release=settings.release,
            strict=settings.inconclusive == "fail",
            m=max(m, 1),
            update=settings.update_baselines,
        )

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
                recording = self._begin(node, plan_module(node, self._settings, self.pins.project_of(node.path)))
            yield Run(recording, tmp_path=lambda: factory.mktemp("mlrun_module", numbered=True))
            with refusing():
                self._judge_rest(node, recording)
        finally:
            # It finishes with the teardown that follows, in which fixtures that use the run may still fail.
            self._over.append(node)

    def _refuse_late(self, request: pytest.FixtureRequest) -> NoReturn:
        """Refuse a fixture that left no time to skip the test, or to begin its run."""
        if not self._settings.mlrun:
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

    @property
    def used(self) -> bool:
        """Whether any run began here."""
        return self._recorder.used

    @contextmanager
    def calling(self, item: pytest.Item) -> Iterator[None]:
        """Pin the generators around the body of a test, and judge its marker's gates when it returned."""
        recordings = self._recordings_of(item)
        if not recordings:
            with self.pins.pinned(item), trimmed():
                yield
            return
        give_fixture_draws(item, recordings[0])
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
        seed = derive_seed(self.pins.seed_of(request.node), "fixture", fixturedef.argname, index)
        state = save()
        pin(seed)
        try:
            # numpy.random loads when it is first used: in the fixture, perhaps.
            with pinned_imports(seed), self._noticed(fixturedef.argname, request), trimmed():
                yield
        finally:
            restore(state)

    def _noticed(self, name: str, request: pytest.FixtureRequest) -> AbstractContextManager[None]:
        runs = self._item is not None and is_experiment(self._item) and self._settings.mlrun
        if not runs or self.pins.entropy_of(request.node) == "off":
            return nullcontext()
        return noticed_fixture(request.node, name)

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
            if self.replay is not None:
                report.user_properties.extend(self._judge_replay(self.replay))
        except MlrunError as failure:
            # The run could not be written to its end: the test must not look as if it had been recorded.
            report.outcome, report.longrepr = "failed", str(failure)
            return
        if record is not None and self._settings.junit:
            report.user_properties.extend(_properties(record))

    def _judge_replay(self, replay: Replay) -> list[tuple[str, object]]:
        replayed = [run for run in self.finished if run.is_replay and run.parent_id is None]
        if not replayed:
            return []
        project = self.pins.project_of(Path(json.loads(replayed[-1].context["project"])))
        return replaying.properties_of(replay.judge(replayed[-1], self._recorder, project))

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
            if self.replay is not None:
                self.replay.close()
            self.finished.extend(self._recorder.close(interrupted=self._interruption))

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
