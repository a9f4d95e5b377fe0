"""Count looks at held-out rows in a file that is committed, and notice where it was edited.

One line a look, appended under a lock. Each line has a digest of its own and names the digests of the lines that
nothing followed when it was written: a chain on one branch, two chains after ``merge=union``, joined by the next look.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Final

from pytest_mlrun.errors import HoldoutSpentError, LedgerError
from pytest_mlrun.records.look import LEDGER_FILE, Look, Standing
from pytest_mlrun.registry.encoding import canonical, digest_of

_FIELDS: Final = {field.name: int if field.name in {"digits", "number", "of"} else str for field in fields(Look)}
_ALL: Final = frozenset({*_FIELDS, "after", "nonce", "v", "digest"})
_VERSION: Final = 1
_CONFLICT: Final = (b"<<<<<<<", b"=======", b">>>>>>>")


@dataclass(frozen=True, slots=True)
class Ledger:
    """What a ledger says.

    Attributes:
        looks: Digest of the line to the look, in the file's order.
        heads: Digests of the lines that no other line follows.
        fault: What is wrong with the file, a sentence; empty if nothing is.
        torn_at: Where a last line begins that was never finished; None if there is none.
    """

    looks: dict[str, Look]
    heads: tuple[str, ...] = ()
    fault: str = ""
    torn_at: int | None = None


def read_ledger(content: bytes) -> Ledger:
    """Read the lines of a ledger, and hold each to its digest and to those that it follows.

    Args:
        content: The file's bytes.
    """
    looks: dict[str, Look] = {}
    followed: set[str] = set()
    fault, torn_at, offset = "", None, 0
    for number, raw in enumerate(content.splitlines(keepends=True), start=1):
        try:
            digest, look, after = _decode(raw)
        except ValueError as error:
            if offset + len(raw) == len(content) and not raw.endswith(b"\n"):
                torn_at = offset
            elif raw.strip():
                fault = fault or f"line {number} {error}"
        else:
            looks[digest] = look
            followed.update(after)
        offset += len(raw)
    if not fault and not followed <= set(looks):
        fault = "a line that others follow is missing"
    return Ledger(looks, tuple(sorted(set(looks) - followed)), fault, torn_at)


def encode_look(look: Look, *, after: Sequence[str], nonce: str) -> bytes:
    """Return the line of a look.

    Args:
        look: The look.
        after: Digests of the lines that it follows.
        nonce: What no other line has, so that two equal looks on two branches are two lines.
    """
    plain = {**asdict(look), "after": sorted(after), "nonce": nonce, "v": _VERSION}
    return canonical({**plain, "digest": digest_of(canonical(plain))}) + b"\n"


def _decode(raw: bytes) -> tuple[str, Look, list[str]]:
    if raw.startswith(_CONFLICT):
        raise ValueError(f"is left of a merge: keep both sides ({LEDGER_FILE} merge=union in .gitattributes does)")
    try:
        plain = json.loads(raw)
    except (ValueError, RecursionError):
        raise ValueError("is not what was written") from None
    if not isinstance(plain, dict) or not set(plain) >= _ALL:
        raise ValueError("is not a look")
    digest = plain.pop("digest")
    kinds_hold = all(type(plain[name]) is kind for name, kind in _FIELDS.items())
    after = plain["after"]
    if not kinds_hold or not isinstance(after, list) or not all(isinstance(each, str) for each in after):
        raise ValueError("is not a look")
    if digest != digest_of(canonical(plain)):
        raise ValueError("was edited")
    return digest, Look(**{name: plain[name] for name in _FIELDS}), after


def take_look(
    project: Path,
    wanted: Look,
    *,
    committed: Sequence[tuple[str, Look]],
    recorded: Sequence[tuple[str, str]],
    nonce: str,
) -> Standing:
    """Write a look down, unless the same model was seen on the same rows before.

    Args:
        project: Folder of ``mlrun.toml``.
        wanted: The look; its number is found here.
        committed: Lines that git has ever seen in the ledger.
        recorded: Rows and model of the looks that the run store knows.
        nonce: See ``encode_look``.

    Returns:
        The look with its number.

    Raises:
        HoldoutSpentError: There is no look left.
        LedgerError: The ledger cannot be written.
    """
    with _opened(project / LEDGER_FILE) as file:
        ledger, repaired = _read(file)
        missing = [look for digest, look in committed if digest not in ledger.looks]
        ours = [look for look in (*ledger.looks.values(), *missing) if look.spends(wanted.snapshot, wanted.rows)]
        since = min((look.time for look in ours), default=wanted.time)[:10]
        lost = any(look.spends(wanted.snapshot, wanted.rows) for look in missing)
        trouble = ledger.fault or ("lines that were committed are missing" if lost else "")
        before = [look for look in ours if look.pair == wanted.pair]
        if before:
            look = replace(wanted, number=min(each.number for each in before))
            known = any((each.gate, each.verdict) == (look.gate, look.verdict) for each in before)
            if not known and wanted.verdict:
                _append(file, encode_look(look, after=ledger.heads, nonce=nonce), project)
            return Standing(look, since, trouble, repaired)
        pairs = ({look.pair for look in ours} | set(recorded)) - {wanted.pair}
        used = max([len(pairs), *(look.number for look in ours)])
        if trouble:
            # Nobody can say how many there were: this one counts as the last.
            used = max(used, wanted.of - 1)
        if used >= wanted.of and wanted.pair not in recorded:
            raise _spent(wanted, used, since, trouble, project)
        look = replace(wanted, number=min(used + 1, wanted.of))
        _append(file, encode_look(look, after=ledger.heads, nonce=nonce), project)
        return Standing(look, since, trouble, repaired)


def _spent(wanted: Look, used: int, since: str, trouble: str, project: Path) -> HoldoutSpentError:
    return HoldoutSpentError(
        f"held-out rows of {wanted.data!r} are spent: {used} of {wanted.of} looks since {since}",
        details=(
            *((f"the ledger counts as spent but for one look: {trouble}",) if trouble else ()),
            "a model that was chosen by their score looks better on them than it is",
        ),
        where=str(project / LEDGER_FILE),
        next_step=f"hold out fresh rows as [data.{wanted.data}], then: pytest-mlrun data lock {wanted.data}",
    )


# -- the file ----------------------------------------------------------------------------------------------------------


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    """Hold the ledger for one writer, from reading it to the line that follows from what it says."""
    from fcntl import LOCK_EX, flock

    try:
        while True:
            file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                flock(file, LOCK_EX)
                # git replaces the file when it checks out another: the lock must be that of the one that is there.
                if _is_there(file, path):
                    yield file
                    return
            finally:
                os.close(file)
    except OSError as error:
        raise LedgerError(
            f"the ledger of held-out rows cannot be written: {os.strerror(error.errno or 0)}",
            details=("a look that cannot be counted is not taken",),
            where=str(path),
            next_step="give this process the right to write the file, and commit it afterwards",
        ) from error


def _is_there(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def _read(file: int) -> tuple[Ledger, bool]:
    """Read the file; take off a last line that a crash cut short: its look was never shown to anybody."""
    content = _all_of(file)
    ledger = read_ledger(content)
    if ledger.torn_at is not None:
        os.ftruncate(file, ledger.torn_at)
        return ledger, True
    if content and not content.endswith(b"\n"):
        # An editor left out the last line feed: the line itself is whole.
        os.write(file, b"\n")
    return ledger, False


def _all_of(file: int) -> bytes:
    content = b""
    while part := os.pread(file, 1 << 20, len(content)):
        content += part
    return content


def _append(file: int, line: bytes, project: Path) -> None:
    if os.write(file, line) != len(line):
        raise LedgerError(
            "the ledger of held-out rows took half a line: the disk is full",
            where=str(project / LEDGER_FILE),
            next_step="make room and run again: what was cut short is taken off by itself",
        )
    os.fsync(file)


def committed_looks(ask: Callable[..., bytes], path: str) -> list[tuple[str, Look]]:
    """Return every line that was ever committed to a ledger on the way to the commit that is checked out.

    Args:
        ask: Asks git.
        path: The ledger, relative to the top of the repository.
    """
    history = ask(
        "log", "-p", "-U0", "--full-history", "--format=", "--no-textconv", "--no-ext-diff", "--no-color", "--", path
    )
    found = {}
    for line in history.splitlines():
        if line.startswith((b"+{", b"-{")):
            try:
                digest, look, _ = _decode(line[1:])
            except ValueError:
                continue
            found[digest] = look
    return list(found.items())
