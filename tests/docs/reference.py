"""Write docs/reference.md from the code: ``python -m tests.docs.reference > docs/reference.md``."""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

import pytest_mlrun
from pytest_mlrun import hooks, plugin
from pytest_mlrun.cli import parser as cli_parser
from pytest_mlrun.errors import ConfigError, MlrunError
from pytest_mlrun.options import OPTIONS
from pytest_mlrun.project import read_project
from pytest_mlrun.records.project import (
    DataSource,
    Leaderboard,
    MetricDefinition,
    Naming,
    RegistrySettings,
    ReplaySettings,
)
from pytest_mlrun.records.retention import Retention
from pytest_mlrun.records.run import CAUSES, OUTCOMES, STATUSES
from pytest_mlrun.rules.marker import MarkerArguments, Selection
from pytest_mlrun.rules.policy import Policy
from pytest_mlrun.store.bundle import Bundle
from pytest_mlrun.store.reader import Reader

_SECTIONS: Mapping[str, tuple[str, type]] = {
    "data.<name>": ("data.d", DataSource),
    "metrics.<name>": ("metrics.m", MetricDefinition),
    "naming": ("naming", Naming),
    "leaderboard.<experiment>": ("leaderboard.e", Leaderboard),
    "retention": ("retention", Retention),
    "aliases.<name>": ("aliases.a", Policy),
    "registry": ("registry", RegistrySettings),
    "replay": ("replay", ReplaySettings),
}
_KEYS = {
    "path": "Path relative to `mlrun.toml`, or a URI.",
    "range": "Least and greatest value that it can have: `[0.0, 1.0]`.",
    "by": "Metric that ranks.",
    "where": "Constraint on the winner, such as `val_recall >= 0.9`.",
    "goal": "`max` or `min`: whether more or less of it is better.",
}
_NO_EFFECT_YET = {"resources", "feature_view"}
_PYTEST_EXITS = (
    ("0", "every experiment ran, every gate held"),
    ("1", "a test failed: a gate, an error, data that changed, a required name that is missing"),
    ("2", "interrupted, or a test could not be collected: a marker that says something wrong"),
    ("4", "usage: an option that is no option"),
    ("5", "no test was selected"),
)


def render() -> str:
    """Return the page."""
    sections = (
        _render_options, _render_marker, _render_fixtures, _render_hooks, _render_project, _render_verbs,
        _render_exits, _render_words, _render_names,
    )  # fmt: skip
    head = [
        "# Reference",
        "",
        "Made from the code by `python -m tests.docs.reference > docs/reference.md`; a test compares the two.",
        "",
    ]
    return "\n".join([*head, *(line for section in sections for line in section())]).rstrip() + "\n"


# -- pytest ------------------------------------------------------------------------------------------------------------


def _render_options() -> Iterator[str]:
    yield from ("## Options of pytest", "")
    yield "The command line beats the environment, which beats the configuration file (`[tool.pytest]` in"
    yield from ("`pyproject.toml`, or `pytest.ini`), which beats the default.", "")
    rows = [
        (
            f"`{option.flag}`" if option.metavar is None else f"`{option.flag} {option.metavar}`",
            f"`{option.variable}`",
            f"`{option.key}`",
            _show_default(option.default),
            option.help,
        )
        for option in OPTIONS
    ]
    yield from _table(("option", "environment", "configuration", "default", ""), rows)
    yield "`pytest-mlrun` and `pytest_mlrun.open_store` read `PYTEST_MLRUN_STORE` too; `NO_COLOR` turns colours off."
    yield ""


def _render_marker() -> Iterator[str]:
    yield from (
        "## Markers",
        "",
        "On a function, a class, or a module's `pytestmark`; the closest wins, key by key.",
        "",
    )
    yield from (f"### `{plugin.MARKER.partition(':')[0]}`", "")
    yield from _table(("argument", ""), _annotated(_attributes(MarkerArguments)))
    yield from (f"### `{plugin.SELECT_MARKER.partition(':')[0]}`", "")
    yield from _table(("argument", ""), _attributes(Selection))


def _render_fixtures() -> Iterator[str]:
    yield from ("## Fixtures", "")
    rows = []
    for name, fixture in vars(plugin).items():
        if type(fixture).__name__ == "FixtureFunctionDefinition":
            summary, _, example = inspect.cleandoc(fixture.__doc__ or "").partition("\n\n")
            rows.append((f"`{name}`", _code(summary), _code(example.removeprefix("Example: "))))
    yield from _table(("fixture", "", "example"), rows)


def _render_hooks() -> Iterator[str]:
    yield from ("## Hooks", "", "Implement them in a `conftest.py`.", "")
    for name, hook in vars(hooks).items():
        if name.startswith("pytest_") and inspect.isfunction(hook):
            yield from (f"### `{name}{_signature(hook)}`", "")
            text, _, arguments = inspect.cleandoc(hook.__doc__ or "").partition("\nArgs:\n")
            yield from (_code(text.strip()), "")
            yield from _table(("argument", ""), _described(arguments))


# -- mlrun.toml --------------------------------------------------------------------------------------------------------


def _render_project() -> Iterator[str]:
    yield from (
        "## `mlrun.toml`",
        "",
        "The nearest one above a test file counts; paths in it are relative to its folder.",
        "",
    )
    for title, (probed, record) in _SECTIONS.items():
        yield from (f"### `[{title}]`", "", _code(_summary(record).partition(": ")[2]).capitalize(), "")
        said = {name.strip("`"): text for name, text in _attributes(record)}
        rows = [(f"`{key}`", _KEYS.get(key) or said[key]) for key in _keys_of(probed)]
        yield from _table(("key", ""), _annotated(rows))


def _keys_of(section: str) -> list[str]:
    """Return the keys that a section takes: what the error about a wrong one says."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "mlrun.toml"
        file.write_text(f"[{section}]\nno_such_key = 1\n", encoding="utf-8")
        try:
            read_project(file)
        except ConfigError as error:
            return error.next_step.removeprefix("it takes: ").split(", ")
    raise ValueError(f"[{section}] takes any key")


# -- the program -------------------------------------------------------------------------------------------------------


def _render_verbs() -> Iterator[str]:
    parser = cli_parser.make_parser()
    yield from ("## `pytest-mlrun`", "", f"{parser.description}", "")
    yield from _table(("option", ""), _arguments(parser))
    yield from _render_actions(parser, "")


def _render_actions(parser: argparse.ArgumentParser, prefix: str) -> Iterator[str]:
    for name, verb in _verbs_of(parser).items():
        if _verbs_of(verb):
            yield from _render_actions(verb, f"{prefix}{name} ")
            continue
        yield from (f"### `{prefix}{name}`", "", f"{verb.description} {_example(verb)}", "")
        yield from _table(("argument", ""), _arguments(verb))


def _verbs_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    return next((dict(action.choices) for action in parser._actions if isinstance(action.choices, dict)), {})


def _example(verb: argparse.ArgumentParser) -> str:
    return f"Example: `{(verb.epilog or '').removeprefix('example: ')}`"


def _arguments(parser: argparse.ArgumentParser) -> list[tuple[str, ...]]:
    return [
        (_spelling(action), _code(action.help or ""))
        for action in parser._actions
        if not isinstance(action.choices, dict) and "--help" not in action.option_strings
    ]


def _spelling(action: argparse.Action) -> str:
    value = "|".join(action.choices) if action.choices else action.metavar
    shown = ", ".join(f"{flag} {value}" if action.nargs != 0 and value else flag for flag in action.option_strings)
    return f"`{shown or action.metavar}`"


def _render_exits() -> Iterator[str]:
    yield from ("## Exit codes", "", "pytest's own:", "")
    yield from _table(("pytest", ""), _PYTEST_EXITS)
    exits = cli_parser.make_parser().epilog or ""
    pairs = [tuple(part.split(" ", 1)) for part in exits.removeprefix("exit codes: ").split(", ")]
    yield from _table(("pytest-mlrun", ""), [*pairs, ("130", "interrupted"), ("141", "the reader of a pipe left")])


def _render_words() -> Iterator[str]:
    yield from (
        "## What becomes of a run",
        "",
        "Status is what became of the run, outcome what became of its test.",
        "",
    )
    rows = [
        (word, " ".join(f"`{value}`" for value in values if value))
        for word, values in (("status", STATUSES), ("outcome", OUTCOMES), ("cause", CAUSES))
    ]
    yield from _table(("", "one of"), rows)


# -- Python ------------------------------------------------------------------------------------------------------------


def _render_names() -> Iterator[str]:
    yield from ("## Python", "", "What `import pytest_mlrun` offers.", "")
    public = {name: getattr(pytest_mlrun, name) for name in pytest_mlrun.__all__}
    errors = {name: found for name, found in public.items() if _is_error(found)}
    modules = {name: found for name, found in public.items() if isinstance(found, ModuleType)}
    functions = {name: found for name, found in public.items() if inspect.isfunction(found)}
    records = {
        name: found
        for name, found in public.items()
        if found not in [*errors.values(), *modules.values(), *functions.values()]
    }
    for name, module in modules.items():
        members = [(member, found) for member, found in vars(module).items() if _is_own_function(found, module)]
        functions |= {f"{name}.{member}": found for member, found in members}
    yield from _table(("function", ""), [_row(name, found) for name, found in functions.items()])
    for name, record in {**records, "open_store(…)": Reader, "open_bundle(…)": Bundle}.items():
        yield from (f"### `{name}`", "", _code(_summary(record)), "")
        yield from _table(("", ""), list(_members(record)))
    yield from ("### Errors", "", "Each has `headline`, `details`, `where` and `next_step`.", "")
    yield from _table(("error", ""), [(f"`{name}`", _code(_summary(error))) for name, error in errors.items()])


def _members(record: type) -> Iterator[tuple[str, ...]]:
    yield from _attributes(record)
    described = {name.strip("`") for name, _ in _attributes(record)}
    for home in reversed(record.__mro__[:-1]):
        for name, member in vars(home).items():
            if name.startswith("_") or name in described:
                continue
            if isinstance(member, property):
                yield f"`{name}`", _code(_summary(member))
            elif inspect.isfunction(member):
                yield _row(name, member)


def _row(name: str, function: Callable[..., object]) -> tuple[str, str]:
    return f"`{name}{_signature(function)}`", _code(_summary(function))


def _is_error(found: object) -> bool:
    return isinstance(found, type) and issubclass(found, MlrunError)


def _is_own_function(found: object, module: ModuleType) -> bool:
    return (
        inspect.isfunction(found)
        and found.__module__ == module.__name__
        and "run" in inspect.signature(found).parameters
        and not found.__name__.startswith("_")
    )


def _signature(function: Callable[..., object]) -> str:
    parameters = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in inspect.signature(function).parameters.values()
        if parameter.name != "self"
    ]
    return str(inspect.Signature(parameters))


# -- words and tables --------------------------------------------------------------------------------------------------


def _attributes(record: type) -> list[tuple[str, ...]]:
    """Return name and sentence of everything that a docstring lists under Attributes."""
    _, _, listed = inspect.cleandoc(record.__doc__ or "").partition("\nAttributes:\n")
    return _described(listed)


def _described(listed: str) -> list[tuple[str, ...]]:
    entries = re.findall(r"^ {4}(\w+): (.+(?:\n {8,}.+)*)", listed, re.MULTILINE)
    return [(f"`{name}`", _code(text)) for name, text in entries]


def _annotated(rows: Iterable[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Say of what is checked and kept, but decides nothing yet, that it does not."""
    return [(name, f"{text} Has no effect yet." if name.strip("`") in _NO_EFFECT_YET else text) for name, text in rows]


def _summary(described: object) -> str:
    return inspect.cleandoc(getattr(described, "__doc__", None) or "").partition("\n\n")[0]


def _code(text: str) -> str:
    return _one_line(text).replace("``", "`")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _show_default(default: object) -> str:
    if default is None:
        return ""
    return "off" if default is False else f"`{default}`"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    cells = [tuple(cell.replace("|", "\\|") for cell in row) for row in rows]
    if cells:
        yield "| " + " | ".join(head) + " |"
        yield "|" + "---|" * len(head)
        yield from ("| " + " | ".join(row) + " |" for row in cells)
        yield ""


if __name__ == "__main__":
    sys.stdout.write(render())
