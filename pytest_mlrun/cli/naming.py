"""Print the vocabulary of a project, for a person or for the team's README."""

from __future__ import annotations

import argparse

from pytest_mlrun.cli.console import Console
from pytest_mlrun.cli.projects import find_named_project
from pytest_mlrun.errors import ConfigError
from pytest_mlrun.records.project import Naming, Project
from pytest_mlrun.report.table import clean_text
from pytest_mlrun.report.vocabulary import describe_vocabulary, json_lines, render_markdown, render_text


def run(args: argparse.Namespace, console: Console) -> int:
    """Run ``pytest-mlrun naming``."""
    project = _find_vocabulary(args, console)
    if args.json:
        console.write_all(json_lines(project))
    elif args.markdown:
        console.write_all(render_markdown(describe_vocabulary(project)))
    else:
        console.write_all(map(clean_text, render_text(describe_vocabulary(project), width=console.width)))
    return 0


def _find_vocabulary(args: argparse.Namespace, console: Console) -> Project:
    cure = '[naming] refused = { lr = "learning_rate" }, or [metrics.val_roc_auc] goal = "max"'
    project = find_named_project(args.project, console, next_step=f"write one, such as {cure}")
    if project.naming == Naming() and not project.metrics:
        raise ConfigError(
            "mlrun.toml has no vocabulary", where=str(project.config_file), next_step=f"add one, such as {cure}"
        )
    return project
