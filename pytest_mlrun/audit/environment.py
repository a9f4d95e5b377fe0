"""Rebuild the recorded environment, and hold every installed file to what its wheel and the record said."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pytest_mlrun.audit.case import Case
from pytest_mlrun.audit.code import Tree
from pytest_mlrun.audit.installing import Installer, InstallError, Wanted, describe_wanted
from pytest_mlrun.audit.locks import Pins, read_pins
from pytest_mlrun.audit.own_copy import install_own_copy, own_version
from pytest_mlrun.audit.rehash import find_edited
from pytest_mlrun.errors import MlrunError
from pytest_mlrun.pillars.dependency_locks import find_dependency_locks
from pytest_mlrun.pillars.distributions import find_distributions
from pytest_mlrun.records.audit import AuditedPillar

_OWN: Final = "pytest-mlrun"
_METHOD: Final = "rebuilt with {installer} from {source}; every installed file hashed again"
_UNREACHED: Final = "audit again when the index can be reached"
_GONE: Final = "keep wheels of what is in production, and name them: UV_FIND_LINKS=wheels or PIP_FIND_LINKS=wheels"
_NAMED: Final = 8


@dataclass(slots=True)
class _Rebuilt:
    """What is known of the environment so far."""

    source: str = ""
    evidence: dict[str, str] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)


def read_environment(case: Case) -> dict[str, object] | None:
    """Return the environment that the record describes; None where it has none that can be read."""
    run = case.run
    names = [artifact.name for artifact in run.artifacts if artifact.role == "environment"] if run else []
    if run is None or not names:
        return None
    try:
        document = json.loads(case.store.reader().read_artifact(run, names[0]))
    except (MlrunError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def check_environment(case: Case, tree: Tree, installer: Installer) -> AuditedPillar:
    """Check the environment pillar: make the environment, and compare it with the record.

    Args:
        case: What is audited.
        tree: The recorded code.
        installer: Makes the environment.
    """
    document = read_environment(case)
    distributions = document.get("distributions") if document else None
    if not isinstance(distributions, list):
        said = "the record does not say which distributions were installed"
        return AuditedPillar("environment", "fail", said, findings=(said,), cure="see: pytest-mlrun verify")
    rebuilt = _Rebuilt()
    recorded = [entry for entry in distributions if isinstance(entry, dict)]
    try:
        _rebuild(case, tree, installer, recorded, rebuilt)
        edited = find_edited(installer.site)
    except (InstallError, OSError) as error:
        said = error.said if isinstance(error, InstallError) else f"the environment cannot be made: {error.strerror}"
        infrastructure = not isinstance(error, InstallError) or error.infrastructure
        cure = error.cure if isinstance(error, InstallError) else ""
        return _fail(said, rebuilt, installer, infrastructure=infrastructure, cure=cure)
    if edited:
        more = f" and {len(edited) - _NAMED} more" if len(edited) > _NAMED else ""
        said = f"installed files are not what their wheels said: {', '.join(edited[:_NAMED])}{more}"
        return _fail(said, rebuilt, installer)
    rebuilt.findings += [f"{name} was withdrawn by its index (yanked)" for name in dict.fromkeys(installer.yanked)]
    rebuilt.findings += _compare(recorded, find_distributions(tree.project, path=[str(installer.site)]))
    return AuditedPillar(
        "environment",
        "finding" if rebuilt.findings else "pass",
        f"{len(recorded)} distributions rebuilt with {installer.name} from {rebuilt.source}",
        method=_METHOD.format(installer=installer.name, source=rebuilt.source),
        evidence=rebuilt.evidence,
        findings=tuple(rebuilt.findings),
        not_checked=(
            "whether installed files were edited by hand when the run was trained",
            "libraries of the operating system, drivers and the kernel",
        ),
    )


def _fail(
    said: str, rebuilt: _Rebuilt, installer: Installer, *, infrastructure: bool = False, cure: str = ""
) -> AuditedPillar:
    known = _UNREACHED if infrastructure else _GONE
    return AuditedPillar(
        "environment",
        "fail",
        said,
        method=_METHOD.format(installer=installer.name, source=rebuilt.source or "the record"),
        evidence=rebuilt.evidence,
        findings=(said, *rebuilt.findings),
        cure=cure or known,
        infrastructure=infrastructure,
    )


def _rebuild(
    case: Case, tree: Tree, installer: Installer, recorded: Sequence[Mapping[str, object]], rebuilt: _Rebuilt
) -> None:
    pins = _find_pins(case, tree, rebuilt)
    installer.make()
    wanted: list[Wanted] = []
    folders: list[Path] = []
    for entry in recorded:
        url = entry.get("url")
        if entry["name"] == _OWN or not isinstance(url, str) or "://" in url:
            if entry["name"] != _OWN:
                wanted.append(describe_wanted(entry, pins))
            continue
        folder = (tree.project / url).resolve()
        if url.startswith(("/", "~")) or not folder.is_relative_to(tree.root) or not folder.exists():
            raise InstallError(f"{entry['name']} was installed from {url}, which is not in the repository")
        if not folder.is_dir():
            raise InstallError(f"{entry['name']} was installed from the file {url}: only folders are built again")
        folders.append(folder)
    unpinned = [one for one in wanted if not one.hashes]
    if unpinned:
        named = ", ".join(f"{one.name} {one.version}" for one in unpinned[:_NAMED])
        more = f" and {len(unpinned) - _NAMED} more" if len(unpinned) > _NAMED else ""
        rebuilt.findings.append(f"no lock file pins the bytes of {named}{more}: installed by version")
    installer.install(wanted, pins)
    for folder in folders:
        installer.install_folder(folder)
        rebuilt.evidence[f"built {folder.name}"] = case.text("code.commit")
    _install_plugin(installer, recorded, rebuilt)


def _find_pins(case: Case, tree: Tree, rebuilt: _Rebuilt) -> Pins:
    path, digest = case.text("env.lock"), case.text("env.lock_digest")
    rebuilt.source = "captured versions"
    if not path:
        rebuilt.findings.append("the record names no lock file")
        return Pins()
    lock = next((lock for lock in find_dependency_locks(tree.project) if lock.path == path), None)
    rebuilt.evidence[f"lock {path}"] = digest
    if lock is None or lock.digest != digest:
        found = "is not in the commit" if lock is None else "of the commit is another one than the run was trained with"
        rebuilt.findings.append(f"{path} {found}")
        return Pins()
    try:
        pins = read_pins(tree.project / path, lock.kind)
    except ValueError as error:
        rebuilt.findings.append(str(error))
        return Pins()
    if not pins.hashes:
        rebuilt.findings.append(f"{path} pins no bytes that are understood here")
        return Pins(options=pins.options)
    rebuilt.source = path
    return pins


def _install_plugin(installer: Installer, recorded: Sequence[Mapping[str, object]], rebuilt: _Rebuilt) -> None:
    """Install the plugin as recorded, else the auditor's copy of it."""
    entry = next((entry for entry in recorded if entry["name"] == _OWN), {})
    version, url = str(entry.get("version", "")), entry.get("url")
    if version and not url and installer.try_install(Wanted(_OWN, version, f"{_OWN}=={version}")):
        return
    install_own_copy(installer.site)
    origin = f"from {url}, " if url else ""
    rebuilt.findings.append(
        f"pytest-mlrun {version or 'of an unknown version'} was recorded {origin}and is in no index: "
        f"the auditor's own copy, {own_version()}, was used"
    )


def _compare(recorded: Sequence[Mapping[str, object]], rebuilt: Sequence[Mapping[str, object]]) -> list[str]:
    """Return in what the two environments differ; the plugin, which records and decides nothing, is left out."""
    before = {str(entry["name"]): entry for entry in recorded if entry["name"] != _OWN}
    after = {str(entry["name"]): entry for entry in rebuilt if entry["name"] != _OWN}
    findings = [
        f"{name} {before[name]['version']} was recorded and is missing" for name in before.keys() - after.keys()
    ]
    findings += [
        f"{name} {after[name]['version']} is there and was not recorded" for name in after.keys() - before.keys()
    ]
    for name in sorted(before.keys() & after.keys()):
        told, found = before[name], after[name]
        if told["version"] != found["version"]:
            findings.append(f"{name} {found['version']} in place of {told['version']}")
        elif told.get("record") and told.get("record") != found.get("record"):
            findings.append(f"{name} {told['version']} has other files than were recorded")
    return sorted(findings)
