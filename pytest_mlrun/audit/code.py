"""Check out the recorded commit into a scratch folder, and prove that its files are those of the commit."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pytest_mlrun.audit.case import Case
from pytest_mlrun.errors import CodeError, MlrunError
from pytest_mlrun.pillars.git import Repository, open_repository
from pytest_mlrun.records.audit import AuditedPillar
from pytest_mlrun.registry.commits import ref_name

_METHOD = "every object of the commit hashed again; files checked out into a scratch folder, without hooks"
_QUIET: Final = ("-c", "core.hooksPath=/dev/null", "-c", "advice.detachedHead=false", "-c", "gc.auto=0")
_CHUNK: Final = 200


@dataclass(frozen=True, slots=True)
class Tree:
    """The recorded code in a scratch folder.

    Attributes:
        root: Top of the repository.
        project: Folder of ``mlrun.toml``.
    """

    root: Path
    project: Path


def check_code(case: Case, scratch: Path) -> tuple[AuditedPillar, Tree | None]:
    """Check the code pillar; return the tree to train in, if there is one.

    Nothing is written into the user's repository, not even a worktree: the scratch folder has a repository of its own,
    which borrows the user's objects.

    Args:
        case: What is audited.
        scratch: Folder of the audit.
    """
    commit = case.text("code.commit")
    if not commit:
        found = "the run was recorded outside git" if case.text("code.vcs") == "none" else "the record names no commit"
        return _fail(found, "train it again in a git repository, from a commit"), None
    repository = open_repository(case.project.root)
    if isinstance(repository, str):
        return _fail(f"{repository}: the commit {commit[:10]} cannot be had", "run it in the checkout"), None
    pillar = _find_missing(case, repository, commit)
    return (pillar, None) if pillar is not None else _bring(case, repository, commit, scratch)


def _bring(case: Case, repository: Repository, commit: str, scratch: Path) -> tuple[AuditedPillar, Tree | None]:
    """Return the code of a commit that is there, in a scratch folder."""
    try:
        damaged = _find_damaged(repository, commit)
        if damaged:
            said = f"git object {damaged} of the commit is not what its name says"
            return _fail(said, "take the repository from a copy"), None
        tree = _check_out(repository, commit, scratch / "tree", case.project.root)
        findings = [*_apply_changes(case, tree), *_find_gaps(tree)]
    except CodeError as error:
        said = f"the commit {commit[:10]} cannot be checked out: {(*error.details, error.headline)[0]}"
        return _fail(said, "fetch all of it: git fetch --refetch"), None
    except MlrunError as error:  # the patch of a dirty tree, from the store
        return _fail(error.headline, error.next_step), None
    changed = ", and the uncommitted changes of the record" if case.fact("code.dirty") else ""
    return AuditedPillar(
        "code",
        "finding" if findings else "pass",
        f"commit {commit[:10]} is here, whole{changed}",
        method=_METHOD,
        evidence={"commit": commit, "tree": _ask(repository, "rev-parse", f"{commit}^{{tree}}")},
        findings=tuple(findings),
    ), tree


def _fail(said: str, cure: str) -> AuditedPillar:
    return AuditedPillar("code", "fail", said, method=_METHOD, findings=(said,), cure=cure)


def _find_missing(case: Case, repository: Repository, commit: str) -> AuditedPillar | None:
    try:
        repository.ask("cat-file", "-e", f"{commit}^{{commit}}")
    except CodeError:
        said = f"the commit {commit[:10]} is not in this repository"
        ref = ref_name(case.version.model, case.version.version) if case.version else "refs/mlrun/*"
        cure = f"fetch what keeps it: git fetch origin '{ref}:{ref}'"
        if _ask(repository, "rev-parse", "--is-shallow-repository") == "true":
            said += ", whose history is cut off"
            cure += ", or all: git fetch --unshallow"
        return _fail(said, cure)
    return None


def _find_damaged(repository: Repository, commit: str) -> str:
    """Return the first object of a commit whose content is not what its name says: git itself does not look."""
    listed = repository.ask("rev-list", "--objects", "--no-walk", commit).decode("utf-8", "surrogateescape")
    names = [line.partition(" ")[0] for line in listed.splitlines()]
    for at in range(0, len(names), _CHUNK):
        chunk = names[at : at + _CHUNK]
        answer = repository.ask("cat-file", "--batch", stdin="".join(f"{name}\n" for name in chunk).encode())
        for name, found in _hash_objects(answer, chunk, repository.hash_name):
            if name != found:
                return name
    return ""


def _hash_objects(answer: bytes, names: Sequence[str], hash_name: str) -> Iterator[tuple[str, str]]:
    at = 0
    for name in names:
        end = answer.index(b"\n", at)
        told = answer[at:end].split(b" ")
        if len(told) != 3:  # noqa: PLR2004 - name, kind, size; or "missing"
            yield name, ""
            return
        kind, size = told[1], int(told[2])
        content = answer[end + 1 : end + 1 + size]
        yield name, hashlib.new(hash_name, kind + b" %d\0" % size + content).hexdigest()
        at = end + 1 + size + 1


def _check_out(repository: Repository, commit: str, folder: Path, project: Path) -> Tree:
    folder.mkdir()
    fresh = Repository(folder, folder / ".git" / "index", folder / ".git" / "objects", repository.hash_name)
    fresh.ask(*_QUIET, "init", "-q", "--template=", f"--object-format={repository.hash_name}")
    borrowed = folder / ".git" / "objects" / "info"
    borrowed.mkdir(parents=True, exist_ok=True)
    (borrowed / "alternates").write_text(f"{repository.objects.resolve()}\n", encoding="utf-8")
    fresh.ask(*_QUIET, "checkout", "-q", "--detach", commit)
    inside = project.resolve().relative_to(repository.root.resolve())
    return Tree(folder, folder / inside)


def _apply_changes(case: Case, tree: Tree) -> Iterator[str]:
    """Apply the uncommitted changes of the record; yield what a reader must know of them."""
    if not case.fact("code.dirty") or case.run is None:
        return
    count = case.fact("code.changed")
    patches = [artifact for artifact in case.run.artifacts if artifact.role == "patch"]
    for artifact in patches[:1]:
        patch = case.store.objects.read(artifact.digest)
        repository = Repository(tree.root, tree.root / ".git" / "index", tree.root / ".git" / "objects", "sha1")
        repository.ask("apply", "--binary", "--whitespace=nowarn", "-", stdin=patch)
        yield f"it was trained on uncommitted changes in {_files(count)}: the recorded patch was applied"
    if not patches:
        yield f"it was trained on uncommitted changes in {_files(count)}, which no patch keeps"
    omitted = case.fact("code.patch_omitted")
    for entry in omitted if isinstance(omitted, list) else []:
        yield f"{entry['path']} is not in the recorded patch: {entry['reason']}"


def _find_gaps(tree: Tree) -> Iterator[str]:
    """Yield what a checkout does not bring: submodules, and files that a filter such as Git LFS keeps elsewhere."""
    repository = Repository(tree.root, tree.root / ".git" / "index", tree.root / ".git" / "objects", "sha1")
    listed = repository.ask("ls-files", "--stage", "-z").decode("utf-8", "surrogateescape").split("\0")
    for entry in listed:
        facts, _, path = entry.partition("\t")
        if facts.startswith("160000 "):
            yield f"submodule {path} is not checked out"
        elif path.rpartition("/")[2] == ".gitattributes" and _filters(tree.root / path):
            yield f"{path} names a filter: files may be pointers to content that git does not have"


def _filters(attributes: Path) -> bool:
    if attributes.is_symlink() or not attributes.is_file():
        return False
    return b"filter=" in attributes.read_bytes()


def _files(count: object) -> str:
    return "1 file" if count == 1 else f"{count} files"


def _ask(repository: Repository, *arguments: str) -> str:
    return repository.ask(*arguments).decode("utf-8", "replace").strip()
