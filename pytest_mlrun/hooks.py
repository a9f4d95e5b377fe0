"""Specify the hooks that a ``conftest.py`` or another plugin can implement."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_mlrun.records.episode import Episode
    from pytest_mlrun.records.run import RunRecord
    from pytest_mlrun.records.verdict import Verdict


@pytest.hookspec
def pytest_mlrun_run_finished(config: pytest.Config, run: RunRecord) -> None:
    """Called once for every run that ended, where the summary is written.

    Under pytest-xdist this is the controller, so an alert is sent once and by one process. Orphaned runs of the
    session, whose process was killed, are reported too, with ``run.status == "orphaned"``.

    Args:
        config: The pytest configuration.
        run: The finished row, exactly as the store keeps it.
    """


@pytest.hookspec
def pytest_mlrun_gate_failed(config: pytest.Config, run: RunRecord, verdict: Verdict, episode: Episode) -> None:
    """Called once when a gate begins to fail, where the summary is written: one alert an episode, not one a night.

    A gate that failed when it was judged before, in any session that the store knows, for the same model on the same
    rows, is not told again. Under pytest-xdist this is the controller.

    Args:
        config: The pytest configuration.
        run: The finished row.
        verdict: What the gate found.
        episode: What it fails for; its key is the same in every session.
    """
