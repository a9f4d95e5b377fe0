"""Find the rule that says which run of an experiment is best."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from pytest_mlrun.cli.console import Console
from pytest_mlrun.records.project import Project
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.report.standing import Standing, standing_of


def find_standing(experiment: str, runs: Sequence[RunRecord], console: Console) -> Standing | None:
    """Return an experiment's leaderboard, or None where no ``mlrun.toml`` defines it.

    Args:
        experiment: Its name.
        runs: Runs of it; the latest one says where it was recorded.
        console: Surroundings.
    """
    for project in find_projects(runs, console):
        board = project.leaderboards.get(experiment)
        if board is not None:
            goals = {name: metric.goal for name, metric in project.metrics.items() if metric.goal is not None}
            return standing_of(board, goals)
    return None


def find_projects(runs: Sequence[RunRecord], console: Console) -> Iterator[Project]:
    """Yield the nearest ``mlrun.toml``, then the one of the latest run, if it is still there.

    Args:
        runs: Runs whose own project counts; they may have been recorded in another folder of the repository.
        console: Surroundings.

    Yields:
        Projects that have a configuration file.
    """
    from pytest_mlrun.project import find_project

    nearest = find_project(console.folder, stop=Path(console.folder.anchor))
    if nearest.config_file is not None:
        yield nearest
    latest = max(runs, key=lambda run: run.started_us, default=None)
    root = None if latest is None else latest.context.get("project")
    if root is not None:
        folder = Path(json.loads(root))
        if folder.is_dir() and folder != nearest.root:
            yield find_project(folder, stop=folder)
