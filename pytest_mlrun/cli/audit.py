"""Reproduce a run, or what holds an alias, from its record alone, and say what held."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator

from pytest_mlrun.cli.auditing import find_case, keep_result
from pytest_mlrun.cli.console import Console
from pytest_mlrun.cli.progress import Progress
from pytest_mlrun.cli.registries import find_registry
from pytest_mlrun.errors import MlrunError, QueryError, RegistryError
from pytest_mlrun.records.audit import AuditRecord, plain_audit
from pytest_mlrun.report.audit_lines import audit_lines, summary_lines
from pytest_mlrun.report.table import clean_text


def run(args: argparse.Namespace, console: Console) -> int:
    """Run ``pytest-mlrun audit``."""
    if args.sign and not args.report:
        raise QueryError("--sign is about a report, and none is asked for", next_step="add: --report DIR")
    refs = list(_find_refs(args, console))
    records = []
    for at, ref in enumerate(refs, start=1):
        if len(refs) > 1:
            console.note(f"{at} of {len(refs)}: {ref}")
        record = _audit(ref, args, console)
        records.append(record)
        if args.json:
            console.write(json.dumps(plain_audit(record), sort_keys=True))
        else:
            _write(record, args, console, alone=len(refs) == 1)
    if len(refs) > 1 and not args.json:
        console.write("")
        console.write_all(summary_lines(records, width=console.width))
    codes = {record.exit_code for record in records}
    return 1 if 1 in codes else max(codes, default=0)


def _find_refs(args: argparse.Namespace, console: Console) -> Iterator[str]:
    """Yield what is audited, one reference at a time.

    Raises:
        QueryError: The command line names nothing, or two things.
        RegistryError: No model has the alias.
    """
    if args.ref and not (args.alias or args.all):
        yield args.ref
        return
    if args.ref or not (args.alias and args.all):
        raise QueryError(
            "name what to audit: either a run or version, or an alias of all models",
            next_step="pytest-mlrun audit churn@production, or: pytest-mlrun audit --alias production --all",
        )
    from pytest_mlrun.registry.log import list_models
    from pytest_mlrun.registry.refs import check_alias
    from pytest_mlrun.registry.resolve import read_state

    alias = check_alias(args.alias)
    project = find_registry(console)
    found = False
    for model in list_models(project.root):
        try:
            holds = alias in read_state(project.root, model).aliases
        except MlrunError:
            holds = True  # a log that cannot be read is for the audit to reject
        if holds:
            found = True
            yield f"{model}@{alias}"
    if not found:
        raise RegistryError(
            f"no model has the alias {alias!r}", where=str(project.root), next_step="see: pytest-mlrun models"
        )


def _audit(ref: str, args: argparse.Namespace, console: Console) -> AuditRecord:
    from pytest_mlrun.audit.auditing import Settings, audit

    case = find_case(ref, args, console)
    settings = Settings(
        environ=console.environ,
        timeout_s=args.timeout,
        cache=(console.folder / args.cache).resolve() if args.cache else None,
    )
    with Progress(console, f"auditing {ref}") as progress:

        def tell(pillar: str) -> None:
            progress.detail = pillar

        record = audit(case, settings, tell=tell)
    keep_result(case, record, args, console)
    return record


def _write(record: AuditRecord, args: argparse.Namespace, console: Console, *, alone: bool) -> None:
    if not alone and not args.verbose:
        console.write(clean_text(f"{record.headline}  {record.subject.name}  {record.reason}"))
        return
    for line, markup in audit_lines(record, width=console.width, verbose=args.verbose):
        console.write(line, markup)
