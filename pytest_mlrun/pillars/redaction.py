"""Take secrets out of text before it is recorded."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

HIDDEN = "***"

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)://([^\s\"'<>]*)")
_AUTHORITY_END = re.compile(r"[/?#]")
_SCP_PASSWORD = re.compile(r"^[^/@:\s]+:[^/@\s]+@(?=[^/:\s]+:)")

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_SECRET_WORDS = frozenset({"auth", "authorization", "credential", "credentials", "secrets"})
# "api_key" is one, "key_size" is none.
_SECRET_LAST_WORDS = frozenset({"key", "pat", "pwd", "sig", "signature"})
_SECRET_ENDINGS = (
    *("token", "secret", "password", "passwd", "passphrase"),
    *("apikey", "accesskey", "secretkey", "privatekey"),
)
_SECRET_PARTS = ("TOKEN", "SECRET", "PASS", "PWD", "KEY", "CREDENTIAL", "AUTH", "PRIVATE", "SIGNATURE")

_NAME_BEFORE_EQUALS = re.compile(r"([A-Za-z0-9_.\-]+)[\"']?\s*=")
_HEADER = re.compile(r"([A-Za-z0-9_.\-]+)([\"']?\s*:\s+|[\"']\s*:\s*)(\"[^\"]*\"|[^\"',}]+)")
_BEARER = re.compile(r"\b(bearer|basic)\s+[^\s\"']+", re.IGNORECASE)
# What the kinds of token begin with, and what must follow.
_WELL_KNOWN = {
    **dict.fromkeys(("ghp_", "gho_", "ghs_", "ghu_", "ghr_"), "[A-Za-z0-9]{20,}"),
    "github_pat_": "[A-Za-z0-9_]{20,}",
    "glpat-": r"[A-Za-z0-9_\-]{20,}",
    **dict.fromkeys(("AKIA", "ASIA"), "[0-9A-Z]{16}"),
    **dict.fromkeys(("xoxa-", "xoxb-", "xoxp-", "xoxr-", "xoxs-"), r"[A-Za-z0-9\-]{10,}"),
    "AIza": r"[0-9A-Za-z_\-]{35}",
    "hf_": "[A-Za-z0-9]{30,}",
    "pypi-": r"[A-Za-z0-9_\-]{40,}",
}
_TOKEN = re.compile(
    rf"\b(?:{'|'.join(start + rest for start, rest in _WELL_KNOWN.items())}"
    r"|sk-[A-Za-z0-9_\-]{20,}|eyJ[\w\-]+\.[\w\-]+\.[\w\-]*)"
)
_PRIVATE_KEY = b" PRIVATE KEY-----"
# One pattern for each beginning: an alternation would be tried at every byte, 20 times slower.
_TOKENS_IN_FILES = {start.encode(): re.compile((start + rest).encode()) for start, rest in _WELL_KNOWN.items()}

_SECRET_FILES = (
    *(".env*", "*.env", ".netrc", "_netrc", ".pypirc", ".npmrc", ".pgpass", ".git-credentials", ".htpasswd"),
    *("*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.keystore", "credentials.json"),
    *("id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*"),
)


def strip_credentials(text: str, *, keep_query: bool = False) -> str:
    """Return a URL, or a text with URLs, without passwords, tokens and queries.

    ``ssh://git@host`` and ``git@host:path`` keep their user: it names an account, not a secret.

    Args:
        text: What may hold URLs.
        keep_query: Keep what follows ``?`` and ``#``.
    """
    return _URL.sub(lambda url: _clean_url(url[1], url[2], keep_query=keep_query), _SCP_PASSWORD.sub("", text))


def redact_arguments(arguments: Sequence[str]) -> list[str]:
    """Return a command line whose secret values read ``***``.

    Covers ``--token=x``, ``--token x``, ``NAME_OF_SECRET=x`` anywhere, headers, JSON members, URLs and the shapes of
    well-known tokens.
    """
    redacted: list[str] = []
    value_is_secret = False
    for argument in arguments:
        if value_is_secret and not argument.startswith("-"):
            redacted.append(HIDDEN)
        else:
            redacted.append(_redact(argument))
        value_is_secret = argument.startswith("-") and "=" not in argument and _names_secret(argument)
    return redacted


def redact_text(text: str) -> str:
    """Return a text whose URLs hold no credentials, and whose headers and well-known tokens read ``***``."""
    text = _HEADER.sub(_redact_header, text)
    return _TOKEN.sub(HIDDEN, _BEARER.sub(rf"\1 {HIDDEN}", strip_credentials(text)))


def hide_home(text: str) -> str:
    """Return a text in which the user's home folder reads ``~``."""
    home = os.path.expanduser("~").rstrip("/")  # noqa: PTH111 - Path.home() raises where there is none
    return re.sub(rf"(?<![\w.\-/]){re.escape(home)}(?![\w.\-])", "~", text) if home.startswith("/") else text


def is_secret_variable(name: str) -> bool:
    """Whether an environment variable of this name may hold a secret; in doubt, yes."""
    return any(part in name.upper() for part in _SECRET_PARTS)


def is_secret_file(name: str) -> bool:
    """Whether a file of this name holds keys or passwords by custom."""
    return any(fnmatchcase(name.lower(), pattern) for pattern in _SECRET_FILES)


def holds_secret(content: bytes) -> bool:
    """Whether the bytes of a file hold a private key or a well-known kind of token."""
    return _PRIVATE_KEY in content or any(
        start in content and pattern.search(content) for start, pattern in _TOKENS_IN_FILES.items()
    )


def _clean_url(scheme: str, rest: str, *, keep_query: bool) -> str:
    authority, tail = _split_authority(rest)
    port = authority.rpartition(":")[2]
    # "https://user:pa/ss@host": an unescaped "/" in a password would otherwise end the authority too early.
    if "@" not in authority and ":" in authority and "]" not in port and not port.isdigit():
        authority, tail = _split_authority(rest.rpartition("@")[2]) if "@" in tail else (authority, tail)
        user = ""
    else:
        user = authority.rpartition("@")[0].partition(":")[0]
    host = authority.rpartition("@")[2]
    keeps_user = user and scheme.lower().endswith(("ssh", "sftp"))
    if not keep_query:
        tail = re.split(r"[?#]", tail, maxsplit=1)[0]
    return f"{scheme}://{user + '@' if keeps_user else ''}{host}{tail}"


def _split_authority(rest: str) -> tuple[str, str]:
    end = _AUTHORITY_END.search(rest)
    return (rest[: end.start()], rest[end.start() :]) if end else (rest, "")


def _names_secret(name: str) -> bool:
    words = [word.lower() for word in _WORD.findall(name)]
    if words and words[-1] in _SECRET_LAST_WORDS:
        return True
    return any(word in _SECRET_WORDS or word.endswith(_SECRET_ENDINGS) for word in [*words, "".join(words)])


def _redact(argument: str) -> str:
    text = redact_text(argument)
    for assignment in _NAME_BEFORE_EQUALS.finditer(text):
        if _names_secret(assignment[1]):
            return text[: assignment.end()] + HIDDEN
    return text


def _redact_header(header: re.Match[str]) -> str:
    return f"{header[1]}{header[2]}{HIDDEN}" if _names_secret(header[1]) else header[0]
