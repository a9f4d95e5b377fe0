"""Keep the commits of model versions in git, and read from the branch that nobody changes alone."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from pytest_mlrun.errors import CodeError, RegistryError
from pytest_mlrun.pillars.git import Repository, open_repository

# What ssh and https need to reach a remote, beyond what git gets for local questions.
_REACHES_OUT = ("SSH_AUTH_SOCK", "GIT_SSH", "GIT_SSH_COMMAND", "GIT_ASKPASS", "HTTPS_PROXY", "https_proxy", "NO_PROXY")
_FORMAT = "%ae%n%(trailers:key=Co-authored-by,valueonly)"


def ref_name(model: str, version: int) -> str:
    """Return the git ref that keeps the commit of a version: branches are deleted after a squash merge."""
    return f"refs/mlrun/{model}-{version}"


def expect_repository(folder: Path, *, purpose: str) -> Repository:
    """Return the repository of a folder.

    Args:
        folder: Any folder in it.
        purpose: What it is needed for, to end a sentence.

    Raises:
        RegistryError: There is none.
    """
    opened = open_repository(folder)
    if isinstance(opened, str):
        raise RegistryError(f"{opened}: needed {purpose}", where=str(folder), next_step="run it in the checkout")
    return opened


def find_authors(repository: Repository, commit: str) -> tuple[str, ...]:
    """Return who wrote a commit: its author, then those whom it names as co-authors; mail addresses in lower case.

    Raises:
        RegistryError: The commit is not in this repository.
    """
    try:
        told = repository.ask("show", "-s", f"--format={_FORMAT}", f"{commit}^{{commit}}").decode("utf-8", "replace")
    except CodeError as error:
        raise RegistryError(
            f"the run's commit {commit[:10]} is not in this repository",
            details=error.details,
            where=str(repository.root),
            next_step="fetch it: git fetch origin " + commit,
        ) from error
    mails = (line.rpartition("<")[2].rstrip(">").strip().lower() for line in told.splitlines())
    return tuple(dict.fromkeys(mail for mail in mails if mail))


def keep_commit(repository: Repository, commit: str, *, model: str, version: int) -> str:
    """Point the ref of a version at its commit; return the ref.

    Where it points elsewhere, it was made for a version that lost a race for its number.

    Raises:
        CodeError: Git fails.
    """
    ref = ref_name(model, version)
    repository.ask("update-ref", "-m", f"pytest-mlrun: {model}/{version}", ref, commit)
    return ref


def check_kept_elsewhere(repository: Repository, commit: str, *, model: str, version: int) -> None:
    """Refuse a version whose commit only this machine keeps; make its ref here, if it is missing.

    Raises:
        RegistryError: No remote has its ref, or a remote cannot be asked.
    """
    ref = ref_name(model, version)
    if _read_ref(repository, ref) != commit and _has_commit(repository, commit):
        keep_commit(repository, commit, model=model, version=version)
    remotes = repository.ask("remote").decode("utf-8", "replace").split()
    if not remotes:
        raise RegistryError(
            f"the commit of {model}/{version} is kept on this machine only: there is no remote",
            where=f"{repository.root}, {ref}",
            next_step=f"git remote add origin URL && git push origin {ref}",
        )
    remote = "origin" if "origin" in remotes else remotes[0]
    variables = {name: os.environ[name] for name in _REACHES_OUT if name in os.environ}
    try:
        told = repository.ask("ls-remote", remote, ref, variables=variables).decode("utf-8", "replace")
    except CodeError as error:
        raise RegistryError(
            f"cannot ask {remote!r} whether it keeps the commit of {model}/{version}",
            details=error.details,
            where=f"{repository.root}, {ref}",
            next_step=f"make this work, then run the same command again: git ls-remote {remote}",
        ) from error
    there = told.partition("\t")[0]
    if there not in {"", commit}:
        raise RegistryError(
            f"{remote!r} keeps another commit than that of {model}/{version}: {there[:10]}",
            where=f"{repository.root}, {ref}",
            next_step=f"if that one lost a race for the number: git push --force {remote} {ref}",
        )
    if not there:
        raise RegistryError(
            f"the commit of {model}/{version} is kept on this machine only",
            where=f"{repository.root}, {ref}",
            next_step=f"git push {remote} {ref}",
        )


def read_protected(repository: Repository, branch: str, path: Path) -> bytes:
    """Return a file as the protected branch has it: as its remote has it, where that is known.

    Args:
        repository: The repository.
        branch: Name of the branch.
        path: The file in the work tree.

    Raises:
        RegistryError: There is no such branch, or the file is not on it.
    """
    revision = protected_revision(repository, branch)
    inside = _inside(repository, path)
    try:
        return repository.ask("show", f"{revision}:{inside}")
    except CodeError as error:
        raise RegistryError(
            f"{inside} is not on the protected branch {branch!r}",
            where=f"{repository.root}, {revision}",
            next_step="commit it there, by a reviewed change: it says who may approve",
        ) from error


def protected_history(repository: Repository, branch: str, path: Path) -> list[bytes]:
    """Return every content that a file had on the protected branch, the newest first."""
    revision, inside = protected_revision(repository, branch), _inside(repository, path)
    # What a branch held before it was merged was never in force: only the protected branch's own line counts.
    commits = repository.ask("log", "--first-parent", "--format=%H", revision, "--", inside).decode().split()
    contents = []
    for commit in commits:
        with suppress(CodeError):  # the file was removed there
            contents.append(repository.ask("show", f"{commit}:{inside}"))
    return contents


def protected_revision(repository: Repository, branch: str) -> str:
    """Return the full ref of the protected branch.

    Raises:
        RegistryError: There is no such branch.
    """
    for ref in (f"refs/remotes/origin/{branch}", f"refs/heads/{branch}"):
        if _read_ref(repository, ref):
            return ref
    raise RegistryError(
        f"there is no protected branch {branch!r} here",
        where=str(repository.root),
        next_step=f"fetch it: git fetch origin {branch}:refs/remotes/origin/{branch}",
    )


def _has_commit(repository: Repository, commit: str) -> bool:
    try:
        repository.ask("cat-file", "-e", f"{commit}^{{commit}}")
    except CodeError:
        return False
    return True


def _read_ref(repository: Repository, ref: str) -> str:
    return repository.ask("for-each-ref", "--format=%(objectname)", ref).decode().strip()


def _inside(repository: Repository, path: Path) -> str:
    try:
        return path.resolve().relative_to(repository.root.resolve()).as_posix()
    except ValueError:
        raise RegistryError(
            f"{path.name} is not in the repository", where=str(path), next_step="move it into the repository"
        ) from None
