"""Define the options of ``pytest-mlrun audit``."""

from __future__ import annotations

import argparse


def add_audit_options(verb: argparse.ArgumentParser) -> None:
    """Add the options that only this verb has."""
    verb.add_argument("--alias", metavar="ALIAS", help="with --all: what holds this alias")
    verb.add_argument("--all", action="store_true", help="of every model")
    verb.add_argument("--note", metavar="TEXT", default="", help="why, for history")
    verb.add_argument("--no-event", action="store_true", help="leave the registry as it is")
    verb.add_argument("--report", metavar="DIR", help="write audit.json, audit.html and audit.xml (JUnit) there")
    verb.add_argument("--sign", metavar="KEY", help="SSH key that signs audit.json, for the namespace mlrun-audit")
    verb.add_argument(
        "--timeout",
        metavar="S",
        type=_seconds,
        default=3600,
        help="seconds that installing, then training, may take (3600)",
    )
    verb.add_argument("--cache", metavar="DIR", help="keep downloads there between audits; none are kept if not given")
    verb.add_argument("-v", "--verbose", action="store_true", help="add digests, people, and what was not checked")


def _seconds(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected whole seconds, found {text!r}")
    return number
