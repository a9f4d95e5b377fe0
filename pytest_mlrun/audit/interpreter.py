"""Find an interpreter of the recorded version, never another one without saying so."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pytest_mlrun.audit.case import Case
from pytest_mlrun.audit.processes import started
from pytest_mlrun.records.audit import AuditedPillar

_METHOD = "interpreters of pyenv, of uv and on PATH asked for their version"
_QUESTION: Final = "import json, platform, sys; print(json.dumps([sys.implementation.name, platform.python_version()]))"
_VERSION: Final = re.compile(r"(\d+\.\d+)\.\d+\S*")
_TIMEOUT_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python that can be started.

    Attributes:
        path: Its program.
        version: Such as ``3.11.7``.
        implementation: Such as ``cpython``.
    """

    path: Path
    version: str
    implementation: str


def check_interpreter(case: Case, environ: Mapping[str, str]) -> tuple[AuditedPillar, Interpreter | None]:
    """Check the interpreter pillar; return the interpreter to train with, if there is one.

    Args:
        case: What is audited.
        environ: Environment variables of the auditor.
    """
    wanted, implementation = case.text("env.python"), case.text("env.implementation") or "cpython"
    version = _VERSION.fullmatch(wanted)
    if version is None:
        said = "the record does not say which Python it was trained with"
        return AuditedPillar("interpreter", "fail", said, method=_METHOD, findings=(said,)), None
    close: Interpreter | None = None
    for found in _ask_all(_list_candidates(wanted, version[1], environ)):
        if found.implementation != implementation:
            continue
        if found.version == wanted:
            return AuditedPillar(
                "interpreter",
                "pass",
                f"{implementation} {wanted}, as recorded",
                method=_METHOD,
                evidence={"recorded": wanted, "found": found.version},
            ), found
        if close is None and found.version.startswith(f"{version[1]}."):
            close = found
    cure = f"install it: uv python install {wanted}, or pyenv install {wanted}"
    if close is None:
        said = f"no {implementation} {version[1]} is installed here; the record says {wanted}"
        return AuditedPillar("interpreter", "fail", said, method=_METHOD, findings=(said,), cure=cure), None
    said = f"{implementation} {close.version} in place of {wanted}"
    return AuditedPillar(
        "interpreter",
        "finding",
        said,
        method=_METHOD,
        evidence={"recorded": wanted, "found": close.version},
        findings=(f"{said}: what is replayed can at best be consistent, or equal bit by bit",),
        cure=cure,
    ), close


def _list_candidates(wanted: str, minor: str, environ: Mapping[str, str]) -> Iterator[Path]:
    """Yield programs, the most likely first. Shims of pyenv fail where no version is chosen: its folders do not."""
    home = Path(environ.get("HOME") or "~").expanduser()
    pyenv = Path(environ.get("PYENV_ROOT") or home / ".pyenv") / "versions"
    yield pyenv / wanted / "bin" / "python"
    yield Path(os.path.realpath(sys.executable))
    yield from _ask_uv(wanted, environ)
    path = environ.get("PATH", os.defpath)
    for name in (f"python{minor}", "python3", "python"):
        for folder in path.split(os.pathsep):
            yield Path(folder) / name
    if pyenv.is_dir():
        yield from sorted((place / "bin" / "python" for place in pyenv.glob(f"{minor}.*")), reverse=True)


def _ask_uv(wanted: str, environ: Mapping[str, str]) -> Iterator[Path]:
    uv = shutil.which("uv", path=environ.get("PATH"))
    if uv is None:
        return
    command = [uv, "python", "find", "--no-python-downloads", "--no-project", "--no-config", wanted]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S, env=dict(environ)
        )
    except (OSError, subprocess.TimeoutExpired):
        return
    if done.returncode == 0 and done.stdout.strip():
        yield Path(done.stdout.strip())


def _ask_all(candidates: Iterator[Path]) -> Iterator[Interpreter]:
    seen: set[str] = set()
    for candidate in candidates:
        real = os.path.realpath(candidate)
        if real in seen or not os.access(candidate, os.X_OK) or Path(real).is_dir():
            continue
        seen.add(real)
        found = _ask(candidate)
        if found is not None:
            yield found


def _ask(program: Path) -> Interpreter | None:
    try:
        command = [str(program), "-I", "-S", "-c", _QUESTION]
        with started(command, folder=None, environ=None, out=subprocess.PIPE) as child:
            answer, _ = child.communicate(timeout=_TIMEOUT_S)
            # What it says of itself may stand above the answer.
            told = json.loads((answer.splitlines() or [b""])[-1]) if child.returncode == 0 else None
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    match told:
        case [str(implementation), str(version)]:
            return Interpreter(program, version, implementation)
    return None
