"""Specify the hooks that a ``conftest.py`` or another plugin can implement."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_mlrun.records.run import RunRecord


@pytest.hookspec
def pytest_mlrun_run_finished(config: pytest.Config, run: RunRecord) -> None:
    """Called once for every run that ended, where the summary is written.

    Under pytest-xdist this is the controller, so an alert is sent once and by one process. Orphaned runs of the
    session, whose process was killed, are reported too, with ``run.status == "orphaned"``.

    Args:
        config: The pytest configuration.
        run: The finished row, exactly as the store keeps it.
    """
