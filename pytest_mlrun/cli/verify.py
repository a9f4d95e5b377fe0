"""Recompute every digest of the store, and check the registry."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

from pytest_mlrun.cli.console import Console
from pytest_mlrun.cli.progress import Progress
from pytest_mlrun.cli.source import DAMAGED, find_store
from pytest_mlrun.errors import StoreError
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.registry.checking import Checked, check_registry, has_registry
from pytest_mlrun.report.table import clean_text


class Finding(Protocol):
    """Something in the store that is not as it was written."""

    @property
    def kind(self) -> str:
        """What was looked at, such as ``segment``."""
        ...

    @property
    def path(self) -> str:
        """The file."""
        ...

    @property
    def run_ids(self) -> tuple[str, ...]:
        """Runs concerned, as far as they can be named."""
        ...

    @property
    def message(self) -> str:
        """A sentence."""
        ...


def run(args: argparse.Namespace, console: Console) -> int:
    """Run ``pytest-mlrun verify``."""
    from pytest_mlrun.project import find_project
    from pytest_mlrun.store.store import Store
    from pytest_mlrun.store.verify import verify_store

    project = find_project(console.folder, stop=Path(console.folder.anchor))
    registered = has_registry(project.root)
    try:
        # Nothing is recovered first: what is to be verified must not be rewritten before it was looked at.
        store = Store.open(find_store(args, console))
    except StoreError as error:
        if not registered:
            raise
        # A checkout has the registry, and the store only where somebody trained.
        console.note(f"only the registry is checked: {error.headline}")
        return write_registry(check_registry(project, find=lambda _: None), as_json=args.json, console=console)
    with Progress(console, "recomputing digests") as progress:
        names = {run.run_id: run.name for run in store.reader().runs()}
        progress.detail = f"{len(names)} runs"
        findings = list(verify_store(store))
    records = {run.run_id: run for run in store.reader().runs()} if registered else {}
    if args.json:
        console.write_all(_json_line(finding) for finding in findings)
    else:
        write_findings(findings, names, store=str(store.path), console=console)
    code = 0
    if registered:
        code = write_registry(check_registry(project, find=records.get), as_json=args.json, console=console)
    if args.recover:
        write_recovered(store.recover(other_boots=True), console)
    return DAMAGED if findings else code


def write_registry(checked: Checked, *, as_json: bool, console: Console) -> int:
    """Write what is broken in the registry, the first event first.

    Args:
        checked: What was found.
        as_json: Whether programs read it.
        console: Where to.

    Returns:
        The exit code: 3 if anything is broken, else 0.
    """
    if as_json:
        console.write_all(_json_line(finding) for finding in checked.findings)
        return DAMAGED if checked.findings else 0
    for finding in checked.findings:
        console.write(clean_text(f"damaged: {finding.message}"), {"red": True})
        console.write(clean_text(f"  where: {finding.path}"))
    if checked.findings:
        console.write("  next:  restore the file as it was committed: git log -- mlrun-registry")
        return DAMAGED
    counts = (
        _count(checked.models, "model"),
        _count(checked.events, "event"),
        _count(checked.signatures, "signature"),
    )
    console.write(f"the registry holds: {', '.join(counts)}", {"green": True})
    if checked.absent:
        console.note(f"{_count(len(checked.absent), 'registered run')} not in this store: not compared with its digest")
    return 0


def write_findings(findings: Iterable[Finding], names: Mapping[str, str], *, store: str, console: Console) -> None:
    """Write what is broken and the runs it touches, the first thing found first.

    Args:
        findings: As found.
        names: Run id to name.
        store: Path of the store.
        console: Where to.
    """
    found = list(findings)
    if not found:
        console.write(clean_text(f"every digest holds: {_count(len(names), 'run')} in {store}"), {"green": True})
        return
    for finding in found:
        console.write(clean_text(f"damaged: {finding.message}"), {"red": True})
        console.write(clean_text(f"  where: {finding.path}"))
        for run_id in finding.run_ids:
            console.write(clean_text(f"  run:   {run_id[-8:]}  {names.get(run_id, '')}".rstrip()))
    touched = {run_id for finding in found for run_id in finding.run_ids}
    console.write(f"{_count(len(found), 'finding')}, {_count(len(touched), 'run')} touched")
    console.write("  next:  restore the files above from a copy of the store; all other runs stay readable")


def write_recovered(runs: Iterable[RunRecord], console: Console) -> None:
    """Write which runs were sealed: beside the findings, which alone are what ``--json`` promises.

    Args:
        runs: Runs of processes that are gone.
        console: Where to.
    """
    recovered = list(runs)
    for run in recovered:
        console.note(f"recovered: {run.short_id}  {run.name}  {run.status}")
    console.note(f"{_count(len(recovered), 'run')} recovered")


def _json_line(finding: Finding) -> str:
    return json.dumps(
        {"kind": finding.kind, "path": finding.path, "run_ids": list(finding.run_ids), "message": finding.message}
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
