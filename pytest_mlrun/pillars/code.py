"""Find which code a run was made with: the commit, what differs from it, or a hash of the sources."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pytest_mlrun.errors import CodeError
from pytest_mlrun.pillars.changes import find_changes, matches
from pytest_mlrun.pillars.facts import context_of, digest_of
from pytest_mlrun.pillars.git import Repository, open_repository
from pytest_mlrun.pillars.patch import Limits, Omission, build_patch
from pytest_mlrun.pillars.redaction import strip_credentials
from pytest_mlrun.pillars.source_tree import SourceTree, hash_source_tree

_NAMED_PATHS = 10
_NAMED_OMISSIONS = 100
_REMOTE_KEY = re.compile(r"^remote\.(.+)\.url$")


@dataclass(frozen=True, slots=True)
class CodeState:
    """The code pillar of a run.

    Attributes:
        vcs: ``git``, or ``none`` where no repository covers the folder.
        root: Top of the repository's work tree, or the folder asked about.
        commit: Full id; nothing before the first commit.
        branch: Nothing on a detached head.
        remote: URL without credentials.
        dirty: Whether files other than the plugin's own differ from the commit; nothing without git.
        changed: Those files, relative to the root, sorted.
        tree: ``sha256:<hex>`` over the source files, without git.
        patch: What ``git apply --binary`` turns the commit into this tree with.
        omitted: Changed files that the patch does not hold, and why.
        reason: Why there is no git.
        note: Which limit the source hash met.
    """

    vcs: Literal["git", "none"]
    root: Path
    commit: str | None = None
    branch: str | None = None
    remote: str | None = None
    dirty: bool | None = None
    changed: tuple[str, ...] = ()
    tree: str | None = None
    patch: bytes | None = None
    omitted: tuple[Omission, ...] = ()
    reason: str = ""
    note: str = ""

    def context(self) -> dict[str, str]:
        """Return the facts as context of a run."""
        facts: dict[str, object] = {
            "code.vcs": self.vcs,
            "code.commit": self.commit,
            "code.branch": self.branch,
            "code.remote": self.remote,
            "code.dirty": self.dirty,
            "code.changed": len(self.changed),
            "code.tree": self.tree,
            "code.patch": None if self.patch is None else digest_of(self.patch),
        }
        if self.reason:
            facts["code.reason"] = self.reason
        if self.note:
            facts["code.tree_note"] = self.note
        if self.omitted:
            facts["code.patch_omitted_count"] = len(self.omitted)
            facts["code.patch_omitted"] = [_describe(omission) for omission in self.omitted[:_NAMED_OMISSIONS]]
        return context_of(facts)


def find_code(root: Path, *, own_files: tuple[str, ...], limits: Limits | None = None) -> CodeState:
    """Find the state of the code that a folder belongs to, the whole repository counting.

    Args:
        root: Folder of the project; may lie deep in its repository.
        own_files: Files that never make a tree dirty, at any depth: ``mlrun.lock``, or ``mlrun-registry/`` with all
            that the folder holds.
        limits: How much a patch may hold.

    Raises:
        CodeError: If there is a repository and git fails or does not answer in time.
    """
    opened = open_repository(root)
    if isinstance(opened, str):
        return _without_git(root, hash_source_tree(root, own_files=own_files), opened)
    found = find_changes(opened, root)
    if not found.covers and any(root.iterdir()):
        reason = f"git ignores the folder in the repository {opened.root}"
        return _without_git(root, hash_source_tree(root, own_files=own_files), reason)
    changes = [change for change in found.changes if not matches(change.path, own_files)]
    patch = build_patch(opened, found.commit, changes, limits=limits) if changes else None
    return CodeState(
        vcs="git",
        root=opened.root,
        commit=found.commit,
        branch=found.branch,
        remote=_find_remote(opened, found.branch),
        dirty=bool(changes),
        changed=tuple(change.path for change in changes),
        patch=patch.content if patch and patch.content else None,
        omitted=patch.omitted if patch else (),
    )


def require_clean(state: CodeState) -> None:
    """Refuse code that its commit does not wholly describe.

    Raises:
        CodeError: If the tree is dirty, has no commit yet, or is not in a git repository.
    """
    where = str(state.root)
    otherwise = 'or say clean_tree = "record"'
    if state.vcs == "none":
        raise CodeError(
            "clean tree required, but there is no git repository",
            details=(state.reason,),
            where=where,
            next_step=f"{_cure(state)}, {otherwise}",
        )
    if state.dirty:
        count = len(state.changed)
        named = state.changed[:_NAMED_PATHS]
        more = (f"… and {count - _NAMED_PATHS} more",) if count > _NAMED_PATHS else ()
        raise CodeError(
            f"clean tree required, but {count} {'file' if count == 1 else 'files'} changed",
            details=named + more,
            where=where,
            next_step=f"commit or stash, {otherwise}",
        )
    if state.commit is None:
        raise CodeError(
            "clean tree required, but the repository has no commit yet",
            where=where,
            next_step=f"commit, {otherwise}",
        )


def _without_git(root: Path, tree: SourceTree, reason: str) -> CodeState:
    return CodeState("none", root, tree=tree.digest, reason=reason, note=tree.note)


def _cure(state: CodeState) -> str:
    if "another user" in state.reason:
        return f"git config --global --add safe.directory {state.root}"
    if "not installed" in state.reason:
        return "install git"
    if "ignores the folder" in state.reason:
        return "take it out of .gitignore and commit it"
    return "git init and commit"


def _find_remote(repository: Repository, branch: str | None) -> str | None:
    # The configuration always holds something, so git finds nothing to complain about.
    listing = repository.ask("config", "--list", "-z")
    settings = dict(line.partition("\n")[::2] for line in os.fsdecode(listing).split("\0"))
    urls = {found[1]: url for key, url in settings.items() if (found := _REMOTE_KEY.match(key))}
    preferred = settings.get(f"branch.{branch}.remote", "")
    for name in (preferred, "origin", *sorted(urls)):
        if name in urls:
            return strip_credentials(urls[name])
    return None


def _describe(omission: Omission) -> dict[str, object]:
    return {
        "path": omission.path,
        "reason": omission.reason,
        "size_bytes": omission.size_bytes,
        "sha256": omission.sha256,
    }
