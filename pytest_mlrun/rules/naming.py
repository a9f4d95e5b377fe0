"""Hold the names of params, tags, metrics and artifacts to the team's vocabulary."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase

from pytest_mlrun.errors import ArtifactError, MetricError, MlrunError, NamingError
from pytest_mlrun.records.names import MAX_NAME_CHARS
from pytest_mlrun.records.project import Naming
from pytest_mlrun.rules.suggest import did_you_mean

MAX_TAG_CHARS = 8000
RESERVED_PREFIX = "mlrun."
_KEY = re.compile(r"[\w./\-:@ ]+")


def check_param_names(names: Iterable[str], naming: Naming) -> None:
    """Hold names of params to ``[naming]``.

    Raises:
        NamingError: If a name is refused or not allowed.
    """
    for name in names:
        _check_key(name, "param", NamingError)
        check_refused(name, "param", naming)
        if naming.allowed and not any(fnmatchcase(name, pattern) for pattern in naming.allowed):
            raise NamingError(
                f"param {name!r} is not in the vocabulary{did_you_mean(name, naming.allowed)}",
                details=(f"allowed: {', '.join(naming.allowed)}",),
                where="[naming] allowed in mlrun.toml",
                next_step="use an allowed name, or add this one in mlrun.toml",
            )


def check_tag(key: str, value: str, naming: Naming) -> None:
    """Hold a tag to ``[naming]``, whose vocabulary lists every key, and for a key its values, or none for any.

    Raises:
        NamingError: If the key is refused, or key or value are not in the vocabulary or no text that can be kept.
    """
    _check_key(key, "tag", NamingError)
    check_refused(key, "tag", naming)
    given: object = value
    if not isinstance(given, str) or len(given) > MAX_TAG_CHARS:
        found = f"{len(given)} characters" if isinstance(given, str) else type(given).__name__
        raise NamingError(
            f"the value of tag {key!r} must be text of at most {MAX_TAG_CHARS} characters, found {found}",
            next_step="log longer text as an artifact: mlrun.log_text(text, name)",
        )
    if not naming.tags:
        return
    if key not in naming.tags:
        raise NamingError(
            f"tag {key!r} is not in the vocabulary{did_you_mean(key, naming.tags)}",
            details=(f"known: {', '.join(naming.tags)}",),
            where="[naming] tags in mlrun.toml",
            next_step="use a known tag, or add this one in mlrun.toml",
        )
    allowed = naming.tags[key]
    if allowed and value not in allowed:
        raise NamingError(
            f"tag {key!r} cannot be {value!r}{did_you_mean(value, allowed)}",
            details=(f"allowed: {', '.join(allowed)}",),
            where="[naming] tags in mlrun.toml",
            next_step="use an allowed value, or add this one in mlrun.toml",
        )


def check_refused(name: str, what: str, naming: Naming) -> None:
    """Refuse a name for which the team says another.

    Args:
        name: Name of a param, tag or metric.
        what: Which of them, for the message.
        naming: The vocabulary.

    Raises:
        NamingError: If ``[naming] refused`` lists it.
    """
    if name in naming.refused:
        say = naming.refused[name].removeprefix("say ")
        raise NamingError(
            f"{what} {name!r} is refused: say {say!r}",
            where="[naming] refused in mlrun.toml",
            next_step=f"rename it to {say}",
        )


def check_required(
    naming: Naming, *, params: Iterable[str], tags: Iterable[str] = (), artifacts: Iterable[str] = ()
) -> None:
    """Ask at the end of a run whether it has everything that ``[naming]`` requires.

    Args:
        naming: The vocabulary; a required artifact may be a pattern such as ``model.*``.
        params: Names of the run's params.
        tags: Keys of its tags.
        artifacts: Names of its artifacts.

    Raises:
        NamingError: If anything is missing; all of it is named.
    """
    has_params, has_tags, stored = set(params), set(tags), tuple(artifacts)
    missing = {
        "params": [name for name in naming.required_params if name not in has_params],
        "tags": [key for key in naming.required_tags if key not in has_tags],
        "artifacts": [
            pattern for pattern in naming.required_artifacts if not any(fnmatchcase(name, pattern) for name in stored)
        ],
    }
    kinds = [kind for kind in missing if missing[kind]]
    if kinds:
        first, *others = kinds
        raise NamingError(
            f"required {first} are missing: {', '.join(missing[first])}",
            details=tuple(f"required {kind} are missing: {', '.join(missing[kind])}" for kind in others),
            where=f"[naming] required_{first} in mlrun.toml",
            next_step=_how_to_add(first, missing[first][0]),
        )


def _how_to_add(kind: str, name: str) -> str:
    if kind == "params":
        return f'parametrize the test with {name}, or log it: mlrun.log_param("{name}", …)'
    if kind == "tags":
        return f'@pytest.mark.mlrun(tags={{"{name}": "…"}}), or mlrun.set_tag("{name}", "…")'
    return f"log it in the test: mlrun.log_artifact, log_dict or log_model with a name such as {name}"


def check_note(note: str) -> None:
    """Refuse a note that is no note any more.

    Raises:
        NamingError: If it is too long.
    """
    if len(note) > MAX_TAG_CHARS:
        raise NamingError(
            f"the note has {len(note)} characters, more than {MAX_TAG_CHARS}",
            next_step="keep the text in a file, and name that in the note",
        )


def check_metric_name(name: str) -> None:
    """Refuse a metric name that could not be kept, exported or shown.

    Raises:
        MetricError: If it is no such text.
    """
    _check_key(name, "metric", MetricError)


def check_artifact_name(name: str) -> None:
    """Refuse an artifact name that could lead out of a folder.

    Raises:
        ArtifactError: If it is empty, absolute, holds ``..``, a backslash or unprintable characters.
    """
    if not isinstance(name, str):
        raise ArtifactError(
            f"an artifact's name must be text, found {type(name).__name__}",
            next_step='the name comes last: mlrun.log_dict({"depth": 3}, "config.json")',
        )
    reason = _fault_of_path(name)
    if reason:
        raise ArtifactError(f"artifact name {name!r} {reason}", next_step="name it such as plots/roc.png")


def _fault_of_path(name: str) -> str:
    if not name.isprintable() or "\\" in name or len(name) > MAX_NAME_CHARS:
        return f"must be one line of 1 to {MAX_NAME_CHARS} characters without backslashes"
    if any(part in {"", ".", ".."} for part in name.split("/")) or re.match(r"[A-Za-z]:", name):
        return "must be a relative path without empty, '.' or '..' parts"
    return ""


def _check_key(name: object, what: str, error: type[MlrunError]) -> None:
    reason = ""
    if not isinstance(name, str):
        reason = "must be text"
    elif not 0 < len(name) <= MAX_NAME_CHARS:
        reason = f"must have 1 to {MAX_NAME_CHARS} characters, found {len(name)}"
    elif name.startswith(RESERVED_PREFIX):
        reason = f"begins with {RESERVED_PREFIX!r}, which is reserved"
    elif not _KEY.fullmatch(name) or name != name.strip():
        reason = "may hold letters, digits and _ . - / : @, and spaces within"
    elif any(part in {"", ".", ".."} for part in name.split("/")):
        reason = "has an empty, '.' or '..' part between slashes"
    if reason:
        shown = repr(name) if len(repr(name)) <= MAX_NAME_CHARS // 5 else f"{repr(name)[:50]}…"
        raise error(f"{what} name {shown} {reason}", next_step=f"rename the {what}")
