"""Run a replay in a process of its own: hash seed, threads and locale are read once, when an interpreter starts."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

import pytest

from pytest_mlrun import distributed
from pytest_mlrun.errors import MlrunError
from pytest_mlrun.options import read_settings

_ONLY_TOLD = ("help", "version", "collectonly", "showfixtures", "show_fixtures_per_test", "markers", "setupplan")


def run_fresh(config: pytest.Config) -> int | None:
    """Run the same command in a fresh process, under the recorded environment.

    Returns:
        Its exit code; None where this is that process, or nothing is going to run.

    Raises:
        pytest.UsageError: If the run that is named cannot be made again.
    """
    from pytest_mlrun.recorder.replay_environment import FRESH, replay_environment
    from pytest_mlrun.recorder.reproducing import environment_of
    from pytest_mlrun.session.replaying import find_replayed

    told = any(config.getoption(name, False) for name in _ONLY_TOLD)
    settings = read_settings(config)
    if os.environ.get(FRESH):
        _stay_alone(config)
    if told or os.environ.get(FRESH) or distributed.is_worker(config) or not settings.mlrun:
        return None
    recorded = find_replayed(config, settings)
    environ = replay_environment(
        recorded.run.context, environment_of(recorded), os.environ, handed_on=_handed_on(config)
    )
    # What the environment or a configuration file asked for is written out: the child has not our variables.
    asked = ["--mlrun", "--mlrun-replay", str(settings.replay), "--mlrun-store", str(settings.store)]
    return _run_pytest([*asked, *map(str, config.invocation_params.args)], environ)


def _stay_alone(config: pytest.Config) -> None:
    """Keep a replay in one process, whatever -n the project's configuration has."""
    # Not by "-n0" on the command line, which is an error where xdist is not loaded.
    if config.pluginmanager.hasplugin("xdist"):
        config.option.numprocesses, config.option.dist, config.option.tx = None, "no", []


def _run_pytest(arguments: Sequence[str], environ: dict[str, str]) -> int:
    """Run pytest in a process of its own, on this terminal."""
    command = [sys.executable, "-m", "pytest", *arguments]
    with subprocess.Popen(command, env=environ) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                # The terminal told the child too, which finishes its run and says so.
                continue


def _handed_on(config: pytest.Config) -> tuple[str, ...]:
    from pytest_mlrun.project import find_project

    folder = config.invocation_params.dir
    try:
        stop = config.rootpath if folder.is_relative_to(config.rootpath) else folder
        return find_project(folder, stop=stop).replay.environment
    except MlrunError as error:
        raise pytest.UsageError(f"--mlrun-replay: {error}") from None
