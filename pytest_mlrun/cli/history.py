"""Show what happened to a model: every registration, approval and promotion, with its note."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from pytest_mlrun.cli.console import Console
from pytest_mlrun.cli.registries import find_registry
from pytest_mlrun.registry.resolve import read_state
from pytest_mlrun.report.models import history_lines
from pytest_mlrun.report.plain import plain_json


def run(args: argparse.Namespace, console: Console) -> int:
    """Run ``pytest-mlrun history``."""
    state = read_state(find_registry(console).root, args.model)
    if args.json:
        for event in state.events:
            console.write(plain_json(asdict(event)))
        return 0
    console.write_all(history_lines(state, width=console.width))
    return 0
