"""Sign and verify statements with ``ssh-keygen``: no key of ours, no cryptography of ours, no answer without it."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from pytest_mlrun.errors import SignatureError

_TIMEOUT_S: Final = 300.0
_OURS: Final = re.compile(r"\S*/mlrun-sign-\S+?:\d+: ")
_GOOD: Final = re.compile(r"with (?P<key>\S+ key \S+)$", re.MULTILINE)
# A line without namespaces would let one key speak in every role, and for every other purpose of its owner.
_NAMESPACES: Final = re.compile(r'\bnamespaces\s*=\s*"[^"]+"', re.IGNORECASE)


def sign(statement: bytes, *, key: Path, namespace: str) -> str:
    """Sign a statement.

    Args:
        statement: The bytes.
        key: Private key, or the public one of a key that an agent holds.
        namespace: What the signature is for; it counts for nothing else.

    Returns:
        The armoured signature.

    Raises:
        SignatureError: There is no ``ssh-keygen``, or it does not sign with this key.
    """
    with TemporaryDirectory(prefix="mlrun-sign-") as folder:
        file = Path(folder) / "statement"
        file.write_bytes(statement)
        done = _run(["-Y", "sign", "-f", str(key), "-n", namespace, str(file)])
        if done.returncode != 0:
            raise SignatureError(
                f"ssh-keygen does not sign with {key}",
                details=_lines(done),
                next_step="name a key that works: --key ~/.ssh/id_ed25519",
            )
        return file.with_suffix(".sig").read_text(encoding="ascii")


def find_principals(signature: str, *, signers: bytes) -> tuple[str, ...]:
    """Return who may have made a signature, as the signers' file names them; nobody if its key is not in there.

    Raises:
        SignatureError: There is no ``ssh-keygen``.
    """
    with TemporaryDirectory(prefix="mlrun-sign-") as folder:
        files = _write(Path(folder), signature, signers)
        done = _run(["-Y", "find-principals", "-s", files[0], "-f", files[1]])
    # One line of the file may have several names, which are told as they stand there: joined by commas.
    names = done.stdout.decode("utf-8", "replace").replace(",", " ").split()
    return tuple(names) if done.returncode == 0 else ()


def verify(
    statement: bytes,
    signature: str,
    *,
    principal: str,
    namespace: str,
    signers: bytes,
    revoked: bytes | None = None,
    time_us: int,
) -> str:
    """Verify a signature; return the key that made it.

    Args:
        statement: What must have been signed.
        signature: The armoured signature.
        principal: Who must have signed.
        namespace: For what.
        signers: Content of the signers' file.
        revoked: Keys that no longer count: a KRL, or public keys.
        time_us: Instant at which the key must have been valid, in microseconds since the epoch.

    Raises:
        SignatureError: It does not hold, or there is no ``ssh-keygen`` to say so.
    """
    instant = datetime.fromtimestamp(time_us / 1e6, tz=UTC).strftime("%Y%m%d%H%M%S")
    with TemporaryDirectory(prefix="mlrun-sign-") as folder:
        files = _write(Path(folder), signature, signers)
        arguments = ["-Y", "verify", "-f", files[1], "-I", principal, "-n", namespace, "-s", files[0]]
        if revoked is not None:
            list_file = Path(folder) / "revoked"
            list_file.write_bytes(revoked)
            arguments += ["-r", str(list_file)]
        done = _run([*arguments, f"-Overify-time={instant}"], stdin=statement)
    good = _GOOD.search(done.stdout.decode("utf-8", "replace").strip())
    if done.returncode != 0 or good is None:
        raise SignatureError(
            f"the signature of {principal} for {namespace} does not hold",
            details=_lines(done),
            next_step="ask for another one",
        )
    return good["key"]


def _write(folder: Path, signature: str, signers: bytes) -> tuple[str, str]:
    (folder / "signature").write_text(signature, encoding="utf-8")
    kept = [line for line in signers.decode("utf-8", "replace").splitlines() if _NAMESPACES.search(line)]
    (folder / "signers").write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
    return str(folder / "signature"), str(folder / "signers")


def _run(arguments: Sequence[str], *, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            ["ssh-keygen", *arguments],
            input=stdin,
            # ssh-keygen reads the instant of a verification in its own time zone.
            env={**os.environ, "LC_ALL": "C", "TZ": "UTC"},
            capture_output=True,
            check=False,
            timeout=_TIMEOUT_S,
        )
    except FileNotFoundError:
        raise SignatureError(
            "ssh-keygen is not installed: nothing can be signed or verified",
            next_step="install OpenSSH 8.9 or newer: apt-get install openssh-client",
        ) from None
    except subprocess.TimeoutExpired:
        raise SignatureError(
            "ssh-keygen did not answer", next_step="unlock the key first: ssh-add ~/.ssh/id_ed25519"
        ) from None


def _lines(done: subprocess.CompletedProcess[bytes]) -> tuple[str, ...]:
    text = (done.stderr + b"\n" + done.stdout).decode("utf-8", "replace")
    # Our temporary files are nothing that a reader could open.
    lines = (_OURS.sub("", line.strip()) for line in text.splitlines())
    return tuple(line for line in lines if line)[:5]
