"""Find the recorded data again, by its digest, and put it where the recorded code looks for it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from pytest_mlrun.audit.case import Case
from pytest_mlrun.audit.code import Tree
from pytest_mlrun.errors import DataError, MlrunError
from pytest_mlrun.pillars.snapshots.lockfile import read_lock, write_lock
from pytest_mlrun.pillars.snapshots.manifest import hash_source
from pytest_mlrun.pillars.snapshots.sources import is_uri
from pytest_mlrun.pillars.snapshots.verify import describe_changes
from pytest_mlrun.project import read_project
from pytest_mlrun.recorder.restoring import read_kept_listing, restore_kept
from pytest_mlrun.records.audit import AuditedPillar
from pytest_mlrun.records.project import Project
from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.records.snapshot import Manifest

_METHOD = "every byte hashed again and compared with the digests of the record"


@dataclass(slots=True)
class _Found:
    """What is known of the run's data so far."""

    case: Case
    tree: Tree | None
    scratch: Path
    evidence: dict[str, str] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    cures: list[str] = field(default_factory=list)


def check_data(case: Case, tree: Tree | None, scratch: Path) -> AuditedPillar:
    """Check the data pillar, and put the data into the tree.

    Args:
        case: What is audited.
        tree: The recorded code; None if it could not be had, where data is only looked at.
        scratch: Folder of the audit.
    """
    run = case.run
    names = sorted(_names(run)) if run is not None else []
    if run is None or not names:
        return AuditedPillar(
            "data",
            "finding",
            "the record names no data",
            method=_METHOD,
            findings=("the run names no data: what it read, other than the files of its commit, is not known",),
            cure="pin it: [data.<name>] in mlrun.toml, and data= in the marker",
        )
    found = _Found(case, tree, scratch)
    manifests: dict[str, Manifest] = {}
    for name in names:
        found.evidence[name] = case.text(f"data.{name}.digest")
        try:
            manifests[name] = read_kept_listing(run, name, partial(case.store.reader().read_artifact, run))
            _expect_digest(case, name, manifests[name])
            _provide(name, manifests[name], found)
        except MlrunError as error:
            found.failures += [f"data {name!r}: {error.headline}", *error.details]
            found.cures.append(error.next_step)
    if tree is not None and not found.failures:
        _hold_to_record(tree, manifests, found)
    return _describe(found, len(names))


def _describe(found: _Found, count: int) -> AuditedPillar:
    if found.failures:
        return AuditedPillar(
            "data",
            "fail",
            found.failures[0],
            method=_METHOD,
            evidence=found.evidence,
            findings=tuple(found.failures),
            cure=next((cure for cure in found.cures if cure), ""),
        )
    return AuditedPillar(
        "data",
        "finding" if found.findings else "pass",
        f"{count} snapshot{'' if count == 1 else 's'}, every byte as recorded",
        method=_METHOD,
        evidence=found.evidence,
        findings=tuple(found.findings),
        not_checked=("files that the test read without naming them as data",),
    )


def _names(run: RunRecord) -> Iterator[str]:
    for fact in run.context:
        if fact.startswith("data.") and fact.endswith(".digest") and run.context[fact] != "null":
            yield fact.removeprefix("data.").removesuffix(".digest")


def _expect_digest(case: Case, name: str, manifest: Manifest) -> None:
    recorded = case.text(f"data.{name}.digest")
    if manifest.digest != recorded:
        raise DataError(
            "its listing is another one than the record says",
            details=(f"expected {recorded}", f"found    {manifest.digest}"),
            next_step="see what is damaged: pytest-mlrun verify",
        )


def _provide(name: str, manifest: Manifest, found: _Found) -> None:
    """Find one snapshot: in the commit, else in the store, else where its path leads today.

    Raises:
        MlrunError: It is nowhere as it was.
    """
    case, tree = found.case, found.tree
    source = case.text(f"data.{name}.source")
    place = _place_in(tree, source)
    if place is not None and place.exists() and _is_as_recorded(place, manifest):
        return
    kept = case.text(f"data.{name}.kept") == "copy"
    if kept:
        restored = found.scratch / "data" / name
        restored.parent.mkdir(exist_ok=True)
        restore_kept(manifest, restored, case.store.objects, told=lambda _: None)
        content = restored if manifest.kind == "folder" else restored / manifest.files[0].path
        if place is not None:
            _put(content, place)
        elif tree is not None:
            found.findings.append(_expect_in_place(source, case.project, name, manifest))
        return
    _expect_today(case.project, source, name, manifest)
    found.findings.append(f"data {name!r} is not kept: it is still as recorded at {source}, by luck")
    if place is not None:
        _put((case.project.root / source).resolve(), place)


def _place_in(tree: Tree | None, source: str) -> Path | None:
    """Return where the recorded code looks for data, if that is inside its repository."""
    if tree is None or not source or is_uri(source):
        return None
    place = Path(tree.project, source)
    return place if not Path(source).is_absolute() and place.resolve().is_relative_to(tree.root) else None


def _is_as_recorded(place: Path, manifest: Manifest) -> bool:
    try:
        return hash_source(place).digest == manifest.digest
    except DataError:
        return False


def _put(content: Path, place: Path) -> None:
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    if content.is_dir():
        shutil.copytree(content, place)
    else:
        shutil.copyfile(content, place)


def _expect_in_place(source: str, project: Project, name: str, manifest: Manifest) -> str:
    """Return a finding on data that the code reads outside its repository, if it is there as recorded."""
    _expect_today(project, source, name, manifest)
    return f"data {name!r} is read where its path leads: {source}, outside the repository"


def _expect_today(project: Project, source: str, name: str, manifest: Manifest) -> None:
    """Hold data that nobody kept to its digest.

    Raises:
        DataError: It is not there, or not as it was.
    """
    cure = f'restore it there; for runs to come write keep = "copy" under [data.{name}] in mlrun.toml'
    place = project.root / source
    if not source or is_uri(source) or not place.exists():
        what = "is not kept" if source else "is not kept, and the record does not say where it was"
        raise DataError(f"it {what}, and not at {source or 'any place'}", next_step=cure)
    today = hash_source(place)
    if today.digest != manifest.digest:
        changes = tuple(describe_changes(manifest, today))
        raise DataError(
            f"it is not kept, and changed at {source}",
            details=(f"expected {manifest.digest}", f"found    {today.digest}", *changes),
            next_step=cure,
        )


def _hold_to_record(tree: Tree, manifests: dict[str, Manifest], found: _Found) -> None:
    """Make the tree's ``mlrun.lock`` say what the record says: it may have been changed without a commit."""
    lock = tree.project / "mlrun.lock"
    try:
        known = read_lock(lock)
        read_project(tree.project / "mlrun.toml")
    except MlrunError as error:
        found.failures.append(f"{error.headline} at the recorded commit")
        return
    changed = sorted(name for name, manifest in manifests.items() if known.get(name) != manifest)
    if changed:
        write_lock(lock, {**known, **manifests})
        found.findings.append(
            f"mlrun.lock of the commit says another digest for {', '.join(changed)}: the recorded one was put there"
        )
