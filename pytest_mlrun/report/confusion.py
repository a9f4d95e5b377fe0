"""Lay out a confusion matrix, as ``evaluate`` stored it, for a terminal."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_mlrun.report.table import Column, lay_out

MOST_CLASSES = 12
_FOLDER, _SUFFIX = "confusion/", ".json"


@dataclass(frozen=True, slots=True)
class Confusion:
    """How often each class was predicted as each.

    Attributes:
        labels: The classes.
        counts: A row a true class, a column a predicted one.
    """

    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


def evaluated_name(artifact: str) -> str | None:
    """Return what was evaluated, if an artifact's name is that of a confusion matrix; else None."""
    if not artifact.startswith(_FOLDER) or not artifact.endswith(_SUFFIX):
        return None
    return artifact.removeprefix(_FOLDER).removesuffix(_SUFFIX)


def read_confusion(content: bytes) -> Confusion:
    """Return the matrix that the artifact's bytes hold.

    Raises:
        ValueError, TypeError: If they are not as they were written.
    """
    document = json.loads(content)
    if not isinstance(document, dict) or not isinstance(document.get("matrix"), list):
        raise TypeError("no confusion matrix")
    labels = tuple(str(label) for label in document.get("labels", ()))
    counts = tuple(tuple(int(count) for count in row) for row in document["matrix"])
    if {len(labels)} != {len(counts), *(len(row) for row in counts)}:
        raise ValueError("no square confusion matrix")
    return Confusion(labels, counts)


def render_confusion(confusion: Confusion, width: int | None) -> Sequence[str]:
    """Return the lines: true classes down, predicted ones across, and which part of each was found."""
    if len(confusion.labels) > MOST_CLASSES:
        return [f"{len(confusion.labels)} classes: read the artifact"]
    columns = [
        Column("true \\ predicted"),
        *(Column(label, align="right") for label in confusion.labels),
        Column("recall", align="right"),
    ]
    rows = [
        (label, *map(str, row), f"{row[place] / sum(row):.1%}" if sum(row) else "-")
        for place, (label, row) in enumerate(zip(confusion.labels, confusion.counts, strict=True))
    ]
    table = lay_out(columns, rows, width=None if width is None else width - 2)
    return [*table.header, *table.rows]
