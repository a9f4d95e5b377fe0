"""Register a run as the next version of a model."""

from __future__ import annotations

import argparse

from pytest_mlrun.cli.console import Console
from pytest_mlrun.cli.refs import find_run
from pytest_mlrun.cli.registries import find_registry, finder
from pytest_mlrun.cli.source import open_source
from pytest_mlrun.errors import QueryError
from pytest_mlrun.registry.actor import find_actor
from pytest_mlrun.registry.refs import check_model_name
from pytest_mlrun.registry.registering import check_registrable, register
from pytest_mlrun.registry.signers import make_signer
from pytest_mlrun.report.models import version_object
from pytest_mlrun.report.plain import plain_json
from pytest_mlrun.report.table import clean_text


def run(args: argparse.Namespace, console: Console) -> int:
    """Run ``pytest-mlrun register``."""
    from pytest_mlrun.registry.resolve import read_state

    if not args.name:
        raise QueryError(
            "--name is needed: which model is it?", next_step=f"pytest-mlrun register {args.ref} --name churn"
        )
    project = find_registry(console)
    source = open_source(args, console)
    named = find_run(args.ref, source, console)
    check_model_name(args.name)
    check_registrable(named)  # before anybody is asked for a key
    done = register(
        project.root,
        named,
        args.name,
        who=find_actor(),
        note=args.note,
        find=finder(source, args.name),
        sign=make_signer(project, args.key),
    )
    version = done.version
    if args.json:
        console.write(plain_json(version_object(read_state(project.root, version.model), version)))
        return 0
    judged = f", judged by {version.judge_id[-8:]}" if version.judge_id else ""
    signed = f", signed by {version.principal}" if version.principal else ""
    console.write(clean_text(f"{version.ref}: run {version.run_id[-8:]}  {version.run_name}{judged}{signed}"))
    console.write(clean_text(f"  commit it:  git add {done.path.parent.parent.relative_to(project.root)}"))
    if done.ref:
        console.write(clean_text(f"  then push:  git push origin HEAD {done.ref}"))
    return 0
