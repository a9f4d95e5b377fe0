"""Lay out rows of text as a table that fits its width."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

GAP = "  "
ELLIPSIS = "…"


@dataclass(frozen=True, slots=True)
class Column:
    """How one column is shown.

    Attributes:
        title: Its heading.
        align: Numbers stand right.
        cut: Which part of a text gives way where the table is too wide; ``middle`` keeps both ends, for names that
            differ in their tails. ``never`` keeps every cell whole.
        least: Narrowest width that a cut column may get.
        rank: Where cutting is not enough, columns with the highest rank are left out first; those of 0 never are.
    """

    title: str
    align: Literal["left", "right"] = "left"
    cut: Literal["end", "middle", "never"] = "never"
    least: int = 12
    rank: int = 0


@dataclass(frozen=True, slots=True)
class Layout:
    """A laid out table.

    Attributes:
        header: The line of titles.
        rows: One line a row.
        left_out: Titles of the columns that found no room.
    """

    header: str
    rows: tuple[str, ...]
    left_out: tuple[str, ...] = ()


def lay_out(columns: Sequence[Column], rows: Sequence[Sequence[str]], *, width: int | None) -> Layout:
    """Lay out a table.

    Args:
        columns: The columns, left to right.
        rows: One text for each column.
        width: Terminal columns that a line may take; None for as many as it needs.

    Returns:
        Lines without trailing spaces.
    """
    cells = [[clean_text(cell) for cell in row] for row in rows]
    titles = [clean_text(column.title) for column in columns]
    needs = [max([text_width(title), *(text_width(row[at]) for row in cells)]) for at, title in enumerate(titles)]
    kept = list(range(len(columns)))
    widths = dict(enumerate(needs))
    if width is not None:
        kept = _choose(columns, needs, width)
        widths = _shrink(columns, {at: needs[at] for at in kept}, width)
    chosen = [(at, columns[at], widths[at]) for at in kept]
    return Layout(
        header=_join([_fit(titles[at], size, column) for at, column, size in chosen]),
        rows=tuple(_join([_fit(row[at], size, column) for at, column, size in chosen]) for row in cells),
        left_out=tuple(title for at, title in enumerate(titles) if at not in kept),
    )


def text_width(text: str) -> int:
    """Return how many terminal columns a text takes."""
    if text.isascii():
        return len(text)
    return sum(_char_width(char) for char in text)


def clean_text(text: str) -> str:
    """Return the text on one line, with what could move a terminal's cursor written out."""
    if text.isprintable():
        return text
    spaced = " ".join(text.split("\n"))
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in spaced)


def cut_text(text: str, width: int, *, middle: bool = False) -> str:
    """Return the text in at most ``width`` terminal columns, with ``…`` where something is missing.

    Args:
        text: One line.
        width: Terminal columns, at least 1.
        middle: Whether both ends are kept, rather than the beginning.
    """
    if text_width(text) <= width:
        return text
    room = width - 1
    tail = room // 2 if middle else 0
    return _take(text, room - tail) + ELLIPSIS + _take(text[::-1], tail)[::-1]


def _choose(columns: Sequence[Column], needs: Sequence[int], width: int) -> list[int]:
    kept = list(range(len(columns)))
    least = [
        need if column.cut == "never" else min(need, column.least) for column, need in zip(columns, needs, strict=True)
    ]
    while sum(least[at] for at in kept) + len(GAP) * (len(kept) - 1) > width:
        # Of equally dispensable columns the last one goes: what was put first matters more.
        last = max(kept, key=lambda at: (columns[at].rank, at))
        if columns[last].rank == 0:
            break
        kept.remove(last)
    return kept


def _shrink(columns: Sequence[Column], widths: dict[int, int], width: int) -> dict[int, int]:
    shrunk = dict(widths)
    surplus = sum(shrunk.values()) + len(GAP) * (len(shrunk) - 1) - width
    while surplus > 0:
        able = [at for at in shrunk if columns[at].cut != "never" and shrunk[at] > columns[at].least]
        if not able:
            break
        shrunk[max(able, key=lambda at: shrunk[at])] -= 1
        surplus -= 1
    return shrunk


def _fit(text: str, width: int, column: Column) -> str:
    text = cut_text(text, width, middle=column.cut == "middle")
    padding = " " * (width - text_width(text))
    return padding + text if column.align == "right" else text + padding


def _join(cells: Sequence[str]) -> str:
    return GAP.join(cells).rstrip()


def _take(text: str, width: int) -> str:
    taken = 0
    for at, char in enumerate(text):
        taken += _char_width(char)
        if taken > width:
            return text[:at]
    return text


def _char_width(char: str) -> int:
    if unicodedata.category(char) in {"Mn", "Me"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in {"W", "F"} else 1
