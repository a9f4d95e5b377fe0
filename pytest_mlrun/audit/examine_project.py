"""Say what audits of runs to come would lack on this machine and in this project."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from pytest_mlrun.audit.symptom import Symptom, examine_times, symptom
from pytest_mlrun.errors import MlrunError
from pytest_mlrun.pillars.dependency_locks import find_dependency_locks
from pytest_mlrun.pillars.git import Repository, open_repository
from pytest_mlrun.records.project import Project
from pytest_mlrun.registry.promoting import asks_for_nobody, policy_of
from pytest_mlrun.registry.signers import read_signers

_LOCK_IT: Final = "uv lock, or: uv pip compile --generate-hashes pyproject.toml -o requirements.txt, and commit it"


def examine_machine(project: Project, environ: Mapping[str, str]) -> Iterator[Symptom]:
    """Yield what this machine and this project lack for audits of runs to come.

    Args:
        project: The project.
        environ: Environment variables.
    """
    path = environ.get("PATH", "")
    keygen = shutil.which("ssh-keygen", path=path)
    yield symptom(
        "ssh-keygen",
        keygen,
        "signatures can be verified",
        "no signature can be verified or made",
        "install OpenSSH 8.9 or newer: apt-get install openssh-client",
    )
    uv = Path(sys.executable).with_name("uv").exists() or shutil.which("uv", path=path)
    yield symptom(
        "uv",
        uv,
        "environments are rebuilt in seconds",
        "environments are rebuilt by pip, in minutes" if find_spec("pip") else "and no pip: no environment is rebuilt",
        "pip install 'pytest-mlrun[audit]'",
    )
    opened = open_repository(project.root)
    there = isinstance(opened, Repository)
    yield symptom("git", there, "the code is in a repository", str(opened), "git init, and commit")
    lock = next(iter(find_dependency_locks(project.root)), None)
    yield symptom(
        "lock file",
        lock is not None and lock.hashed,
        f"{lock.path if lock else ''} pins the bytes of distributions",
        f"{lock.path} pins versions, not bytes" if lock else "none: distributions are installed by version",
        _LOCK_IT,
    )
    yield from _examine_data(project)
    yield from examine_times(project.times(project.metrics))
    yield from _examine_signers(project)


def _examine_data(project: Project) -> Iterator[Symptom]:
    for name, source in sorted(project.data.items()):
        yield symptom(
            f"data {name}",
            source.keep == "copy",
            "runs keep a copy",
            "runs keep only its digest: when it changes, nothing trained on it can be audited",
            f'write keep = "copy" under [data.{name}] in mlrun.toml',
        )


def _examine_signers(project: Project) -> Iterator[Symptom]:
    if not project.registry.signers:
        yield Symptom(
            "signers",
            lacks=True,
            said="mlrun.toml does not say who may sign: nobody's approval can be verified",
            cure='add: [registry] signers = "mlrun-signers"; see docs/registry.md',
        )
        return
    try:
        signers = read_signers(project)
    except MlrunError as error:
        yield Symptom("signers", lacks=True, said=error.headline, cure=error.next_step)
        return
    yield Symptom("signers", lacks=False, said=f"read from the protected branch, {signers.digest[:19]}…")
    for alias in sorted(project.aliases):
        asked = policy_of(project, alias).approvals
        yield symptom(
            f"alias {alias}",
            not asks_for_nobody(project, alias),
            "asks for approvals" if asked else "asks for no approval; what comes after it does",
            "asks for no approval",
            f"write approvals = 1 under [aliases.{alias}] in mlrun.toml",
        )
