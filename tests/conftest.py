"""Offer what several kinds of test share: a session in a folder of its own, and the runs that it left."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import hypothesis
import pytest

import pytest_mlrun

if find_spec("torch") is not None:
    # scikit-learn imports torch where it is installed, for the first model that skops writes. pytester then puts
    # sys.modules back, and a second import of torch would end the process.
    import_module("torch")

# A deadline fails a slow machine, not a wrong program.
hypothesis.settings.register_profile("steady", deadline=None)
hypothesis.settings.load_profile("steady")

Runs = Callable[[], list[pytest_mlrun.RunRecord]]


@pytest.fixture
def stored_runs(pytester: pytest.Pytester) -> Runs:
    """Read the runs of the store in the test's folder, oldest first."""

    def read() -> list[pytest_mlrun.RunRecord]:
        return pytest_mlrun.open_store(pytester.path / ".pytest_mlrun").runs()

    return read


@pytest.fixture
def git(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Run git in the test's folder, which becomes a repository, with nobody's own settings."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("HOME", str(pytester.path.parent))

    def run(*arguments: str, folder: Path = pytester.path) -> str:
        identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
        done = subprocess.run(
            ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True, timeout=60
        )
        return done.stdout.strip()

    run("init", "-q", "-b", "main")
    return run
