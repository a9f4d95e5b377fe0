"""Find and read ``mlrun.toml``."""

from __future__ import annotations

import math
import os
import re
import sys
import tomllib
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, Literal, TypeVar

from pytest_mlrun.errors import ConfigError, QueryError
from pytest_mlrun.records.project import (
    DataSource,
    Leaderboard,
    MetricDefinition,
    Naming,
    Project,
    RegistrySettings,
    ReplaySettings,
)
from pytest_mlrun.records.reproduction import Tolerance
from pytest_mlrun.records.retention import Retention
from pytest_mlrun.rules.policy import read_policy
from pytest_mlrun.rules.suggest import did_you_mean
from pytest_mlrun.rules.where import parse_where

_Section = TypeVar("_Section")
_Choice = TypeVar("_Choice", bound=str)

FILE_NAME: Final = "mlrun.toml"
_SECTIONS: Final = ("data", "metrics", "naming", "leaderboard", "aliases", "registry", "replay", "retention")
_LINE: Final = re.compile(r"\(at line (\d+), column \d+\)")
_SECRET: Final = re.compile(
    r"^\w[\w+.-]*://([^/?]*:[^/?]*@|.*[?&][^=]*(secret|passw|token|sas|access_key|credential))", re.IGNORECASE
)


def find_project(start: Path, *, stop: Path) -> Project:
    """Read the nearest ``mlrun.toml``.

    Args:
        start: File or folder to start from.
        stop: Folder above which nobody looks; if ``start`` is elsewhere, only ``start`` itself is looked at.

    Returns:
        What the file says, or the defaults with ``stop`` as root.

    Raises:
        ConfigError: The file cannot be understood.
    """
    last = stop.absolute()
    folder = start.absolute()
    if folder.is_file():
        folder = folder.parent
    above = folder.parents if folder.is_relative_to(last) else ()
    for candidate in (folder, *above):
        if (candidate / FILE_NAME).is_file():
            return read_project(candidate / FILE_NAME)
        if candidate == last:
            break
    return Project(root=last)


def read_project(file: Path) -> Project:
    """Read one ``mlrun.toml``.

    Args:
        file: The file; data paths in it are relative to its folder.

    Returns:
        What it says.

    Raises:
        ConfigError: It is unreadable, no TOML, or says something that cannot be meant.
    """
    path = file.absolute()
    document = _Table(_parse(path), path, "")
    document.allow(_SECTIONS)
    project = Project(
        root=path.parent,
        config_file=path,
        data=document.sections("data", _read_data),
        metrics=document.sections("metrics", _read_metric),
        naming=_read_naming(document.table("naming")),
        leaderboards=document.sections("leaderboard", _read_leaderboard),
        aliases=document.sections("aliases", lambda name, table: _check_alias(name, table, path)),
        retention=_read_retention(document.table("retention")),
        registry=_read_registry(document.table("registry")),
        replay=_read_replay(document.table("replay")),
    )
    _refuse_unknown_metrics(project, document)
    return project


def _parse(path: Path) -> Mapping[str, object]:
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8"))
    except tomllib.TOMLDecodeError as error:
        line = _LINE.search(str(error))
        raise ConfigError(
            f"{FILE_NAME} is not TOML: {_LINE.sub('', str(error)).strip()}",
            where=f"{path}:{line[1]}" if line else str(path),
            next_step='correct the line; text needs quotes: goal = "max"',
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{FILE_NAME} is not UTF-8", where=str(path), next_step="save it as UTF-8") from error
    except OSError as error:
        raise ConfigError(
            f"{FILE_NAME} cannot be read: {os.strerror(error.errno or 0)}",
            where=str(path),
            next_step="check its permissions",
        ) from error


def _read_data(name: str, table: _Table) -> DataSource:
    table.allow(
        ("path", "keep", "role", "feature_view", "looks"),
        instead=dict.fromkeys(("uri", "source", "url", "file", "filename", "location"), "path"),
    )
    if not re.fullmatch(r"[\w-]+", name):
        raise table.wrong("", f"data {name!r}: a name is made of letters, digits, '_' and '-'", "rename the section")
    source = table.text("path", required=True)
    if not source or "\0" in source:
        raise table.wrong("path", "must be a path or a URI", f'path = "data/{name}.csv"')
    if _SECRET.match(source):
        raise table.wrong("path", "holds a password, and this file is committed", "give credentials by the environment")
    keep: Literal["copy", "reference", ""] = table.choice("keep", ("copy", "reference")) or ""
    role: Literal["holdout", ""] = table.choice("role", ("holdout",)) or ""
    looks = table.count("looks")
    if looks is not None and not role:
        raise table.wrong("looks", "counts looks at held-out rows, and these are not", 'add role = "holdout"')
    return DataSource(name, source, keep, role, table.text("feature_view"), looks)


def _read_metric(name: str, table: _Table) -> MetricDefinition:
    table.allow(("goal", "range", "unit", "owner"))
    low, high = table.interval("range")
    return MetricDefinition(
        name, table.choice("goal", ("max", "min")), low, high, table.text("unit"), table.text("owner")
    )


def _read_leaderboard(experiment: str, table: _Table) -> Leaderboard:
    table.allow(("by", "where", "goal"))
    by = table.text("by", required=True)
    where = table.text("where")
    try:
        parse_where(where)
    except QueryError as error:
        raise table.wrong("where", f"cannot be understood: {error.headline}", error.next_step) from error
    return Leaderboard(experiment, by, where, table.choice("goal", ("max", "min")))


def _read_retention(table: _Table) -> Retention:
    table.allow(
        ("exploratory_days", "registered_years", "top", "pin"),
        instead={
            "exploratory": "exploratory_days",
            "days": "exploratory_days",
            "registered": "registered_years",
            "years": "registered_years",
            "top_k": "top",
            "tag": "pin",
        },
    )
    usual = Retention()
    return Retention(
        exploratory_days=table.count("exploratory_days") or usual.exploratory_days,
        registered_years=table.count("registered_years") or usual.registered_years,
        top=table.count("top") or usual.top,
        pin=table.text("pin") or usual.pin,
    )


def _check_alias(name: str, table: _Table, path: Path) -> Mapping[str, object]:
    read_policy(name, table.values, where=str(path))
    return table.values


def _read_registry(table: _Table) -> RegistrySettings:
    table.allow(("signers", "revoked", "protected_branch"))
    return RegistrySettings(table.text("signers"), table.text("revoked"), table.text("protected_branch") or "main")


def _read_replay(table: _Table) -> ReplaySettings:
    table.allow(("environment", "tolerances"), instead={"env": "environment", "pass_env": "environment"})
    return ReplaySettings(table.texts("environment"), table.sections("tolerances", _read_tolerance))


def _read_tolerance(name: str, table: _Table) -> Tolerance:
    table.allow(("rel", "abs"), instead={"relative": "rel", "rtol": "rel", "absolute": "abs", "atol": "abs"})
    if not table.values:
        raise table.wrong("", f"the tolerance of {name!r} says nothing", f"{name} = {{ rel = 1e-6 }}")
    return Tolerance(table.amount("rel"), table.amount("abs", most=math.inf), FILE_NAME)


def _read_naming(table: _Table) -> Naming:
    keys = (
        "run_name", "run_names", "allowed", "refused", "required_params", "required_tags", "required_artifacts",
        "tags", "closed_metrics",
    )  # fmt: skip
    table.allow(keys, instead={"required": "required_params", "allowed_params": "allowed", "metrics": "closed_metrics"})
    names = table.table("run_names")
    refused = table.table("refused")
    tags = table.table("tags")
    naming = Naming(
        run_name=table.text("run_name"),
        run_names={experiment: names.text(experiment) for experiment in names.values},
        allowed=table.texts("allowed"),
        refused={name: refused.text(name) for name in refused.values},
        required_params=table.texts("required_params"),
        required_tags=table.texts("required_tags"),
        required_artifacts=table.texts("required_artifacts"),
        closed_metrics=table.flag("closed_metrics"),
        tags={name: tags.texts(name) for name in tags.values},
    )
    _refuse_contradictions(naming, table)
    return naming


def _refuse_contradictions(naming: Naming, table: _Table) -> None:
    for key, names in (("required_params", naming.required_params), ("required_tags", naming.required_tags)):
        for name in names:
            if name in naming.refused:
                raise table.wrong(key, f"{name!r} is required and refused", "take it out of one of the two")
    for name in naming.required_params:
        if naming.allowed and not any(fnmatchcase(name, pattern) for pattern in naming.allowed):
            raise table.wrong("required_params", f"{name!r} is required and not allowed", "add it to allowed")
    for key in naming.required_tags:
        if naming.tags and key not in naming.tags:
            raise table.wrong(
                "required_tags", f"{key!r} is required and not in the vocabulary", f"add it to tags: {key} = []"
            )
    for name in (*naming.allowed, *naming.tags):
        if name in naming.refused:
            raise table.wrong("refused", f"{name!r} is allowed and refused", "take it out of one of the two")


def _refuse_unknown_metrics(project: Project, document: _Table) -> None:
    """Refuse metrics that the file itself names against its own vocabulary."""
    naming = project.naming
    if naming.closed_metrics and not project.metrics:
        raise document.table("naming").wrong(
            "closed_metrics", "leaves no metric to log", 'declare them: [metrics.val_roc_auc] goal = "max"'
        )
    for name in project.metrics:
        if name in naming.refused:
            raise document.table("naming").wrong(
                "refused", f"{name!r} is declared in [metrics] and refused", "take it out of one of the two"
            )
    for experiment, board in project.leaderboards.items():
        if naming.closed_metrics and project.metric(board.by) is None:
            raise (
                document.table("leaderboard")
                .table(experiment)
                .wrong(
                    "by",
                    f"{board.by!r} is not in the vocabulary{did_you_mean(board.by, project.metrics)}",
                    f"use one of: {', '.join(project.metrics)}",
                )
            )


class _Table:
    """A TOML table that knows where it is, and refuses what it does not know.

    Args:
        values: The parsed table.
        file: The file it comes from.
        path: Dotted name in the file; empty for the file itself.
    """

    def __init__(self, values: Mapping[str, object], file: Path, path: str) -> None:
        self.values = values
        self._file = file
        self._path = path

    def wrong(self, key: str, found: str, next_step: str) -> ConfigError:
        """Return the error to raise for a key."""
        name = ".".join(part for part in (self._path, key) if part)
        headline = f"{FILE_NAME}: {name} {found}" if key else f"{FILE_NAME}: {found}"
        return ConfigError(
            headline, where=f"{self._file}, [{self._path}]" if self._path else str(self._file), next_step=next_step
        )

    def allow(self, keys: tuple[str, ...], *, instead: Mapping[str, str] | None = None) -> None:
        """Refuse every key but these; ``instead`` names what people write for them."""
        for key in self.values:
            if key not in keys:
                kind = "section" if not self._path else "key"
                known = (instead or {}).get(key)
                hint = f"; did you mean {known!r}?" if known else did_you_mean(key, keys)
                place = f" in [{self._path}]" if self._path else ""
                raise self.wrong("", f"unknown {kind} {key!r}{place}{hint}", f"it takes: {', '.join(keys)}")

    def table(self, key: str) -> _Table:
        """Return a table inside this one; empty if it is missing."""
        found = self.values.get(key, {})
        path = ".".join(part for part in (self._path, key) if part)
        if not isinstance(found, dict):
            raise self.wrong(key, f"must be a section, not {_describe(found)}", f"write it as [{path}]")
        return _Table(found, self._file, path)

    def sections(self, key: str, read: Callable[[str, _Table], _Section]) -> dict[str, _Section]:
        """Read the named sections of a kind, such as ``[data.<name>]``."""
        table = self.table(key)
        return {name: read(name, table.table(name)) for name in table.values}

    def text(self, key: str, *, required: bool = False) -> str:
        """Return a text; empty if it is missing."""
        if key not in self.values and required:
            raise self.wrong("", f"[{self._path}] needs {key!r}", f'add a line: {key} = "…"')
        found = self.values.get(key, "")
        if not isinstance(found, str):
            raise self.wrong(key, f"must be text, not {_describe(found)}", f'write it as {key} = "…"')
        return found

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of texts; empty if it is missing."""
        found = self.values.get(key, [])
        if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
            raise self.wrong(key, f"must be a list of texts, not {_describe(found)}", f'write it as {key} = ["…", "…"]')
        return tuple(found)

    def flag(self, key: str) -> bool:
        """Return true or false; false if it is missing."""
        found = self.values.get(key, False)
        if not isinstance(found, bool):
            raise self.wrong(key, f"must be true or false, not {_describe(found)}", f"write it as {key} = true")
        return found

    def choice(self, key: str, choices: tuple[_Choice, ...]) -> _Choice | None:
        """Return one of a few words; None if it is missing."""
        if key not in self.values:
            return None
        found = self.values[key]
        for word in choices:
            if found == word:
                return word
        shown = " or ".join(f'"{word}"' for word in choices)
        raise self.wrong(key, f"must be {shown}, not {_describe(found)}", f"write it as {key} = {shown}")

    def count(self, key: str) -> int | None:
        """Return a whole number of one or more; None if it is missing."""
        found = self.values.get(key)
        if found is None:
            return None
        if not isinstance(found, int) or isinstance(found, bool) or found < 1:
            raise self.wrong(
                key, f"must be a whole number of 1 or more, not {_describe(found)}", f"write it as {key} = 5"
            )
        return found

    def amount(self, key: str, *, most: float = sys.float_info.max) -> float:
        """Return a number of zero or more; zero if it is missing."""
        found = self.values.get(key, 0.0)
        if not isinstance(found, int | float) or isinstance(found, bool) or not 0 <= found <= most:
            raise self.wrong(key, f"must be a number of 0 or more, not {_describe(found)}", f"write it as {key} = 1e-6")
        return float(found)

    def interval(self, key: str) -> tuple[float | None, float | None]:
        """Return the two ends of a range; None and None if it is missing."""
        found = self.values.get(key)
        if found is None:
            return None, None
        match found:
            case [int() | float() as low, int() | float() as high] if low < high and bool not in map(type, found):
                return float(low), float(high)
        raise self.wrong(
            key, f"must be two numbers, low then high, not {_describe(found)}", f"write it as {key} = [0.0, 1.0]"
        )


def _describe(value: object) -> str:
    if isinstance(value, dict):
        return "a section"
    return f"{value!r:.60}"
