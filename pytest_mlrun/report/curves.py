"""Draw series over each other in a terminal, each marked by a letter of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from pytest_mlrun.errors import ConfigError
from pytest_mlrun.report.facts import show_number
from pytest_mlrun.report.table import Column, lay_out
from pytest_mlrun.rules.thinning import thin

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from plotille import Canvas

    from pytest_mlrun.rules.thinning import Strokes

LETTERS = "abcdefghijklmnopqrstuvwxyz"
_COLOURS = ("blue", "yellow", "magenta", "cyan", "green", "red")
_HEIGHT = 16
_LEAST_WIDTH = 20
_EMPTY = "\u2800"
"""Braille without a dot, which some fonts show as a box."""
_DOTS = 2
"""Dots of braille that stand side by side in one column."""
_MARKS = 6
"""How often each curve is marked with its letter."""


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """One series.

    Attributes:
        label: What the legend calls it, in columns: the metric, the run.
        steps: Step of each point, in logged order.
        values: Value of each point.
    """

    label: tuple[str, ...]
    steps: NDArray[np.int64]
    values: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Frame:
    """What the axes span."""

    left: float
    right: float
    low: float
    high: float

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Return where a point is, each between 0 and 1."""
        return _share(x, self.left, self.right), _share(y, self.low, self.high)


def draw_curves(curves: Sequence[Curve], *, width: int, colour: bool) -> Iterator[str]:
    """Yield the lines of the drawing.

    Args:
        curves: Up to 26 series.
        width: Columns that a line may take.
        colour: Whether the terminal shows colours; every curve has its letter besides.

    Raises:
        ConfigError: The library that draws is not installed.
    """
    strokes = [thin(curve.steps, curve.values, most_bins=width * _DOTS) for curve in curves]
    if not any(strokes):
        return
    frame = _frame_of(strokes)
    labels = [show_number(frame.high), show_number(frame.low / 2 + frame.high / 2), show_number(frame.low)]
    margin = max(map(len, labels))
    canvas = _make_canvas(max(width - margin - 2, _LEAST_WIDTH))
    for at, pieces in enumerate(strokes):
        _draw(canvas, frame, pieces, _colour_of(at, colour=colour))
    # All letters after all lines, so that no line hides one.
    for at, pieces in enumerate(strokes):
        _mark(canvas, frame, pieces, at, among=len(strokes), colour=_colour_of(at, colour=colour))
    rows = canvas.plot().replace(_EMPTY, " ").split("\n")
    ticks = dict(zip((0, (len(rows) - 1) // 2, len(rows) - 1), labels, strict=True))
    for at, row in enumerate(rows):
        yield f"{ticks.get(at, ''):>{margin}} {'┤' if at in ticks else '│'}{row}".rstrip()
    yield " " * margin + " └" + "─" * canvas.width
    yield " " * (margin + 2) + _step_axis(frame, canvas.width)


def legend_lines(curves: Sequence[Curve], *, width: int | None) -> tuple[str, ...]:
    """Return a line for each curve: its letter, what it is, its points, its last, lowest and highest value.

    Args:
        curves: The series.
        width: Columns that a line may take; None for as many as it needs.
    """
    rows = [(LETTERS[at], *curve.label, *_describe(curve)) for at, curve in enumerate(curves)]
    labels = [Column("", cut="middle", least=10) for _ in curves[0].label]
    columns = [Column(""), *labels, Column("", align="right"), Column("", rank=1), Column("", rank=2)]
    return lay_out([*columns, Column("", rank=3)], rows, width=width).rows


def _make_canvas(width: int) -> Canvas:
    try:
        from plotille import Canvas
    except ImportError:
        raise ConfigError(
            "curves are drawn by plotille, which is not installed",
            next_step="pip install 'pytest-mlrun[curves]'; or --json for the points",
        ) from None
    # Half a cell of room on every side: a point on the edge belongs to the outermost cell.
    x_room, y_room = 0.5 / width, 0.5 / _HEIGHT
    return Canvas(width, _HEIGHT, -x_room, -y_room, 1 + x_room, 1 + y_room, mode="names")


def _draw(canvas: Canvas, frame: _Frame, pieces: Strokes, colour: str | None) -> None:
    for xs, ys in pieces:
        places = [frame.place(float(x), float(y)) for x, y in zip(xs, ys, strict=True)]
        canvas.point(*places[0], color=colour)
        for (x0, y0), (x1, y1) in pairwise(places):
            canvas.line(x0, y0, x1, y1, color=colour)


def _colour_of(at: int, *, colour: bool) -> str | None:
    return _COLOURS[at % len(_COLOURS)] if colour else None


def _mark(canvas: Canvas, frame: _Frame, pieces: Strokes, at: int, *, among: int, colour: str | None) -> None:
    points = [point for xs, ys in pieces for point in zip(xs, ys, strict=True)]
    if not points:
        return
    # Each curve has its letters at other steps: where two curves lie on each other both letters are seen.
    for number in range(_MARKS):
        share = (number + (at + 0.5) / among) / _MARKS
        wanted = frame.left + (frame.right - frame.left) * share
        x, y = min(points, key=lambda point: abs(point[0] - wanted))
        canvas.point(*frame.place(float(x), float(y)), marker=LETTERS[at], color=colour)


def _frame_of(strokes: Sequence[Strokes]) -> _Frame:
    pieces = [piece for one in strokes for piece in one]
    return _Frame(
        left=min(float(xs[0]) for xs, _ in pieces),
        right=max(float(xs[-1]) for xs, _ in pieces),
        low=min(float(ys.min()) for _, ys in pieces),
        high=max(float(ys.max()) for _, ys in pieces),
    )


def _share(value: float, low: float, high: float) -> float:
    # Halves: the distance of two numbers near the largest float would be infinite.
    span = high / 2 - low / 2
    return (value / 2 - low / 2) / span if span > 0 else 0.5


def _step_axis(frame: _Frame, width: int) -> str:
    left, right = f"{frame.left:.0f}", f"{frame.right:.0f}"
    if frame.left == frame.right:
        return f"step {left}".center(width).rstrip()
    middle = "step".center(width - len(left) - len(right))
    return left + middle + right


def _describe(curve: Curve) -> tuple[str, str, str, str]:
    finite = [float(value) for value in curve.values[_finite(curve)]]
    odd = len(curve.values) - len(finite)
    count = len(curve.values)
    return (
        "1 point" if count == 1 else f"{count} points",
        f"last {show_number(float(curve.values[-1]))}" if count else "",
        f"min {show_number(min(finite))}  max {show_number(max(finite))}" if finite else "",
        f"{odd} not finite" if odd else "",
    )


def _finite(curve: Curve) -> NDArray[np.bool_]:
    import numpy as np

    return np.isfinite(curve.values)
