"""Choose the points of a series that a drawing of it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Strokes = list[tuple[NDArray[np.float64], NDArray[np.float64]]]


def thin(steps: NDArray[np.int64], values: NDArray[np.float64], *, most_bins: int) -> Strokes:
    """Return the finite points in the order of their steps, in pieces that end where a point is not finite.

    Args:
        steps: Step of each point.
        values: Value of each point.
        most_bins: Columns of the drawing. Of more points than that the lowest and the highest of each column are kept,
            and of every piece its ends: no peak is lost.

    Returns:
        Steps and values of each piece, none of them empty.
    """
    import numpy as np

    order = np.argsort(steps, kind="stable")
    x, y = steps[order].astype(np.float64), values[order]
    finite = np.isfinite(y)
    pieces = np.cumsum(~finite)[finite]
    x, y = x[finite], y[finite]
    if len(x) > most_bins:
        kept = _keep(x, y, pieces, most_bins)
        x, y, pieces = x[kept], y[kept], pieces[kept]
    cuts = np.flatnonzero(np.diff(pieces)) + 1
    return [piece for piece in zip(np.split(x, cuts), np.split(y, cuts), strict=True) if len(piece[0])]


def _keep(
    x: NDArray[np.float64], y: NDArray[np.float64], pieces: NDArray[np.int64], most_bins: int
) -> NDArray[np.int64]:
    import numpy as np

    span = x[-1] - x[0]
    bins = np.zeros(len(x), dtype=np.int64)
    if span > 0:
        bins = np.minimum(((x - x[0]) * (most_bins / span)).astype(np.int64), most_bins - 1)
    sorted_by_value = np.lexsort((y, bins))
    edges = np.flatnonzero(np.diff(bins[sorted_by_value])) + 1
    lowest = sorted_by_value[np.concatenate(([0], edges))]
    highest = sorted_by_value[np.concatenate((edges, [len(x)])) - 1]
    cuts = np.flatnonzero(np.diff(pieces))
    ends = np.concatenate(([0, len(x) - 1], cuts, cuts + 1))
    # A series that is not finite at every other point has as many ends as points.
    ends = ends if len(ends) <= 4 * most_bins else ends[:2]
    return np.unique(np.concatenate((lowest, highest, ends)))
