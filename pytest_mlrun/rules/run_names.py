"""Name runs by the template of ``[naming]``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from string import Formatter

from pytest_mlrun.errors import NamingError
from pytest_mlrun.records.names import MAX_NAME_CHARS
from pytest_mlrun.rules.params import read_param, show_param
from pytest_mlrun.rules.suggest import did_you_mean


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
    return f"run_name = {template!r} in [naming] of mlrun.toml"


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


def example_name(template: str, *, experiment: str) -> str:
    """Return a name by the template for values that fit its formats; the others stand as ``<field>``.

    Raises:
        NamingError: If the template cannot be read.
    """
    known = {"experiment": experiment, "test": "test_sweep", "case": "0.05-32"}
    values: dict[str, object] = {}
    for _, field, spec, _ in _parse(template):
        if field is not None:
            values[field] = known.get(field, _example_value(field, spec or ""))
    return _fill(template, values)


def _example_value(field: str, spec: str) -> object:
    if re.search(r"[eEfFgG%]$|\.\d+$", spec):
        return 0.05
    return 32 if re.search(r"[bcdoxX]$", spec) else f"<{field}>"
