"""Forward pytest's hooks to the experiment session, and define the fixtures."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from pytest_mlrun import distributed, hooks
from pytest_mlrun.errors import MlrunError
from pytest_mlrun.experiment import SKIPPED, check_function, is_experiment, is_refused, reads_store, uses_pins
from pytest_mlrun.options import Settings, add_options, read_settings
from pytest_mlrun.refusal import trimmed
from pytest_mlrun.troubles import Troubles

if TYPE_CHECKING:
    from pytest_mlrun.records.run import RunRecord
    from pytest_mlrun.records.snapshot import Snapshot
    from pytest_mlrun.run.run import Run
    from pytest_mlrun.session import ExperimentSession
    from pytest_mlrun.store.reader import Reader

_SETTINGS = pytest.StashKey[Settings]()
_SESSION_ID = pytest.StashKey[str]()
_SESSION = pytest.StashKey["ExperimentSession"]()
_HOOKS = "mlrun-experiments"

MARKER = (
    "mlrun(*, experiment, data, seed, tags, floors, ceilings, primary, must_detect, clean_tree, entropy, resources): "
    "a training experiment, recorded when pytest runs with --mlrun"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the option table."""
    add_options(parser)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare our hooks to those who implement them."""
    pluginmanager.add_hookspecs(hooks)


def pytest_configure(config: pytest.Config) -> None:
    """Read the options; nothing is opened or written before an experiment begins."""
    config.addinivalue_line("markers", MARKER)
    config.stash[_SETTINGS] = settings = read_settings(config)
    if settings.mlrun:
        _register_hooks(config)


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say under ``-v`` where runs go."""
    settings = config.stash[_SETTINGS]
    if config.get_verbosity() <= 0 or not settings.mlrun:
        return None
    return f"mlrun: store {settings.store}, seed {settings.seed}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Check the marker while the test is collected."""
    text = ""
    try:
        check_function(metafunc)
    except MlrunError as error:
        text = str(error)
    if text:
        pytest.fail(text, pytrace=False)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark experiments by themselves, and skip them unless they were asked for."""
    if is_refused(item):
        _register_hooks(item.config)
    elif is_experiment(item):
        if item.get_closest_marker("mlrun") is None:
            item.add_marker(pytest.mark.mlrun)
        if not item.config.stash[_SETTINGS].mlrun:
            item.add_marker(pytest.mark.skip(reason=SKIPPED))
    elif uses_pins(item) or reads_store(item):
        _register_hooks(item.config)


class ExperimentHooks:
    """The hooks of a process that runs experiments or pins; registered in no other."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self._experiments = False
        self._troubles = Troubles()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note whether any experiment was selected: without one, fixtures are left alone."""
        self._experiments = any(is_experiment(item) or uses_pins(item) or is_refused(item) for item in session.items)

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Begin the run, after skip marks were honoured and before any fixture is set up."""
        if self._experiments:
            _session(self.config).begin(item)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> Generator[None, object, object]:
        """Give each fixture its own start of the generators."""
        if not self._experiments:
            return (yield)
        with _session(self.config).setting_up(fixturedef, request):
            return (yield)

    # The innermost place: pytest-randomly reseeds in pytest_runtest_call, and would undo a pin made there or earlier.
    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> Generator[None, object, object]:
        """Pin the generators around the test's body, then judge the marker's gates."""
        pinned = is_experiment(pyfuncitem) or uses_pins(pyfuncitem)
        with _session(self.config).calling(pyfuncitem) if pinned else trimmed():
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Take note of the outcome; finish the run at teardown."""
        report = yield
        if self._experiments:
            # At teardown, not at call: subtests report "call" several times.
            _session(self.config).observe(item, call, report)
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
        distributed.send_session(node.workerinput, _session_id(self.config))

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Take what a worker could send with no report."""
        self._publish(distributed.detach_runs(getattr(node, "workeroutput", {})))
        for text in distributed.detach_troubles(getattr(node, "workeroutput", {})):
            self._troubles.note(text)
        if error:
            _session(self.config).worker_died = True

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Note what stopped the session, before its fixtures are torn down."""
        if _SESSION in self.config.stash:
            self.config.stash[_SESSION].interrupt(excinfo.value)

    # The innermost wrapper: after the fixtures of an interrupted test were torn down, which may still log; before
    # xdist sends what the worker has to say, and before the summary.
    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, object, object]:
        """Seal this process's log; where the summary is written, recover what died."""
        try:
            return (yield)
        finally:
            if _SESSION in self.config.stash:
                self._close(self.config.stash[_SESSION])
            if self._troubles and session.exitstatus in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _close(self, session: ExperimentSession) -> None:
        with self._troubles.noting():
            session.close()
        if distributed.is_worker(self.config):
            output = vars(self.config)["workeroutput"]
            distributed.attach_runs(output, session.take_finished())
            distributed.attach_troubles(output, self._troubles.lines())
            return
        self._publish(session.take_finished())
        with self._troubles.noting():
            self._publish(session.recover())

    def pytest_terminal_summary(self, terminalreporter: Any, config: pytest.Config) -> None:
        """Write the table of runs, and what went wrong outside the tests."""
        session = config.stash.get(_SESSION, None)
        if session is not None and not distributed.is_worker(config):
            with self._troubles.noting():
                session.write_summary(terminalreporter, verbosity=config.get_verbosity())
        if self._troubles:
            terminalreporter.section("training runs: errors", red=True)
            for text in self._troubles.lines():
                terminalreporter.write_line(text)

    def _publish(self, runs: list[RunRecord]) -> None:
        if not runs:
            return
        _session(self.config).reported.extend(runs)
        for run in runs:
            finished = partial(self.config.hook.pytest_mlrun_run_finished, config=self.config, run=run)
            self._troubles.announce(finished, name="pytest_mlrun_run_finished")


def _register_hooks(config: pytest.Config) -> None:
    # --setup-plan only shows what would be set up.
    if not config.pluginmanager.has_plugin(_HOOKS) and not config.getoption("setupplan", False):
        config.pluginmanager.register(ExperimentHooks(config), _HOOKS)


def _session_id(config: pytest.Config) -> str:
    if _SESSION_ID not in config.stash:
        config.stash[_SESSION_ID] = distributed.session_id_of(config)
    return config.stash[_SESSION_ID]


def _session(config: pytest.Config) -> ExperimentSession:
    """Return the process's session, made when the first experiment needs it."""
    if _SESSION not in config.stash:
        from pytest_mlrun.session import ExperimentSession

        config.stash[_SESSION] = ExperimentSession(
            config,
            config.stash[_SETTINGS],
            session_id=_session_id(config),
            worker=distributed.worker_name(config),
        )
    return config.stash[_SESSION]


@pytest.fixture
def mlrun(request: pytest.FixtureRequest) -> Run:
    """The run of this training experiment: log to it, read from it, assert on it.

    Example: ``mlrun.log_metric("val_auc", 0.93); mlrun.assert_floor("val_auc", 0.9)``
    """
    return _session(request.config).run_of(request)


@pytest.fixture(scope="module")
def mlrun_module(request: pytest.FixtureRequest) -> Iterator[Run]:
    """One run for all tests of a module: train once in a fixture, assert in many tests.

    Example: ``@pytest.fixture(scope="module") def model(mlrun_module): ...``
    """
    with _session(request.config).module_run(request) as run:
        yield run


@pytest.fixture
def mlrun_seed(request: pytest.FixtureRequest) -> int:
    """The configured seed, from which the global generators start in this test; records nothing.

    Example: ``model = RandomForestClassifier(random_state=mlrun_seed)``
    """
    return _session(request.config).seed_of(request.node)


@pytest.fixture
def mlrun_data(request: pytest.FixtureRequest) -> Mapping[str, Snapshot]:
    """The snapshots that the marker's ``data`` names, verified against ``mlrun.lock``; records nothing.

    Example: ``rows = read_csv(mlrun_data["churn"])``
    """
    return _session(request.config).snapshots_of(request.node)


@pytest.fixture
def mlrun_clean_tree(request: pytest.FixtureRequest) -> str:
    """The commit of a git tree without uncommitted changes; fails where there are any.

    Example: ``def test_release(mlrun_clean_tree): ...``
    """
    return _session(request.config).clean_commit_of(request.node)


@pytest.fixture(scope="session")
def mlrun_store(request: pytest.FixtureRequest) -> Reader:
    """The run store, read-only, as of earlier sessions.

    Example: ``best = mlrun_store.top("churn-2026q2", by="val_auc", goal="max", limit=1)[0]``
    """
    return _session(request.config).stored()
