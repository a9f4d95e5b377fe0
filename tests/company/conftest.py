"""Load every plugin that is installed, in a fixed order unless a test asks for another."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def in_order(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    if "pytester" in request.fixturenames:
        request.getfixturevalue("pytester").makeini("[pytest]\naddopts = -p no:randomly -p no:asyncio\n")


@pytest.fixture
def only_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Load our plugin alone: found by its entry point, all of the package is compiled anew for every session."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_PLUGINS", "pytest_mlrun.plugin")
