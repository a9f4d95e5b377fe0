"""Sign a yes to a model version under an alias."""

from __future__ import annotations

import argparse
import re

from pytest_mlrun.cli.console import Console
from pytest_mlrun.cli.registries import find_registry, find_version, require_note
from pytest_mlrun.errors import QueryError
from pytest_mlrun.records.identity import now_us
from pytest_mlrun.registry.actor import find_actor
from pytest_mlrun.registry.approving import approve
from pytest_mlrun.registry.log import path_of
from pytest_mlrun.registry.promoting import policy_of
from pytest_mlrun.registry.refs import check_alias
from pytest_mlrun.report.models import show_day
from pytest_mlrun.report.table import clean_text
from pytest_mlrun.rules.policy import Policy
from pytest_mlrun.rules.suggest import did_you_mean

_DAY_US = 86_400_000_000


def run(args: argparse.Namespace, console: Console) -> int:
    """Run ``pytest-mlrun approve``."""
    alias = check_alias(args.alias)
    note = require_note(args.note, f"pytest-mlrun approve {args.ref} {alias}")
    project = find_registry(console)
    state, version = find_version(args.ref, project)
    role = _choose_role(args.role, policy_of(project, alias))
    expires_us = now_us() + _read_days(args.expires) * _DAY_US
    event = approve(
        project,
        state,
        version,
        alias=alias,
        role=role,
        key=args.key,
        expires_us=expires_us,
        who=find_actor(),
        note=note,
    )
    console.write(
        clean_text(
            f"{version.ref} approved for {alias} by {event.body['principal']} as {role}, until {show_day(expires_us)}"
        )
    )
    console.write(clean_text(f"  commit it:  git add {path_of(project.root, event).relative_to(project.root)}"))
    return 0


def _choose_role(given: str | None, policy: Policy) -> str:
    """Return the role to sign in.

    Raises:
        QueryError: If it does not count for the alias, or several do and none was named.
    """
    roles = policy.accepted_roles
    if given is None and len(roles) == 1:
        return roles[0]
    if given is None or given not in roles:
        found = f"--role {given}: it does not count for {policy.alias!r}{did_you_mean(given, roles)}" if given else ""
        raise QueryError(
            found or f"--role is needed: {policy.alias!r} takes several",
            next_step=f"one of: {', '.join(roles)}",
        )
    return given


def _read_days(text: str) -> int:
    found = re.fullmatch(r"([1-9]\d{0,3})d", text)
    if found is None:
        raise QueryError(f"--expires {text}: expected days", next_step="write it as --expires 90d")
    return int(found[1])
