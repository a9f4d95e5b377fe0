"""Find the id that a person gave to a parametrized value."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest


def find_explicit_id(item: pytest.Function, name: str, value: object) -> str | None:
    """Return the id that somebody wrote for a parametrized value, or None if pytest made it up.

    Args:
        item: The test.
        name: Name of the param.
        value: Its value, as the test has it.
    """
    for names, values, ids in _parametrizations(item, name):
        if name in names and isinstance(values, Sequence):
            return _id_among(values, ids, names.index(name), len(names), value)
    # A call of metafunc.parametrize leaves no mark, and what iterated over is gone: its id is part of the item's.
    found = _id_of_call(item, name)
    return None if found is None or _is_made_up(found, name, value) else found


def _parametrizations(item: pytest.Function, name: str) -> Iterator[tuple[list[str], object, object]]:
    """Yield names, values and ids of each parametrization: the marks', then the fixture's own."""
    for mark in item.iter_markers("parametrize"):
        given = dict(zip(("argnames", "argvalues"), mark.args, strict=False)) | dict(mark.kwargs)
        yield _split_names(given["argnames"]), given.get("argvalues"), given.get("ids")
    # pytest has no public way from an item to its fixtures' params.
    fixtures = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
    for fixture in reversed(fixtures.get(name, ())):
        yield [name], fixture.params, fixture.ids


def _split_names(names: str | Sequence[str]) -> list[str]:
    return [part.strip() for part in names.split(",") if part.strip()] if isinstance(names, str) else list(names)


def _id_among(sets: Sequence[Any], ids: object, position: int, width: int, value: object) -> str | None:
    for index, given in enumerate(sets):
        written = type(given).__name__ == "ParameterSet"
        values = given.values if written else (given,) if width == 1 else given
        # By identity: what needs an id has no other way to be told apart.
        if values[position] is not value:
            continue
        if written and isinstance(given.id, str):
            return str(given.id)
        made = ids(value) if callable(ids) else ids[index] if isinstance(ids, Sequence) and index < len(ids) else None
        return str(made) if isinstance(made, str | int | float) else None
    return None


def _id_of_call(item: pytest.Function, name: str) -> str | None:
    """Return the part of the item's id that belongs to a param, where it can be told."""
    # One entry a parametrization, in order; the public id has them joined by "-", which may be part of each.
    ids = list(getattr(item.callspec, "_idlist", ()))
    marked = [_split_names(mark.args[0]) for mark in item.iter_markers("parametrize") if mark.args]
    for merged in (False, True):
        groups = _group(list(item.callspec.params), marked, merged=merged)
        if len(groups) == len(ids):
            return next(str(ids[at]) for at, group in enumerate(groups) if name in group)
    return None


def _group(names: list[str], marked: list[list[str]], *, merged: bool) -> list[list[str]]:
    """Put names together that one parametrization gave: a mark's, and with ``merged`` neighbours that no mark gave."""
    groups: list[list[str]] = []
    owners: list[int | None] = []
    for name in names:
        owner = next((at for at, group in enumerate(marked) if name in group), None)
        together = bool(owners) and owners[-1] == owner and (owner is not None or merged)
        if together:
            groups[-1].append(name)
        else:
            groups.append([name])
            owners.append(owner)
    return groups


def _is_made_up(found: str, name: str, value: object) -> bool:
    """Whether an id is what pytest writes by itself: the param's name, or the object's own, and a number."""
    own = getattr(value, "__name__", None)
    stems = [re.escape(name) + r"\d+", *([re.escape(own) + r"\d*"] if isinstance(own, str) else [])]
    pattern = re.compile(rf"({'|'.join(stems)})(_\d+)?")
    return any(pattern.fullmatch(part) for part in (found, *found.split("-")))
