"""Ask git, without a shell, a prompt, a pager or a write to the user's repository."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_mlrun.errors import CodeError

TIMEOUT_S = 60.0

# What is written goes into a temporary folder: no need to wait for the disk.
_SETTINGS = ("-c", "core.fsmonitor=false", "-c", "core.fsync=none")

_PASSED_ON = frozenset({"PATH", "HOME", "XDG_CONFIG_HOME", "TMPDIR", "GIT_CEILING_DIRECTORIES"})
_ALWAYS = {
    "LANG": "C",
    "LC_ALL": "C",
    # An index refreshed by "git status" would be a write to the user's repository.
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
}


@dataclass(frozen=True, slots=True)
class Repository:
    """A git repository with a work tree.

    Attributes:
        root: Top folder of the work tree.
        index: File of the index; absent where nothing was ever added.
        objects: Folder of the objects, shared by all work trees.
        hash_name: ``sha1`` or ``sha256``.
    """

    root: Path
    index: Path
    objects: Path
    hash_name: str

    def ask(self, *arguments: str, stdin: bytes = b"", variables: Mapping[str, str] | None = None) -> bytes:
        """Return what ``git <arguments>`` prints.

        Raises:
            CodeError: If git fails or does not answer in time.
        """
        done = _run(self.root, arguments, stdin=stdin, variables=variables or {})
        if done.returncode != 0:
            raise CodeError(
                f"git {arguments[0]} failed with status {done.returncode}",
                details=tuple(_message(done).splitlines()[:10]),
                where=str(self.root),
                next_step="run `git status` there and repair what it names",
            )
        return done.stdout

    def head(self) -> str | None:
        """Return the full id of the commit that is checked out, if there is one yet.

        Raises:
            CodeError: If git does not answer in time.
        """
        done = _run(self.root, ("rev-parse", "--verify", "--quiet", "HEAD"), stdin=b"", variables={})
        return done.stdout.decode().strip() or None


def open_repository(folder: Path) -> Repository | str:
    """Return the repository that the folder belongs to, or a sentence saying why there is none.

    Raises:
        CodeError: If git does not answer in time.
    """
    questions = ("--show-toplevel", "--git-path", "index", "--git-path", "objects", "--show-object-format")
    try:
        done = _run(folder, ("rev-parse", *questions), stdin=b"", variables={})
    except OSError:
        return "git is not installed"
    if done.returncode != 0:
        return _why_not(_message(done))
    answers = [os.fsdecode(line) for line in done.stdout.splitlines()]
    if len(answers) != 4:  # noqa: PLR2004 - one line for each of the four questions
        return "git names the work tree in a way that cannot be read"
    # A git older than the question about the object format prints the question, and knows sha1 only.
    hash_name = "sha256" if answers[3] == "sha256" else "sha1"
    return Repository(Path(answers[0]), folder / answers[1], folder / answers[2], hash_name)


def _run(
    folder: Path, arguments: tuple[str, ...], *, stdin: bytes, variables: Mapping[str, str]
) -> subprocess.CompletedProcess[bytes]:
    # GIT_CONFIG_… is how a CI image says safe.directory; GIT_DIR and its kin, set inside a git hook, would mislead.
    kept = {name: text for name, text in os.environ.items() if name in _PASSED_ON or name.startswith("GIT_CONFIG_")}
    environ = kept | _ALWAYS | dict(variables)
    command = ["git", *_SETTINGS, "-C", str(folder), *arguments]
    try:
        return subprocess.run(command, input=stdin, env=environ, capture_output=True, check=False, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise CodeError(
            f"git {arguments[0]} did not answer within {TIMEOUT_S:.0f} s",
            where=str(folder),
            next_step="run `git status` there; large untracked folders belong into .gitignore",
        ) from None


def _message(done: subprocess.CompletedProcess[bytes]) -> str:
    return done.stderr.decode("utf-8", "replace").strip()


def _why_not(message: str) -> str:
    if "dubious ownership" in message or "unsafe repository" in message:
        return "git refuses the repository: its folder belongs to another user"
    if "not a git repository" in message:
        return "not a git repository"
    if "must be run in a work tree" in message:
        return "the git repository has no work tree"
    return f"git says: {message.splitlines()[0] if message else 'nothing'}"
