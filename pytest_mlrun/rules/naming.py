"""Name runs, and hold params, tags, metrics and artifacts to the team's vocabulary."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from string import Formatter

from pytest_mlrun.errors import ArtifactError, MetricError, MlrunError, NamingError
from pytest_mlrun.records.project import Naming
from pytest_mlrun.rules.params import read_param, show_param
from pytest_mlrun.rules.suggest import did_you_mean

MAX_NAME_CHARS = 250
MAX_TAG_CHARS = 8000
RESERVED_PREFIX = "mlrun."
_KEY = re.compile(r"[\w./\-:@ ]+")


def run_name(template: str, *, params: Mapping[str, str], experiment: str, test: str, case: str) -> str:
    """Return the name of a run: by the template, or ``test_sweep[0.05-32]`` where there is none that fits.

    Args:
        template: Such as ``gbm-{learning_rate:g}``; fields are the params, ``experiment``, ``test`` (the function) and
            ``case`` (the parametrize id). One that names a param this test does not have is for other tests.
        params: Name to JSON text.
        experiment: Name of the experiment.
        test: Identity of the test; its last part is the function.
        case: Parametrize id.

    Raises:
        NamingError: If a field looks like a misspelt one, or the name would be empty, too long or of several lines.
    """
    function = test.rpartition("::")[2]
    values = {param: _template_value(text) for param, text in params.items()}
    values |= {"experiment": experiment, "test": function, "case": case}
    if not template or not _fits(template, values):
        name = re.sub(r"[\x00-\x1f\x7f]", " ", f"{function}[{case}]" if case else function)
        return name if len(name) <= MAX_NAME_CHARS else name[: MAX_NAME_CHARS - 1] + "…"
    name = _fill(template, values).strip()
    if not name or len(name) > MAX_NAME_CHARS or not name.isprintable():
        found = f"{len(name)} characters" if name.isprintable() else repr(name)
        raise NamingError(
            f"the run name must be one line of 1 to {MAX_NAME_CHARS} characters, found {found}",
            where=_place(template),
            next_step="use shorter fields",
        )
    return name


def check_params(names: Iterable[str], naming: Naming) -> None:
    """Hold all params of a run to ``[naming]``, the required ones included.

    Raises:
        NamingError: If a name is refused, not allowed, or a required one is missing.
    """
    given = tuple(names)
    check_param_names(given, naming)
    missing = [name for name in naming.required_params if name not in given]
    if missing:
        raise NamingError(
            f"required params are missing: {', '.join(missing)}",
            where="[naming] required_params",
            next_step=f"parametrize the test with {missing[0]}",
        )


def check_param_names(names: Iterable[str], naming: Naming) -> None:
    """Hold names of params to ``[naming]``.

    Raises:
        NamingError: If a name is refused or not allowed.
    """
    for name in names:
        _check_key(name, "param", NamingError)
        if name in naming.refused:
            say = naming.refused[name].removeprefix("say ")
            raise NamingError(
                f"param {name!r} is refused: say {say!r}", where="[naming] refused", next_step=f"rename it to {say}"
            )
        if naming.allowed and not any(fnmatchcase(name, pattern) for pattern in naming.allowed):
            raise NamingError(
                f"param {name!r} is not in the vocabulary{did_you_mean(name, naming.allowed)}",
                details=(f"allowed: {', '.join(naming.allowed)}",),
                where="[naming] allowed",
                next_step="use an allowed name, or add this one in mlrun.toml",
            )


def check_tag(key: str, value: str, naming: Naming) -> None:
    """Hold a tag to ``[naming]``, whose vocabulary lists every key, and for a key its values, or none for any.

    Raises:
        NamingError: If the key or the value is not in the vocabulary, or no text that can be kept.
    """
    _check_key(key, "tag", NamingError)
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
            where="[naming] tags",
            next_step="use a known tag, or add this one in mlrun.toml",
        )
    allowed = naming.tags[key]
    if allowed and value not in allowed:
        raise NamingError(
            f"tag {key!r} cannot be {value!r}{did_you_mean(value, allowed)}",
            details=(f"allowed: {', '.join(allowed)}",),
            where="[naming] tags",
            next_step="use an allowed value, or add this one in mlrun.toml",
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
    reason = _fault_of_path(name)
    if reason:
        raise ArtifactError(f"artifact name {name!r} {reason}", next_step="name it such as plots/roc.png")


def _fault_of_path(name: object) -> str:
    if not isinstance(name, str):
        return "is no text"
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


def _template_value(text: str) -> object:
    value = read_param(text)
    return show_param(text) if value is None or isinstance(value, list | dict) else value


def _fits(template: str, values: Mapping[str, object]) -> bool:
    """Whether the test has every field of the template; a winner, say, lacks the params of the sweep."""
    for _, field, _, _ in _parse(template):
        if field is None or field in values:
            continue
        suggestion = did_you_mean(field, values)
        if suggestion or not field.isidentifier():
            raise NamingError(
                f"the run-name template has an unknown field {field!r}{suggestion}",
                details=(f"known: {', '.join(values)}",),
                where=_place(template),
                next_step="use a known field, or parametrize the test with this one",
            )
        return False
    return True


def _parse(template: str) -> list[tuple[str, str | None, str | None, str | None]]:
    try:
        return list(Formatter().parse(template))
    except ValueError as error:
        raise NamingError(
            f"the run-name template cannot be read: {error}", where=_place(template), next_step="write {{ for {"
        ) from error


def _place(template: str) -> str:
    return f"run_name = {template!r} in [naming]"


def _fill(template: str, values: Mapping[str, object]) -> str:
    filled = []
    for literal, field, spec, conversion in _parse(template):
        filled.append(literal)
        if field is None:
            continue
        try:
            filled.append(format(repr(values[field]) if conversion == "r" else values[field], spec or ""))
        except (ValueError, TypeError) as error:
            raise NamingError(
                f"the run-name template cannot format {field}={values[field]!r} as {spec!r}",
                details=(str(error),),
                where=_place(template),
                next_step="use a format that fits every value of the param, or none",
            ) from error
    return "".join(filled)
