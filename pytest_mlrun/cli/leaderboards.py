"""Find the rule that says which run of an experiment is best."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from pytest_mlrun.cli.console import Console
from pytest_mlrun.records.project import Goals, Leaderboard, Project
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.report.standing import Standing, standing_of


def find_standing(experiment: str, runs: Sequence[RunRecord], console: Console) -> Standing | None:
    """Return how an experiment is ranked, or None where no ``mlrun.toml`` says it.

    Args:
        experiment: Its name.
        runs: Runs of it; the latest one says where it was recorded.
        console: Surroundings.
    """
    board = find_board(experiment, runs, console)
    return None if board is None else standing_of(board, find_goals(runs, console))


def find_board(experiment: str, runs: Sequence[RunRecord], console: Console) -> Leaderboard | None:
    """Return the leaderboard of an experiment, of the nearest ``mlrun.toml`` that has one.

    Args:
        experiment: Its name.
        runs: Runs of it.
        console: Surroundings.
    """
    boards = (project.leaderboards.get(experiment) for project in find_projects(runs, console))
    return next((board for board in boards if board is not None), None)


def find_goals(runs: Sequence[RunRecord], console: Console) -> Goals:
    """Return which metrics should be high and which low, as the projects of some runs declare it.

    Args:
        runs: The runs.
        console: Surroundings.
    """
    return Goals(*find_projects(runs, console))


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
