"""Lay out rows of text as a table that fits its width."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from os.path import commonprefix
from typing import Literal

GAP = "  "
ELLIPSIS = "…"
_MOST_TITLE_LINES = 3
_TITLE_PIECE = re.compile(r"[^_./\- ]*[_./\- ]|[^_./\- ]+")


@dataclass(frozen=True, slots=True)
class Column:
    """How one column is shown.

    Attributes:
        title: Its heading.
        align: Numbers stand right.
        cut: Which part of a text gives way where the table is too wide; ``middle`` keeps both ends, for names that
            differ in their tails. ``never`` keeps every cell whole.
        least: Narrowest width that a cut column may get.
        wrap: Whether the heading may stand on several lines: names of metrics are longer than their values.
        rank: Where cutting is not enough, columns find room in the order of their ranks; those of 0 always do.
    """

    title: str
    align: Literal["left", "right"] = "left"
    cut: Literal["end", "middle", "never"] = "never"
    least: int = 12
    wrap: bool = False
    rank: int = 0


@dataclass(frozen=True, slots=True)
class Layout:
    """A laid out table.

    Attributes:
        header: The titles, one line or a few.
        rows: One line a row.
        left_out: Titles of the columns that found no room.
    """

    header: tuple[str, ...]
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
    bodies = [max((text_width(row[at]) for row in cells), default=0) for at in range(len(columns))]
    titles, needs = _wrap_titles(columns, bodies, width)
    kept = list(range(len(columns))) if width is None else _choose(columns, needs, width)
    widths = {at: needs[at] for at in kept}
    if width is not None:
        widths = _shrink(columns, widths, width)
    height = max((len(titles[at]) for at in kept), default=0)
    bodies_of = {at: _drop_common_head([row[at] for row in cells], widths[at], columns[at]) for at in kept}
    padded = {at: ("",) * (height - len(titles[at])) + titles[at] for at in kept}
    return Layout(
        header=tuple(_join([_fit(padded[at][line], widths[at], columns[at]) for at in kept]) for line in range(height)),
        rows=tuple(
            _join([_fit(bodies_of[at][row], widths[at], columns[at]) for at in kept]) for row in range(len(cells))
        ),
        left_out=tuple(clean_text(column.title) for at, column in enumerate(columns) if at not in kept),
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
    # Names of a sweep begin alike and differ at their ends.
    tail = room * 2 // 3 if middle else 0
    return _take(text, room - tail) + ELLIPSIS + _take(text[::-1], tail)[::-1]


def _wrap_titles(
    columns: Sequence[Column], bodies: Sequence[int], width: int | None
) -> tuple[list[tuple[str, ...]], list[int]]:
    """Break titles over as few lines as make the table fit, and return them with the width that each column needs."""
    titles: list[tuple[str, ...]] = []
    needs: list[int] = []
    for lines in range(1, _MOST_TITLE_LINES + 1):
        titles = [_wrap_title(clean_text(column.title), lines if column.wrap else 1) for column in columns]
        needs = [max(body, *map(text_width, title)) for title, body in zip(titles, bodies, strict=True)]
        if width is None or _total(needs) <= width:
            break
    return titles, needs


def _wrap_title(title: str, most_lines: int) -> tuple[str, ...]:
    pieces = _TITLE_PIECE.findall(title)
    for size in range(1, text_width(title)):
        lines = [""]
        for piece in pieces:
            if lines[-1] and text_width(lines[-1] + piece) > size:
                lines.append("")
            lines[-1] += piece
        if len(lines) <= most_lines:
            return tuple(lines)
    return (title,)


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(GAP) * (len(widths) - 1)


def wrap_text(text: str, width: int | None, *, hanging: int = 0) -> list[str]:
    """Break a line at its spaces.

    Args:
        text: One line.
        width: Terminal columns; a longer word is not broken. None leaves the line whole.
        hanging: How far every line but the first is indented.
    """
    if width is None or text_width(text) <= width:
        return [text]
    lines: list[str] = []
    for word in text.split(" "):
        fits = lines and text_width(lines[-1]) + 1 + text_width(word) <= width
        # A word that no line has room for is not helped by a line of its own.
        if fits or (lines and hanging + text_width(word) > width):
            lines[-1] += f" {word}"
        else:
            lines.append(" " * hanging + word if lines else word)
    return [line.rstrip() for line in lines]


def _choose(columns: Sequence[Column], needs: Sequence[int], width: int) -> list[int]:
    least = [
        need if column.cut == "never" else min(need, column.least) for column, need in zip(columns, needs, strict=True)
    ]
    kept: list[int] = []
    for at in sorted(range(len(columns)), key=lambda at: columns[at].rank):
        if columns[at].rank == 0 or _total([least[other] for other in (*kept, at)]) <= width:
            kept.append(at)
    return sorted(kept)


def _shrink(columns: Sequence[Column], widths: dict[int, int], width: int) -> dict[int, int]:
    shrunk = dict(widths)
    surplus = _total(list(shrunk.values())) - width
    while surplus > 0:
        able = [at for at in shrunk if columns[at].cut != "never" and shrunk[at] > columns[at].least]
        if not able:
            break
        shrunk[max(able, key=lambda at: shrunk[at])] -= 1
        surplus -= 1
    return shrunk


def _drop_common_head(texts: Sequence[str], width: int, column: Column) -> Sequence[str]:
    """Leave out what all names begin with, where they do not fit: the names of a sweep differ further on."""
    if column.cut != "middle" or max(map(text_width, texts), default=0) <= width:
        return texts
    common = commonprefix(texts)  # noqa: RUF071 - these are names: letter by letter is what is meant
    end = 1 + max(common.rfind(mark) for mark in "-_/[ ")
    return [ELLIPSIS + text[end:] for text in texts] if end > 1 and len(set(texts)) > 1 else texts


def _fit(text: str, width: int, column: Column) -> str:
    text = cut_text(text, width, middle=column.cut == "middle")
    padding = " " * (width - text_width(text))
    return padding + text if column.align == "right" else text + padding


def _join(cells: Sequence[str]) -> str:
    return GAP.join(cells).rstrip()


def _take(text: str, width: int) -> str:
    reached = accumulate(map(_char_width, text))
    return text[: sum(columns <= width for columns in reached)]


def _char_width(char: str) -> int:
    if unicodedata.category(char) in {"Mn", "Me"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in {"W", "F"} else 1
