"""Find the project that a verb is about."""

from __future__ import annotations

from pathlib import Path

from pytest_mlrun.cli.console import Console
from pytest_mlrun.errors import ConfigError
from pytest_mlrun.records.project import Project


def find_named_project(folder: str | None, console: Console, *, next_step: str) -> Project:
    """Return the project of a folder, or the nearest one.

    Args:
        folder: What ``--project`` says, if anything.
        console: Surroundings.
        next_step: What to write into an ``mlrun.toml`` where there is none.

    Raises:
        ConfigError: If there is no ``mlrun.toml``, or it cannot be understood.
    """
    from pytest_mlrun.project import find_project

    start = console.folder / folder if folder else console.folder
    project = find_project(start, stop=start if folder else Path(start.anchor))
    if project.config_file is None:
        found = "there" if folder else "here or in a folder above"
        raise ConfigError(f"no mlrun.toml {found}", where=str(start), next_step=next_step)
    return project
