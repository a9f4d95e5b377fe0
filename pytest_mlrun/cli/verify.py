"""Recompute every digest of the store or of exported files, and check the registry."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pytest_mlrun.cli.compact import write_put_aside
from pytest_mlrun.cli.console import Console
from pytest_mlrun.cli.progress import Progress
from pytest_mlrun.cli.source import DAMAGED, find_store
from pytest_mlrun.errors import QueryError, StoreDamagedError, StoreError
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.registry.checking import Checked, check_registry, has_registry
from pytest_mlrun.report.table import clean_text

if TYPE_CHECKING:
    from pytest_mlrun.store.store import Store


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
    from pytest_mlrun.store.verify import count_collected, verify_store

    if args.files:
        return verify_bundles(args, console)
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
        collected = count_collected(store)
    records = {run.run_id: run for run in store.reader().runs()} if registered else {}
    if args.json:
        console.write_all(_json_line(finding) for finding in findings)
    else:
        write_findings(findings, names, store=str(store.path), console=console)
        if collected:
            console.write(f"{_count(collected, 'artifact')} collected by gc, each with a tombstone")
        if not args.quarantine and any(_can_be_put_aside(finding) for finding in findings):
            console.write(
                "         or put damaged files aside, and keep what is intact: pytest-mlrun verify --quarantine"
            )
    code = 0
    if registered:
        code = write_registry(check_registry(project, find=records.get), as_json=args.json, console=console)
    _repair(args, store, names, console)
    return DAMAGED if findings else code


def _repair(args: argparse.Namespace, store: Store, names: Mapping[str, str], console: Console) -> None:
    if args.recover:
        write_recovered(store.recover(other_boots=True), console)
    if args.quarantine:
        put_aside = store.quarantine()
        write_put_aside(put_aside, console, names=names)
        if not put_aside:
            console.note("nothing to put aside: every segment and series file is whole")


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


def verify_bundles(args: argparse.Namespace, console: Console) -> int:
    """Verify exported files, without a store.

    Args:
        args: The command line.
        console: Surroundings.

    Returns:
        The exit code.

    Raises:
        QueryError: An option does not go with files.
        StoreError: A file cannot be read.
    """
    from pytest_mlrun.store.bundle import open_bundle

    if args.recover:
        raise QueryError("--recover is about a store, not about files", next_step="leave out one of them")
    code = 0
    for name in args.files:
        try:
            bundle = open_bundle(console.folder / name)
        except StoreDamagedError as error:
            code = DAMAGED
            if args.json:
                finding = {"kind": "bundle", "path": error.where, "run_ids": [], "message": error.headline}
                console.write(json.dumps(finding))
            else:
                console.write_error(error)
            continue
        if not args.json:
            held = f"{len(bundle.artifacts)} of {_count(len(bundle.row.artifacts), 'artifact')}"
            facts = f"{_count(len(bundle.row.series), 'series', plural='series')}, {held}"
            if bundle.companions:
                facts += f", {_count(len(bundle.companions), 'further run')}"
            text = f"every digest holds: {bundle.row.short_id}  {bundle.row.name}, {facts} in {name}"
            console.write(clean_text(text), {"green": True})
    return code


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
    if any(Path(finding.path).parent.parent.name == "damaged" for finding in found):
        console.write("         whole copies of files put aside belong in seg/ or pts/; then empty damaged/")
        console.write("         if a merge brought their runs since, merge that copy of the store instead")
    if any(finding.kind == "twice" for finding in found):
        console.write("         a run is twice where a file was put back after a merge had brought its runs:")
        console.write("         take that file away again, and merge the copy: pytest-mlrun merge COPY")


def _can_be_put_aside(finding: Finding) -> bool:
    path = Path(finding.path)
    return path.parent.name in {"seg", "pts"} and path.parent.parent.name != "damaged" and path.exists()


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


def _count(number: int, noun: str, *, plural: str = "") -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {plural or noun + 's'}"
