"""Turn measured figures into what a report says: medians, ratios, intervals, Markdown. No I/O, no clock."""

from __future__ import annotations

import random
from collections.abc import Sequence
from math import comb
from statistics import median
from typing import TypeVar

DIGITS = 3
_Item = TypeVar("_Item")


def format_number(value: float) -> str:
    """Write a figure with three significant digits, thousands separated."""
    if value == 0:
        return "0"
    if abs(value) >= 10 ** (DIGITS - 1):
        return f"{value:,.0f}"
    return f"{value:#.{DIGITS}g}".rstrip(".")


def markdown_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out a Markdown table; every column but the first is aligned right."""
    widths = [max(len(row[column]) for row in (headers, *rows)) for column in range(len(headers))]

    def line(cells: Sequence[str]) -> str:
        texts = (
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return f"| {' | '.join(texts)} |"

    rules = ("-" * (width + 2) if column == 0 else "-" * (width + 1) + ":" for column, width in enumerate(widths))
    return "\n".join([line(headers), f"|{'|'.join(rules)}|", *(line(row) for row in rows)])


def median_interval(values: Sequence[float], *, confidence: float = 0.9) -> tuple[float, float]:
    """Return an interval that holds the median with the given confidence, whatever the distribution.

    The two are order statistics: the sign test's interval. With too few values it is the whole range.
    """
    ordered = sorted(values)
    count, rank, tail = len(ordered), 0, 0.0
    for below in range(count // 2):
        tail += comb(count, below) / 2**count
        if tail > (1 - confidence) / 2:
            break
        rank = below
    return ordered[rank], ordered[count - 1 - rank]


def paired_difference(values: Sequence[float], baseline: Sequence[float]) -> tuple[float, float, float]:
    """Return the median of the differences taken round by round, and its 90 % interval."""
    differences = [value - other for value, other in zip(values, baseline, strict=True)]
    return (median(differences), *median_interval(differences))


def paired_ratio(values: Sequence[float], baseline: Sequence[float]) -> tuple[float, float, float]:
    """Return the median of the ratios taken round by round, and its 90 % interval."""
    ratios = [value / other for value, other in zip(values, baseline, strict=True)]
    return (median(ratios), *median_interval(ratios))


def shuffled(items: Sequence[_Item], round_number: int) -> list[_Item]:
    """Return the items in the round's own order, always the same, so that none gains by its neighbour."""
    return random.Random(round_number).sample(items, len(items))
