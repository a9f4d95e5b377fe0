"""Find what is audited, and keep what an audit found."""

from __future__ import annotations

import argparse
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pytest_mlrun.audit.case import Case, describe_subject
from pytest_mlrun.cli.console import Console
from pytest_mlrun.cli.refs import find_run
from pytest_mlrun.cli.registries import find_named_version, find_version, need_store, record_of
from pytest_mlrun.cli.source import open_reader
from pytest_mlrun.errors import ArtifactError, RegistryDamagedError, StoreDamagedError, StoreWriteError
from pytest_mlrun.records.audit import AuditRecord, encode_audit
from pytest_mlrun.records.event import ModelState, ModelVersion
from pytest_mlrun.report.table import clean_text

if TYPE_CHECKING:
    from pytest_mlrun.records.project import Project
    from pytest_mlrun.store.store import Store

AUDIT_NAMESPACE: Final = "mlrun-audit"


def find_case(ref: str, args: argparse.Namespace, console: Console) -> Case:
    """Return what a person wants audited; a record that is not what was written is a case too, for it is rejected.

    Args:
        ref: As typed: a run, a version or an alias.
        args: The command line.
        console: Surroundings.

    Raises:
        MlrunError: It names nothing, or the store that has the run is elsewhere.
    """
    from pytest_mlrun.project import find_project
    from pytest_mlrun.recorder.accounts import take_recorded
    from pytest_mlrun.recorder.reproducing import refuse_unfit
    from pytest_mlrun.registry.refs import parse_ref
    from pytest_mlrun.store.store import Store

    project = find_project(console.folder, stop=Path(console.folder.anchor))
    store = Store.open(need_store(ref, args, console))
    source = open_reader(args, console)
    registered: tuple[ModelState, ModelVersion] | None = None
    try:
        registered = find_named_version(ref, console)
        if registered is None and (named := parse_ref(ref)) is not None and _knows(project, named.model):
            registered = find_version(ref, project)
        record = record_of(registered[1], source) if registered is not None else find_run(ref, source, console)
    except (RegistryDamagedError, StoreDamagedError) as error:
        state, version = registered or (None, None)
        subject = describe_subject(ref, None, version, state)
        return Case(ref, project, store, subject, version=version, state=state, broken=error)
    if registered is None:
        refuse_unfit(take_recorded(record, source, where=str(store.path)))
    state, version = registered or (None, None)
    subject = describe_subject(ref, record, version, state)
    return Case(ref, project, store, subject, run=record, version=version, state=state)


def _knows(project: Project, model: str) -> bool:
    return (project.root / "mlrun-registry" / model).is_dir()


def keep_result(case: Case, record: AuditRecord, args: argparse.Namespace, console: Console) -> None:
    """Write the report that was asked for, and the event of a registered run.

    Args:
        case: What was audited.
        record: What was found.
        args: The command line.
        console: Surroundings.
    """
    from pytest_mlrun.pillars.facts import digest_of
    from pytest_mlrun.registry.auditing import add_audit
    from pytest_mlrun.registry.log import path_of

    content = encode_audit(record)
    if args.report:
        _write_report(record, content, args, console)
    if args.no_event or case.version is None or case.broken is not None:
        return
    _keep_in_store(case.store, content, console)
    event = add_audit(case.project.root, record, report=digest_of(content), who=record.auditor, note=args.note)
    path = path_of(case.project.root, event).relative_to(case.project.root)
    console.note(clean_text(f"commit it:  git add {path}"))


def _write_report(record: AuditRecord, content: bytes, args: argparse.Namespace, console: Console) -> None:
    """Write the report: for programs, for people, for a CI service, and signed if a key was named.

    Raises:
        ArtifactError: It cannot be written.
        SignatureError: The key does not sign.
    """
    from pytest_mlrun.pillars.facts import digest_of
    from pytest_mlrun.registry.signing import sign
    from pytest_mlrun.report.audit_junit import render_junit
    from pytest_mlrun.report.audit_page import render_page

    digest = digest_of(content)
    files = {
        "audit.json": content,
        "audit.html": render_page(record, digest=digest).encode("utf-8"),
        "audit.xml": render_junit(record, digest=digest).encode("utf-8"),
    }
    if args.sign:
        key = console.folder / Path(args.sign).expanduser()
        files["audit.json.sig"] = sign(content, key=key, namespace=AUDIT_NAMESPACE).encode("ascii")
    folder = console.folder / args.report
    if args.all:  # one of many has a folder of its own
        folder /= record.subject.model or record.subject.ref.partition("@")[0]
    # A signature of an earlier report would be one of nothing that lies beside it.
    with suppress(OSError):
        (folder / "audit.json.sig").unlink()
    for name, text in files.items():
        _write_file(folder / name, text)
    console.note(clean_text(f"report:     {os.path.relpath(folder / 'audit.html', console.folder)}"))


def _write_file(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError as error:
        raise ArtifactError(
            f"the report cannot be written: {os.strerror(error.errno or 0)}",
            where=str(path),
            next_step="name a folder that you may write: --report DIR",
        ) from error


def _keep_in_store(store: Store, content: bytes, console: Console) -> None:
    try:
        store.objects.put_bytes(content)
    except StoreWriteError as error:
        console.note(f"warning: the audit is not kept in the store: {error.headline}")
