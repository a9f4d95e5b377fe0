"""Forward the hooks of a process that runs experiments or pins; registered in no other."""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from pytest_mlrun import distributed
from pytest_mlrun.items import is_experiment, is_refused, selects_winner, uses_pins
from pytest_mlrun.options import SETTINGS
from pytest_mlrun.session.refusal import trimmed
from pytest_mlrun.session.troubles import Troubles

if TYPE_CHECKING:
    from pytest_mlrun.records.run import RunRecord
    from pytest_mlrun.session.session import ExperimentSession

_SESSION_ID = pytest.StashKey[str]()
_SESSION = pytest.StashKey["ExperimentSession"]()
_NAME = "mlrun-experiments"


def register(config: pytest.Config) -> None:
    """Register the hooks, once."""
    # --setup-plan only shows what would be set up.
    if not config.pluginmanager.has_plugin(_NAME) and not config.getoption("setupplan", False):
        config.pluginmanager.register(ExperimentHooks(config), _NAME)


def session_of(config: pytest.Config) -> ExperimentSession:
    """Return the process's session, made when the first experiment needs it."""
    if _SESSION not in config.stash:
        from pytest_mlrun.session.session import ExperimentSession

        config.stash[_SESSION] = ExperimentSession(
            config,
            config.stash[SETTINGS],
            session_id=_session_id(config),
            worker=distributed.worker_name(config),
            workers=distributed.worker_count(config),
            held=distributed.is_held(config),
        )
    return config.stash[_SESSION]


class ExperimentHooks:
    """Forward what happens to each test to the session of its process."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self._experiments = False
        self._troubles = Troubles()

    # The outermost wrapper: pytest's own --failed-first and --new-first reorder after all others.
    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, session: pytest.Session, items: list[pytest.Item]
    ) -> Generator[None, object, object]:
        """Count primary gates, keep the experiments of a branch, put the judges of a winner after its candidates."""
        settings = self.config.stash[SETTINGS]
        if settings.mlrun:
            self._count_primary_gates(items)
        result = yield
        if settings.branch_seed is not None:
            self._keep_branches(items, complete=not session.testsfailed)
        if settings.mlrun:
            items.sort(key=selects_winner)
        return result

    def _count_primary_gates(self, items: list[pytest.Item]) -> None:
        # Before anything is deselected: -k and -m must not make a gate easier to fail.
        from pytest_mlrun.session.primary_gates import PRIMARY_GATES, count_primary_gates

        self.config.stash[PRIMARY_GATES] = count_primary_gates(items)

    @property
    def _asked_by(self) -> str:
        return "--mlrun-from" if self.config.stash[SETTINGS].replay is None else "--mlrun-replay"

    def _keep_branches(self, items: list[pytest.Item], *, complete: bool) -> None:
        kept, left_out, refusal = session_of(self.config).keep_branches(items)
        if not complete:
            # What could not be collected is the mistake to correct first, and pytest says so.
            refusal = None
        if refusal is not None and not distributed.is_worker(self.config):
            raise pytest.UsageError(f"{self._asked_by}: {refusal}")
        if refusal is not None and distributed.is_first_worker(self.config):
            # A worker that raised would be replaced, again and again.
            self._troubles.note(f"{self._asked_by}: {refusal}")
        items[:] = kept
        if left_out:
            self.config.hook.pytest_deselected(items=left_out)

    # Before xdist tells the controller that this worker has collected.
    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note whether any experiment was selected: without one, fixtures are left alone."""
        self._experiments = any(is_experiment(item) or uses_pins(item) or is_refused(item) for item in session.items)
        last = [item.nodeid for item in session.items if selects_winner(item)]
        if last and distributed.is_held(self.config):
            with self._troubles.noting():
                session_of(self.config).selections.announce(last)

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Begin the run, after skip marks were honoured and before any fixture is set up."""
        if self._experiments:
            session_of(self.config).begin(item)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> Generator[None, object, object]:
        """Give each fixture its own start of the generators."""
        if not self._experiments:
            return (yield)
        with session_of(self.config).setting_up(fixturedef, request):
            return (yield)

    # The innermost place: pytest-randomly reseeds in pytest_runtest_call, and would undo a pin made there or earlier.
    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> Generator[None, object, object]:
        """Pin the generators around the test's body, then judge the marker's gates."""
        pinned = is_experiment(pyfuncitem) or uses_pins(pyfuncitem)
        with session_of(self.config).calling(pyfuncitem) if pinned else trimmed():
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Take note of the outcome; finish the run at teardown."""
        report = yield
        if self._experiments:
            # At teardown, not at call: subtests report "call" several times.
            session_of(self.config).observe(item, call, report)
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Send finished runs with the next report; take them off where the summary is written."""
        session = self.config.stash.get(_SESSION, None)
        if session is not None:
            distributed.attach_runs(report, session.take_finished())
        if not distributed.is_worker(self.config):
            self._publish(distributed.detach_runs(report))

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell an xdist worker which session it belongs to."""
        holds = distributed.shares_tests(self.config)
        distributed.send_session(node.workerinput, _session_id(self.config), holds=holds)

    @pytest.hookimpl(wrapper=True, optionalhook=True)
    def pytest_xdist_make_scheduler(self) -> Generator[None, Any, object]:
        """Let the tests that judge a winner be distributed after all others."""
        scheduler = yield
        if not distributed.shares_tests(self.config):
            return scheduler
        return session_of(self.config).selections.hold(scheduler, self._troubles)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Take what a worker could send with no report."""
        self._publish(distributed.detach_runs(getattr(node, "workeroutput", {})))
        for text in distributed.detach_troubles(getattr(node, "workeroutput", {})):
            self._troubles.note(text)
        if error:
            session_of(self.config).results.worker_died = True

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Note what stopped the session, before its fixtures are torn down."""
        if _SESSION in self.config.stash:
            self.config.stash[_SESSION].interrupt(excinfo.value)

    # The innermost wrapper: after the fixtures of an interrupted test were torn down, which may still log; before
    # xdist sends what the worker has to say, and before the summary.
    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, object, object]:
        """Seal this process's log; where the summary is written, recover what died and compact the store."""
        try:
            return (yield)
        finally:
            if _SESSION in self.config.stash:
                self._close(self.config.stash[_SESSION], passed=session.exitstatus == pytest.ExitCode.OK)
            self._rest_on_replay(session)
            if self._must_fail() and session.exitstatus in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _must_fail(self) -> bool:
        # Whoever rewrites baselines must look at them, and no automatic job may go on as if it had compared.
        known = self.config.stash.get(_SESSION, None)
        return bool(self._troubles) or (known is not None and bool(known.results.updated))

    def _rest_on_replay(self, session: pytest.Session) -> None:
        """Let the verdict of a replay decide: its gates, which may fail as they did, are told and do not."""
        replay = session_of(self.config).replay if _SESSION in self.config.stash else None
        if replay is None:
            return
        if replay.reproduction is not None and session.exitstatus == pytest.ExitCode.TESTS_FAILED:
            session.exitstatus = replay.reproduction.exit_code
        elif session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = replay.conclude().exit_code

    def _close(self, session: ExperimentSession, *, passed: bool) -> None:
        with self._troubles.noting():
            session.close()
        if distributed.is_worker(self.config):
            output = vars(self.config)["workeroutput"]
            distributed.attach_runs(output, session.take_finished())
            distributed.attach_troubles(output, self._troubles.lines())
            return
        self._publish(session.take_finished())
        with self._troubles.noting():
            self._publish(session.results.recover(used=session.used or session.selections.announced))
            session.results.register(passed=passed and not self._troubles)
        with self._troubles.noting():
            session.results.update_baselines()
            session.results.compact()

    def pytest_terminal_summary(self, terminalreporter: Any, config: pytest.Config) -> None:
        """Write the table of runs, and what went wrong outside the tests."""
        session = config.stash.get(_SESSION, None)
        if session is not None and not distributed.is_worker(config):
            with self._troubles.noting():
                session.results.write_summary(terminalreporter, verbosity=config.get_verbosity())
                session.results.write_replay(terminalreporter, session.replay, verbosity=config.get_verbosity())
        if self._troubles:
            terminalreporter.section("training runs: errors", red=True)
            for text in self._troubles.lines():
                terminalreporter.write_line(text)

    def _publish(self, runs: list[RunRecord]) -> None:
        if not runs:
            return
        session_of(self.config).results.add(runs)
        for run in runs:
            finished = partial(self.config.hook.pytest_mlrun_run_finished, config=self.config, run=run)
            self._troubles.announce(finished, name="pytest_mlrun_run_finished")
        self._alert(runs)

    def _alert(self, runs: list[RunRecord]) -> None:
        failed = self.config.hook.pytest_mlrun_gate_failed
        if not failed.get_hookimpls():
            return
        from pytest_mlrun.session.alerting import find_episodes

        with self._troubles.noting():
            for run, verdict, episode in find_episodes(runs, self.config.stash[SETTINGS].store):
                alert = partial(failed, config=self.config, run=run, verdict=verdict, episode=episode)
                self._troubles.announce(alert, name="pytest_mlrun_gate_failed")


def _session_id(config: pytest.Config) -> str:
    if _SESSION_ID not in config.stash:
        config.stash[_SESSION_ID] = distributed.session_id_of(config)
    return config.stash[_SESSION_ID]
