"""Forward pytest's hooks to the experiment session, and define the fixtures.

Every start of pytest imports this module, used or not: what only experiments need is imported by those who need it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

from pytest_mlrun import hooks
from pytest_mlrun.items import (
    MARKER_NAME,
    SELECT_NAME,
    SKIP,
    carries,
    concerns_us,
    is_experiment,
    is_refused,
    only_skipped,
    takes_fixture,
)
from pytest_mlrun.options import SETTINGS, add_options, asks_for_replay, read_settings

if TYPE_CHECKING:
    from pytest_mlrun.records.snapshot import Snapshot
    from pytest_mlrun.run.run import Run
    from pytest_mlrun.session.session import ExperimentSession
    from pytest_mlrun.store.reader import Reader

MARKER = (
    "mlrun(*, experiment, data, seed, tags, floors, ceilings, primary, must_detect, clean_tree, entropy, resources): "
    "a training experiment, recorded when pytest runs with --mlrun"
)
SELECT_MARKER = (
    "mlrun_select(*, experiment, by, where, goal): judges the winner of an experiment, mlrun.winner, after its runs"
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
    config.addinivalue_line("markers", SELECT_MARKER)
    config.stash[SETTINGS] = settings = read_settings(config)
    if settings.selftest:
        from pytest_mlrun.session import self_test

        self_test.register(config)
        return
    if settings.from_run is not None:
        from pytest_mlrun.session.branching import begin_branch

        config.stash[SETTINGS] = begin_branch(config, settings)
    if settings.replay is not None:
        from pytest_mlrun.session.replaying import begin_replay

        config.stash[SETTINGS] = begin_replay(config, settings)
    if settings.mlrun:
        _register_hooks(config)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Start the process that makes a recorded run again."""
    if not asks_for_replay(config):
        return None
    from pytest_mlrun.session.fresh_process import run_fresh

    return run_fresh(config)


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say under ``-v`` where runs go."""
    settings = config.stash[SETTINGS]
    if config.get_verbosity() <= 0 or not settings.mlrun:
        return None
    seed = settings.seed if settings.branch_seed is None else settings.branch_seed[0]
    return f"mlrun: store {settings.store}, seed {seed}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Check the marker while the test is collected."""
    if concerns_us(metafunc):
        from pytest_mlrun.session.experiment import check_function
        from pytest_mlrun.session.refusal import refusing

        with refusing():
            check_function(metafunc)
            if carries(metafunc.definition, SELECT_NAME):
                from pytest_mlrun.session.selecting import check_selection

                check_selection(metafunc)
                if metafunc.config.stash[SETTINGS].mlrun:
                    _session(metafunc).check_choice(metafunc.definition)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark experiments by themselves, and skip them unless they were asked for."""
    if is_refused(item):
        _register_hooks(item.config)
    elif not takes_fixture(item):
        return
    elif is_experiment(item):
        if not carries(item, MARKER_NAME):
            item.add_marker(pytest.mark.mlrun)
        if not item.config.stash[SETTINGS].mlrun:
            item.add_marker(SKIP)
    else:
        _register_hooks(item.config)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say how to run what was skipped, where nothing else was selected."""
    if not config.stash[SETTINGS].mlrun and config.get_verbosity() >= 0 and only_skipped(terminalreporter.stats):
        terminalreporter.write_line("nothing was trained: run these experiments with pytest --mlrun", yellow=True)


def _register_hooks(config: pytest.Config) -> None:
    from pytest_mlrun.session.experiment_hooks import register

    register(config)


def _session(request: pytest.FixtureRequest | pytest.Metafunc) -> ExperimentSession:
    from pytest_mlrun.session.experiment_hooks import session_of

    return session_of(request.config)


@pytest.fixture
def mlrun(request: pytest.FixtureRequest) -> Run:
    """The run of this training experiment: log to it, read from it, assert on it.

    Example: ``mlrun.log_metric("val_auc", 0.93); mlrun.assert_floor("val_auc", 0.9)``
    """
    return _session(request).run_of(request)


@pytest.fixture(scope="module")
def mlrun_module(request: pytest.FixtureRequest) -> Iterator[Run]:
    """One run for all tests of a module: train once in a fixture, assert in many tests.

    Example: ``@pytest.fixture(scope="module") def model(mlrun_module): ...``
    """
    with _session(request).module_run(request) as run:
        yield run


@pytest.fixture
def mlrun_seed(request: pytest.FixtureRequest) -> int:
    """The configured seed, from which the global generators start in this test; records nothing.

    Example: ``model = RandomForestClassifier(random_state=mlrun_seed)``
    """
    return _session(request).pins.seed_of(request.node)


@pytest.fixture
def mlrun_data(request: pytest.FixtureRequest) -> Mapping[str, Snapshot]:
    """The snapshots that the marker's ``data`` names, verified against ``mlrun.lock``; records nothing.

    Example: ``rows = read_csv(mlrun_data["churn"])``
    """
    return _session(request).pins.snapshots_of(request.node)


@pytest.fixture
def mlrun_clean_tree(request: pytest.FixtureRequest) -> str:
    """The commit of a git tree without uncommitted changes; fails where there are any.

    Example: ``def test_release(mlrun_clean_tree): ...``
    """
    return _session(request).pins.clean_commit_of(request.node)


@pytest.fixture(scope="session")
def mlrun_store(request: pytest.FixtureRequest) -> Reader:
    """The run store, read-only, as of earlier sessions.

    Example: ``best = mlrun_store.top("churn-2026q2", by="val_auc", goal="max", limit=1)[0]``
    """
    return _session(request).pins.stored()
