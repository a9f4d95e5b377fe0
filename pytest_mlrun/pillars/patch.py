"""Write what differs from a commit as a patch that restores it byte for byte."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pytest_mlrun.pillars.changes import Change
from pytest_mlrun.pillars.git import Repository, open_repository
from pytest_mlrun.pillars.pack import identify_blob, write_pack
from pytest_mlrun.pillars.redaction import holds_secret, is_secret_file

_DIFF = (
    *("diff-index", "--cached", "--patch", "--binary", "--full-index", "--no-renames", "--no-color"),
    *("--no-ext-diff", "--no-textconv", "--src-prefix=a/", "--dst-prefix=b/"),
)
# Attributes under which the bytes of a file are not the bytes that git would restore.
_REWRITING_ATTRIBUTES = ("filter", "working-tree-encoding", "ident")


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a patch may hold.

    Attributes:
        size_bytes: Content of all changed files.
        files: Number of files.
        hashed_bytes: Content of omitted files that is still read for a digest.
    """

    size_bytes: int = 50 * 2**20
    files: int = 10_000
    hashed_bytes: int = 2**30


@dataclass(frozen=True, slots=True)
class Omission:
    """A changed path that the patch does not hold.

    Attributes:
        path: Relative to the repository's root.
        reason: Why, for a person.
        size_bytes: Size, of a file that exists.
        sha256: 64 hex digits; never of a file that holds secrets, whose content could be guessed.
    """

    path: str
    reason: str
    size_bytes: int | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Patch:
    """What differs from the commit.

    Attributes:
        content: For ``git apply --binary``; empty where everything was omitted.
        omitted: Sorted by path.
    """

    content: bytes
    omitted: tuple[Omission, ...]


@dataclass(slots=True)
class _Selection:
    """The entries that go into the patch, and the paths that do not."""

    limits: Limits
    hash_budget_bytes: int
    entries: list[bytes] = field(default_factory=list)
    blobs: dict[str, bytes] = field(default_factory=dict)
    omitted: list[Omission] = field(default_factory=list)
    size_bytes: int = 0


def build_patch(
    repository: Repository, commit: str | None, changes: Iterable[Change], *, limits: Limits | None = None
) -> Patch:
    """Return the changed and untracked files as a patch, writing nothing into the repository.

    Left out, and named instead: keys and passwords, submodules, files that a filter such as Git LFS rewrites,
    and the largest files beyond the limits.

    Args:
        repository: Whose work tree differs.
        commit: What it differs from; nothing before the first commit.
        changes: The paths to consider.
        limits: How much the patch may hold.

    Raises:
        CodeError: If git fails or does not answer in time.
    """
    bounds = limits or Limits()
    selection = _Selection(bounds, bounds.hashed_bytes)
    for change in _smallest_first(repository, list(changes), selection):
        _select(repository, change, selection)
    content = _diff(repository, commit, selection)
    return Patch(content, tuple(sorted(selection.omitted, key=lambda omission: omission.path)))


def _diff(repository: Repository, commit: str | None, selection: _Selection) -> bytes:
    with tempfile.TemporaryDirectory(prefix="pytest-mlrun-") as name:
        folder = Path(name)
        (folder / "objects").mkdir()
        variables = {
            "GIT_INDEX_FILE": str(folder / "index"),
            "GIT_OBJECT_DIRECTORY": str(folder / "objects"),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": _quote(repository.objects.resolve()),
        }
        if selection.blobs:
            pack = write_pack(selection.blobs.values(), repository.hash_name)
            repository.ask("index-pack", "--stdin", stdin=pack, variables=variables)
        repository.ask("read-tree", commit or "--empty", variables=variables)
        repository.ask("update-index", "-z", "--index-info", stdin=b"".join(selection.entries), variables=variables)
        empty_tree = hashlib.new(repository.hash_name, b"tree 0\0").hexdigest()
        return repository.ask(*_DIFF, commit or empty_tree, variables=variables)


def _smallest_first(repository: Repository, changes: list[Change], selection: _Selection) -> Iterator[Change]:
    rewritten = _rewritten(repository, changes)
    plain: list[tuple[int, str, Change]] = []
    for change in changes:
        reason = _refusal(repository, change, rewritten)
        if reason:
            selection.omitted.append(_omit(repository, change, reason, selection))
        else:
            plain.append((_size(repository.root / change.path) or 0, change.path, change))
    yield from (change for _, _, change in sorted(plain, key=lambda entry: entry[:2]))


def _refusal(repository: Repository, change: Change, rewritten: dict[str, str]) -> str:
    path = repository.root / change.path
    if change.submodule:
        return _describe_submodule(path)
    if is_secret_file(path.name):
        return "its name is that of a secret"
    if change.path in rewritten:
        return f"git rewrites its content ({rewritten[change.path]})"
    if _is_missing(repository, change.path):
        return ""
    return "" if path.is_symlink() or path.is_file() else "not a regular file"


def _select(repository: Repository, change: Change, selection: _Selection) -> None:
    path = repository.root / change.path
    if _is_missing(repository, change.path):
        if change.tracked:
            selection.entries.append(_entry(0, "0" * hashlib.new(repository.hash_name).digest_size * 2, change.path))
        return
    limits = selection.limits
    size_bytes = _size(path) or 0
    if len(selection.entries) >= limits.files or selection.size_bytes + size_bytes > limits.size_bytes:
        reason = f"beyond the limit of {limits.files} files and {limits.size_bytes} bytes"
        selection.omitted.append(_omit(repository, change, reason, selection))
        return
    try:
        mode, content = _read(path)
    except OSError as error:
        selection.omitted.append(Omission(change.path, f"it could not be read: {error.strerror}", size_bytes))
        return
    if holds_secret(content):
        selection.omitted.append(Omission(change.path, "it holds a key or token", len(content)))
        return
    object_id = identify_blob(content, repository.hash_name)
    selection.blobs[object_id] = content
    selection.entries.append(_entry(mode, object_id, change.path))
    selection.size_bytes += len(content)


def _read(path: Path) -> tuple[int, bytes]:
    if path.is_symlink():
        return 0o120000, os.fsencode(path.readlink())
    executable = path.stat().st_mode & stat.S_IXUSR
    return 0o100755 if executable else 0o100644, path.read_bytes()


def _is_missing(repository: Repository, path: str) -> bool:
    *folders, _ = Path(path).parts
    parent = repository.root
    for folder in folders:
        parent /= folder
        # A folder replaced by a link: the files behind the link are not the repository's.
        if parent.is_symlink():
            return True
    return not os.path.lexists(repository.root / path)


def _size(path: Path) -> int | None:
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def _omit(repository: Repository, change: Change, reason: str, selection: _Selection) -> Omission:
    path = repository.root / change.path
    size_bytes = _size(path)
    secret = is_secret_file(path.name)
    if secret or size_bytes is None or size_bytes > selection.hash_budget_bytes:
        return Omission(change.path, reason, size_bytes)
    selection.hash_budget_bytes -= size_bytes
    try:
        with path.open("rb") as stream:
            return Omission(change.path, reason, size_bytes, hashlib.file_digest(stream, "sha256").hexdigest())
    except OSError:
        return Omission(change.path, reason, size_bytes)


def _describe_submodule(path: Path) -> str:
    # In a folder without .git, git would answer for the repository around it.
    opened = open_repository(path) if (path / ".git").exists() else ""
    if isinstance(opened, str):
        return "a repository of its own"
    return f"a repository of its own, at commit {opened.head() or 'none'}"


def _rewritten(repository: Repository, changes: list[Change]) -> dict[str, str]:
    paths = b"\0".join(os.fsencode(change.path) for change in changes)
    fields = repository.ask("check-attr", "-z", "--stdin", *_REWRITING_ATTRIBUTES, stdin=paths).split(b"\0")
    found: dict[str, str] = {}
    for path, attribute, value in zip(fields[0::3], fields[1::3], fields[2::3], strict=False):
        if value not in {b"unspecified", b"unset"}:
            found[os.fsdecode(path)] = f"{attribute.decode()}={os.fsdecode(value)}"
    return found


def _entry(mode: int, object_id: str, path: str) -> bytes:
    return f"{mode:06o} {object_id}\t".encode() + os.fsencode(path) + b"\0"


def _quote(path: Path) -> str:
    text = str(path)
    if os.pathsep not in text and not text.startswith('"'):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
