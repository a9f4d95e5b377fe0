"""Run ``pytest-mlrun``: read the command line, hand it to a verb, turn errors into exit codes."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from pytest_mlrun.cli.console import Console, make_console
from pytest_mlrun.cli.parser import make_parser
from pytest_mlrun.errors import MlrunError

__all__ = ["main"]

_INTERRUPTED = 130
_PIPE_CLOSED = 141


def main(argv: Sequence[str] | None = None, *, console: Console | None = None) -> int:
    """Run the program.

    Args:
        argv: Arguments after the program's name; those of the process if None.
        console: Where to read from and write to; the process's streams if None.

    Returns:
        0 fine, 1 a finding, 2 usage, 3 store damaged, 4 inconclusive; 130 and 141 as a shell would say of an
        interrupted program and of one whose reader left.
    """
    try:
        args = make_parser().parse_args(argv)
    except SystemExit as stop:  # argparse has said why; --help and --version end here too
        return stop.code if isinstance(stop.code, int) else 2
    console = console or make_console()
    try:
        code = _run(args, console)
        console.out.flush()
    except MlrunError as error:
        console.write_error(error)
        return error.exit_code
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        _abandon_output()
        return _PIPE_CLOSED
    return code


def _run(args: argparse.Namespace, console: Console) -> int:
    # A verb is imported when it is asked for: --help must not wait for numpy and pyarrow.
    code: int = import_module(f"pytest_mlrun.cli.{args.module}").run(args, console)
    return code


def _abandon_output() -> None:
    # The interpreter flushes stdout once more when it exits, and would print a traceback about it.
    descriptor = os.open(os.devnull, os.O_WRONLY)
    os.dup2(descriptor, sys.stdout.fileno())
    os.close(descriptor)
