"""Check the arguments of the mlrun and mlrun_select markers, and merge those of function, class and module."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NoReturn, SupportsIndex, TypedDict, cast

from pytest_mlrun.errors import MarkerError
from pytest_mlrun.records.names import MAX_NAME_CHARS
from pytest_mlrun.rules.suggest import did_you_mean

MAX_SEED = 2**32 - 1
CleanTree = Literal["require", "record"]
Entropy = Literal["detect", "off"]


class MarkerKeys(TypedDict, total=False):
    """What one mlrun marker says, checked; a key that it does not mention is missing."""

    experiment: str
    data: tuple[str, ...]
    seed: int
    tags: dict[str, str]
    floors: dict[str, float]
    ceilings: dict[str, float]
    primary: str
    must_detect: float | dict[str, float]
    clean_tree: CleanTree
    entropy: Entropy
    resources: dict[str, object]


@dataclass(frozen=True, slots=True)
class MarkerArguments:
    """What all mlrun markers of a test say together.

    Attributes:
        experiment: Name; empty where no marker gives one.
        data: Names of the snapshots to verify before the test.
        seed: What the generators start from; None where no marker gives one.
        tags: Name to text.
        floors: Metric to the least value it may have.
        ceilings: Metric to the greatest value it may have.
        primary: Metric whose gates share the error rate; empty for none.
        must_detect: Loss that a gate must be able to see, for all metrics or by metric.
        clean_tree: Whether a tree with uncommitted changes is refused or recorded.
        entropy: Whether randomness that is not pinned is looked for.
        resources: What the training needs, such as ``{"gpu": 1}``.
    """

    experiment: str = ""
    data: tuple[str, ...] = ()
    seed: int | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    floors: Mapping[str, float] = field(default_factory=dict)
    ceilings: Mapping[str, float] = field(default_factory=dict)
    primary: str = ""
    must_detect: float | Mapping[str, float] | None = None
    clean_tree: CleanTree | None = None
    entropy: Entropy | None = None
    resources: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Selection:
    """What an mlrun_select marker says; what it leaves out, the leaderboard decides.

    Attributes:
        experiment: Experiment to choose from; empty for the test's own.
        by: Metric that decides; empty for the leaderboard's.
        where: Constraint on the winner; None for the leaderboard's.
        goal: ``max`` or ``min``; None for the metric's own.
    """

    experiment: str = ""
    by: str = ""
    where: str | None = None
    goal: Literal["max", "min"] | None = None


def read_marker(args: Sequence[object], kwargs: Mapping[str, object], *, owner: str) -> MarkerKeys:
    """Return what one mlrun marker says, checked.

    Args:
        args: Its positional arguments; there may be none.
        kwargs: Its keyword arguments.
        owner: Test, class or module that carries it, for the message.

    Raises:
        MarkerError: If an argument is unknown or of the wrong kind.
    """
    read = _read(args, kwargs, _READERS, f"{owner}: the mlrun marker")
    found = cast("MarkerKeys", read)
    _refuse_crossed(found.get("floors", {}), found.get("ceilings", {}), owner)
    return found


def read_selection(args: Sequence[object], kwargs: Mapping[str, object], *, owner: str) -> Selection:
    """Return what an mlrun_select marker says, checked.

    Raises:
        MarkerError: If an argument is unknown or of the wrong kind.
    """
    read = _read(args, kwargs, _SELECTION_READERS, f"{owner}: the mlrun_select marker")
    return Selection(**read)  # type: ignore[arg-type]


def merge_markers(closest_first: Sequence[MarkerKeys]) -> MarkerArguments:
    """Return what several markers say together: the closest wins for each key; floors, ceilings, tags by name.

    Args:
        closest_first: As pytest's ``iter_markers`` yields them: function, class, module.
    """
    merged = MarkerArguments()
    for keys in reversed(closest_first):
        by_name = {
            key: {**getattr(merged, key), **value}
            for key, value in keys.items()
            if key in {"floors", "ceilings", "tags"} and isinstance(value, dict)
        }
        merged = replace(merged, **{**keys, **by_name})  # type: ignore[arg-type]
    return merged


def _read(
    args: Sequence[object], kwargs: Mapping[str, object], readers: Mapping[str, _Reader], marker: str
) -> dict[str, object]:
    if args:
        raise MarkerError(
            f"{marker} takes no positional argument, found {args[0]!r}",
            next_step=f"name it, such as {_likely_key(args[0], readers)}={args[0]!r}; it takes: {', '.join(readers)}",
        )
    read: dict[str, object] = {}
    for key, value in kwargs.items():
        if key not in readers:
            raise MarkerError(
                f"{marker} takes no argument {key!r}{did_you_mean(key, readers)}",
                next_step=f"use one of: {', '.join(readers)}",
            )
        try:
            read[key] = readers[key](value)
        except _WrongKindError as wanted:
            raise MarkerError(f"{marker}: {key} {wanted}", next_step=f"correct {key}") from None
    return read


def _likely_key(value: object, readers: Mapping[str, _Reader]) -> str:
    likely = "floors" if isinstance(value, Mapping) else "seed" if isinstance(value, int) else "experiment"
    return likely if likely in readers else next(iter(readers))


def _refuse_crossed(floors: Mapping[str, float], ceilings: Mapping[str, float], owner: str) -> None:
    crossed = next((name for name in floors if name in ceilings and floors[name] > ceilings[name]), None)
    if crossed is not None:
        raise MarkerError(
            f"{owner}: the floor of {crossed!r}, {floors[crossed]!r}, is above its ceiling, {ceilings[crossed]!r}",
            next_step="no value satisfies both: correct one of them",
        )


# -- one reader for each kind of argument ------------------------------------------------------------------------------

_Reader = Callable[[object], object]


class _WrongKindError(Exception):
    """A value is not of its argument's kind; the message says what is wanted and what was found."""


def _refuse(wanted: str, found: object) -> NoReturn:
    shown = repr(found)
    raise _WrongKindError(f"must be {wanted}, found {shown if len(shown) <= 60 else shown[:59] + '…'}")  # noqa: PLR2004


def _read_name(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value.strip()) <= MAX_NAME_CHARS or not value.isprintable():
        _refuse(f"one line of 1 to {MAX_NAME_CHARS} characters", value)
    return value


def _read_text(value: object) -> str:
    if not isinstance(value, str):
        _refuse("text", value)
    return value


def _read_names(value: object) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) and name for name in names):
        _refuse("a name of [data.…], or a list of them", value)
    return tuple(dict.fromkeys(names))


def _read_seed(value: object) -> int:
    seed = operator.index(cast("SupportsIndex", value)) if hasattr(value, "__index__") else -1
    if isinstance(value, bool) or not 0 <= seed <= MAX_SEED:
        _refuse(f"a whole number from 0 to {MAX_SEED}", value)
    return seed


def _read_tags(value: object) -> dict[str, str]:
    if isinstance(value, list | tuple) and all(isinstance(name, str) and name for name in value):
        return dict.fromkeys(value, "true")
    if not isinstance(value, Mapping) or not all(isinstance(key, str) and key for key in value):
        _refuse("a mapping of text to text, or a list of names", value)
    if not all(isinstance(item, str) for item in value.values()):
        _refuse("a mapping of text to text", value)
    return dict(value)


def _read_number(value: object) -> float:
    try:
        number = math.nan if isinstance(value, str | bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        _refuse("a finite number", value)
    return number


def _read_bounds(value: object) -> dict[str, float]:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) and name for name in value):
        _refuse("a mapping of metric names to numbers", value)
    for name, bound in value.items():
        try:
            _read_number(bound)
        except _WrongKindError as wrong:
            raise _WrongKindError(f"of {name!r} {wrong}") from None
    return {name: _read_number(bound) for name, bound in value.items()}


def _read_must_detect(value: object) -> float | dict[str, float]:
    read = _read_bounds(value) if isinstance(value, Mapping) else _read_number(value)
    if not all(loss > 0 for loss in (read.values() if isinstance(read, dict) else (read,))):
        _refuse("greater than 0", value)
    return read


def _read_resources(value: object) -> dict[str, object]:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) and name for name in value):
        _refuse('a mapping such as {"gpu": 1}', value)
    return dict(value)


def _one_of(*words: str) -> _Reader:
    def read(value: object) -> str:
        if not isinstance(value, str) or value not in words:
            hint = did_you_mean(value, words) if isinstance(value, str) else ""
            raise _WrongKindError(f"must be {' or '.join(map(repr, words))}, found {value!r}{hint}")
        return value

    return read


_READERS: dict[str, _Reader] = {
    "experiment": _read_name,
    "data": _read_names,
    "seed": _read_seed,
    "tags": _read_tags,
    "floors": _read_bounds,
    "ceilings": _read_bounds,
    "primary": _read_name,
    "must_detect": _read_must_detect,
    "clean_tree": _one_of("require", "record"),
    "entropy": _one_of("detect", "off"),
    "resources": _read_resources,
}
_SELECTION_READERS: dict[str, _Reader] = {
    "experiment": _read_name,
    "by": _read_name,
    "where": _read_text,
    "goal": _one_of("max", "min"),
}
