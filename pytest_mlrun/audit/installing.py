"""Make an environment of exactly the recorded distributions, from archives whose bytes the lock file pins."""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from pytest_mlrun.audit.interpreter import Interpreter
from pytest_mlrun.audit.locks import Pins, normalize
from pytest_mlrun.audit.processes import Ended, index_variables, run_child

_YANKED: Final = re.compile(r"[`']?([A-Za-z0-9][\w.-]*==[\w.+!-]+)[`']? is yanked")
_YANKED_BY_PIP: Final = re.compile(r"yanked version: '([\w.-]+)' candidate \(version (\S+) at")
_NETWORK: Final = re.compile(
    r"(could not connect|connection (refused|reset|error|aborted)|dns error|name resolution|timed out|"
    r"network (is )?unreachable|temporary failure|error sending request|max retries exceeded|no space left)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A distribution of the record.

    Attributes:
        name: Its name.
        version: Its version.
        requirement: What an installer is asked for.
        hashes: Digests that its archive may have; none if nothing pins them.
    """

    name: str
    version: str
    requirement: str
    hashes: frozenset[str] = frozenset()


class InstallError(Exception):
    """An environment cannot be made.

    Attributes:
        said: Why, a sentence.
        infrastructure: Whether that says nothing of the record: no network.
        cure: What to do about it, where that is known.
    """

    def __init__(self, said: str, *, infrastructure: bool = False, cure: str = "") -> None:
        super().__init__(said)
        self.said = said
        self.infrastructure = infrastructure
        self.cure = cure


@dataclass(slots=True)
class Installer:
    """Makes one environment, with ``uv`` where it is there, else with pip.

    Attributes:
        folder: Where the environment shall be.
        interpreter: What it is for.
        scratch: Folder of the audit.
        log: File for what the programs say.
        environ: The auditor's environment variables.
        cache: Folder to keep downloads in; None to keep none.
        deadline: When it must be done, as ``time.monotonic`` says.
        yanked: Distributions that their index has withdrawn.
    """

    folder: Path
    interpreter: Interpreter
    scratch: Path
    log: Path
    environ: Mapping[str, str]
    cache: Path | None
    deadline: float
    yanked: list[str] = field(default_factory=list)

    @property
    def uv(self) -> str | None:
        """The program ``uv``: beside this interpreter, as the extra installs it, or on PATH."""
        beside = Path(sys.executable).with_name("uv")
        return str(beside) if os.access(beside, os.X_OK) else shutil.which("uv", path=self.environ.get("PATH"))

    @property
    def name(self) -> str:
        """Which program it is."""
        return "uv" if self.uv else "pip"

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        return self.folder / "bin" / "python"

    @property
    def site(self) -> Path:
        """The environment's ``site-packages``."""
        return next(iter(sorted((self.folder / "lib").glob("python*/site-packages"))), self.folder / "lib")

    def make(self) -> None:
        """Make the environment, empty.

        Raises:
            InstallError: It cannot be made.
        """
        python = str(self.interpreter.path)
        if self.uv:
            command = [self.uv, "venv", "-q", "--no-config", "--no-project", "--python", python, str(self.folder)]
        else:
            command = [python, "-I", "-m", "venv", "--without-pip", str(self.folder)]
        done = self._run(command)
        if not done.good:
            raise InstallError(f"no environment can be made with {python}: {_last_line(done.output)}")

    def install(self, wanted: Sequence[Wanted], pins: Pins) -> None:
        """Install distributions, nothing that they depend on: those that the lock pins by their bytes first.

        Raises:
            InstallError: One of them cannot be had as it was.
        """
        for pinned in (True, False):
            chosen = [one for one in wanted if bool(one.hashes) is pinned]
            if not chosen:
                continue
            requirements = self.scratch / f"requirements-{'pinned' if pinned else 'named'}.txt"
            lines = [one.requirement + "".join(f" --hash={digest}" for digest in sorted(one.hashes)) for one in chosen]
            requirements.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            more = ["--require-hashes"] if pinned else []
            self._install([*more, *pins.options, "-r", str(requirements)], chosen)

    def install_folder(self, folder: Path) -> None:
        """Install a project of the recorded code, so that its own files are what is imported.

        Raises:
            InstallError: It cannot be built.
        """
        self._install(["-e", str(folder)], [Wanted(folder.name, "", folder.name)])

    def try_install(self, wanted: Wanted) -> bool:
        """Install a distribution if an index has it; say whether it does."""
        try:
            self._install([wanted.requirement], [wanted])
        except InstallError as error:
            if error.infrastructure:
                raise
            return False
        return True

    def _install(self, arguments: Sequence[str], wanted: Sequence[Wanted]) -> None:
        if self.uv:
            command = [self.uv, "pip", "install", "--python", str(self.python), "--no-deps"]
            command += ["--index-strategy", "unsafe-best-match", "--color", "never"]
            command += ["--cache-dir", str(self.cache)] if self.cache else ["--no-cache"]
        elif find_spec("pip") is not None:
            command = [sys.executable, "-m", "pip", "--python", str(self.python), "install", "--no-deps", "--no-input"]
            command += ["--cache-dir", str(self.cache)] if self.cache else ["--no-cache-dir"]
        else:
            said = "neither uv nor pip is installed beside pytest-mlrun"
            raise InstallError(said, infrastructure=True, cure="install uv there: uv pip install 'pytest-mlrun[audit]'")
        done = self._run([*command, *_options_of(arguments, uv=bool(self.uv))])
        self.yanked += _YANKED.findall(done.output)
        self.yanked += [f"{name}=={version}" for name, version in _YANKED_BY_PIP.findall(done.output)]
        if done.status is None:
            raise InstallError(f"{self.name} was not done in time", infrastructure=True)
        if not done.good:
            raise InstallError(
                _explain(done.output, wanted), infrastructure=bool(_NETWORK.search(done.output)) and not _is_gone(done)
            )

    def _run(self, command: Sequence[str]) -> Ended:
        home = self.scratch / "home"
        home.mkdir(exist_ok=True)
        environ = {
            "PATH": self.environ.get("PATH", os.defpath),
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(Path(self.environ.get("HOME") or "~").expanduser() / ".config"),
            "TMPDIR": str(self.scratch),
            "LC_ALL": "C.UTF-8",
            # A hard link into a cache would hand on what somebody edited there, and what the training edits here.
            "UV_LINK_MODE": "copy",
            "UV_PYTHON_DOWNLOADS": "never",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PYTHONNOUSERSITE": "1",
            **index_variables(self.environ),
        }
        left_s = max(1.0, self.deadline - time.monotonic())
        return run_child(command, folder=self.scratch, environ=environ, log=self.log, timeout_s=left_s)


def describe_wanted(distribution: Mapping[str, object], pins: Pins) -> Wanted:
    """Return how a recorded distribution is asked for.

    Args:
        distribution: Its entry in ``environment.json``.
        pins: What the lock file says.
    """
    name, version = normalize(str(distribution.get("name"))), str(distribution.get("version"))
    url, commit = distribution.get("url"), distribution.get("commit")
    if isinstance(url, str) and "://" in url:
        if commit:
            return Wanted(name, version, f"{name} @ git+{url.removeprefix('git+')}@{commit}")
        archive = distribution.get("archive")
        digest = archive.get("sha256") if isinstance(archive, dict) else None
        hashes = frozenset({f"sha256:{digest}"}) if digest else frozenset()
        return Wanted(name, version, f"{name} @ {url}", hashes)
    return Wanted(name, version, f"{name}=={version}", pins.hashes.get((name, version), frozenset()))


def _options_of(arguments: Sequence[str], *, uv: bool) -> list[str]:
    """Leave out the one option that the other installer does not have."""
    if not uv or "--trusted-host" not in arguments:
        return list(arguments)
    return ["--allow-insecure-host" if text == "--trusted-host" else text for text in arguments]


def _explain(output: str, wanted: Sequence[Wanted]) -> str:
    """Return what an installer said went wrong, with the name of what it could not get."""
    # uv draws a tree in front of what it says.
    lines = [text for line in output.splitlines() if (text := re.sub(r"^[^\w`'\"(/.]+", "", line).strip())]
    told = [line for line in lines if not line.lower().startswith(("warning", "hint", "looking in", "collecting"))]
    named = [one.requirement for one in wanted if any(one.name in normalize(line) for line in told)]
    first = next((line for line in told if re.search(r"(?i)hash|error|because|not found|no matching", line)), "")
    text = " ".join(dict.fromkeys([first, *told[-3:]]))[:400]
    return f"{named[0]} cannot be had as it was: {text}" if len(named) == 1 else f"not to be had as it was: {text}"


def _is_gone(done: Ended) -> bool:
    """Whether the index answered, and does not have it: what a retry would not change."""
    return bool(re.search(r"(?i)no version of|not found in|no matching distribution|hash mismatch|404", done.output))


def _last_line(output: str) -> str:
    return (output.strip().splitlines() or ["nothing was said"])[-1][:200]
