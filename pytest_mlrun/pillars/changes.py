"""List what differs between a work tree and its commit."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from pytest_mlrun.pillars.git import Repository

_STATUS = (
    *("status", "--porcelain=v2", "--branch", "-z"),
    *("--untracked-files=all", "--ignore-submodules=none", "--no-renames"),
)
# Fields before the path in a line of "git status --porcelain=v2", by the line's first character.
_FIELDS_BEFORE_PATH = {"1": 8, "u": 10}


@dataclass(frozen=True, slots=True)
class Change:
    """One path that differs from the commit.

    Attributes:
        path: Relative to the repository's root, ``/``-separated.
        tracked: Whether the commit or the index knows it.
        submodule: Whether it is a submodule, or a repository inside the repository.
    """

    path: str
    tracked: bool
    submodule: bool


@dataclass(frozen=True, slots=True)
class WorkTree:
    """What git says about a work tree.

    Attributes:
        commit: Full id, or nothing before the first commit.
        branch: Name, or nothing on a detached head.
        changes: Sorted by path.
        covers: Whether git tracks, or would track, anything in the folder asked about.
    """

    commit: str | None
    branch: str | None
    changes: tuple[Change, ...]
    covers: bool


def find_changes(repository: Repository, folder: Path) -> WorkTree:
    """Compare the whole work tree with its commit, whatever part of it ``folder`` is.

    Files hidden from ``git status`` by ``--assume-unchanged`` or ``--skip-worktree`` are compared too.

    Raises:
        CodeError: If git fails or does not answer in time.
    """
    listed = [line for line in repository.ask("ls-files", "-v", "-z").split(b"\0") if line]
    hidden = [line[2:] for line in listed if line[:1] != b"H" and _is_hidden(repository, line)]
    facts, changes = _parse_status(_ask_status(repository, hidden))
    prefix = _prefix(repository, folder)
    tracked = any(line[2:].startswith(prefix) for line in listed)
    covers = tracked or not prefix or any(os.fsencode(change.path).startswith(prefix) for change in changes)
    commit, branch = facts.get("branch.oid"), facts.get("branch.head")
    return WorkTree(
        commit=None if commit == "(initial)" else commit,
        branch=None if branch == "(detached)" else branch,
        changes=tuple(sorted(changes, key=lambda change: change.path)),
        covers=covers,
    )


def matches(path: str, patterns: tuple[str, ...]) -> bool:
    """Whether a path, ``/``-separated, is one of the patterns' files, at any depth.

    ``mlrun.lock`` is a file or folder of that name, ``mlrun-registry/`` a folder with all it holds.
    """
    parts = path.rstrip("/").split("/")
    return any(_matches_one(parts, pattern) for pattern in patterns)


def _matches_one(parts: list[str], pattern: str) -> bool:
    wanted = pattern.strip("/").split("/")
    # A folder pattern must leave a part over: the file inside the folder.
    last_start = len(parts) - len(wanted) - pattern.endswith("/")
    starts = range(last_start + 1)
    return any(
        all(fnmatchcase(part, glob) for part, glob in zip(parts[start:], wanted, strict=False)) for start in starts
    )


def _is_hidden(repository: Repository, line: bytes) -> bool:
    flagged = line[:1].islower() or line[:1] == b"S"
    return flagged and os.path.lexists(os.path.join(os.fsencode(repository.root), line[2:]))  # noqa: PTH118 - bytes


def _prefix(repository: Repository, folder: Path) -> bytes:
    relative = os.path.relpath(folder.resolve(), repository.root.resolve())
    return b"" if relative == "." else os.fsencode(relative) + b"/"


def _ask_status(repository: Repository, hidden: list[bytes]) -> bytes:
    if not hidden:
        return repository.ask(*_STATUS)
    with tempfile.TemporaryDirectory(prefix="pytest-mlrun-") as folder:
        index = Path(folder) / "index"
        shutil.copy2(repository.index, index)
        variables = {"GIT_INDEX_FILE": str(index)}
        for flag in ("--no-assume-unchanged", "--no-skip-worktree"):
            repository.ask("update-index", flag, "-z", "--stdin", stdin=b"\0".join(hidden), variables=variables)
        return repository.ask(*_STATUS, variables=variables)


def _parse_status(status: bytes) -> tuple[dict[str, str], list[Change]]:
    facts: dict[str, str] = {}
    changes: list[Change] = []
    for line in (os.fsdecode(line) for line in status.split(b"\0") if line):
        if line.startswith("# "):
            name, _, value = line[2:].partition(" ")
            facts[name] = value
        else:
            changes.extend(_parse_change(line))
    return facts, changes


def _parse_change(line: str) -> Iterator[Change]:
    kind = line[0]
    if kind == "?":
        path = line[2:]
        yield Change(path.rstrip("/"), tracked=False, submodule=path.endswith("/"))
    elif kind in _FIELDS_BEFORE_PATH:
        fields = line.split(" ", _FIELDS_BEFORE_PATH[kind])
        yield Change(fields[-1], tracked=True, submodule=fields[2].startswith("S"))
