"""Order the marks of a test, the closest first: its param's, its function's, its class's, its module's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def closest_first(node: pytest.Item | pytest.Collector, name: str) -> Iterator[pytest.Mark]:
    """Yield the marks of a name that hold at a node.

    pytest's own order puts a function's marks before those of its ``pytest.param``, and a base class's before those of
    the class that derives from it.
    """
    for parent in node.iter_parents():
        of_param = {id(mark) for mark in getattr(getattr(parent, "callspec", None), "marks", ())}
        of_class = _class_ranks(parent)
        found = [mark for mark in parent.own_markers if mark.name == name]
        yield from sorted(found, key=lambda mark: (id(mark) not in of_param, of_class.get(id(mark), -1)))


def _class_ranks(node: object) -> dict[int, int]:
    """Return how far from a class the class stands that carries each of its marks."""
    cls = getattr(node, "obj", None)
    classes = cls.__mro__ if isinstance(cls, type) else ()
    ranks: dict[int, int] = {}
    for rank, owner in enumerate(classes):
        written = vars(owner).get("pytestmark", [])
        for mark in written if isinstance(written, list | tuple) else [written]:
            ranks[id(getattr(mark, "mark", mark))] = rank
    return ranks
