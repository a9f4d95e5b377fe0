"""Tell held-out rows and models by their content, and show no more digits of a score than chance leaves."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import TYPE_CHECKING

from pytest_mlrun.errors import DataError
from pytest_mlrun.records.project import DataSource
from pytest_mlrun.records.verdict import Verdict

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ROLE = "holdout"
USUAL_LOOKS = 20
_DECIMALS = 6
_EXACT = 2**53


@dataclass(frozen=True, slots=True)
class Shown:
    """How much of a score on held-out rows is shown.

    Attributes:
        exact: The score.
        step: What it is rounded to; 0 for not at all.
    """

    exact: float
    step: float

    @property
    def value(self) -> float:
        """The score as it is recorded."""
        return round_to(self.exact, self.step)


def data_of(split: str, given: str | None, *, used: Iterable[str], known: Mapping[str, DataSource]) -> str | None:
    """Return the held-out snapshot that an evaluated split is of; None where it is of none.

    Args:
        split: Name of the split.
        given: Name of the snapshot, if the test says it.
        used: Snapshots that the run has asked for.
        known: What ``mlrun.toml`` says of each.

    Raises:
        DataError: If the name is not known, or the rows may be of either kind of snapshot.
    """
    if given is not None:
        if given not in known:
            raise DataError(
                f"evaluate({split!r}): data {given!r} is not in mlrun.toml",
                details=(f"it has: {', '.join(known) or 'no [data]'}",),
                next_step=f"name the snapshot that the rows of {split!r} are of",
            )
        return given if known[given].role == ROLE else None
    asked = tuple(dict.fromkeys(used))
    if split in known and (split in asked or known[split].role == ROLE):
        return split if known[split].role == ROLE else None
    held = [name for name in asked if known[name].role == ROLE]
    if not held:
        return None
    if len(asked) == 1:
        return held[0]
    other = next((name for name in asked if name not in held), asked[0])
    raise DataError(
        f"evaluate({split!r}): nothing says whether these rows are held out",
        details=(f"the run uses {', '.join(repr(name) for name in asked)}; held out: {', '.join(held)}",),
        next_step=f'write evaluate("{split}", …, data="{other}"), or data="{held[0]}" for held-out rows',
    )


# -- by content --------------------------------------------------------------------------------------------------------


def rows_order(ids: NDArray[np.generic], truth: NDArray[np.generic]) -> NDArray[np.intp]:
    """Return the order of rows by id, then label, so that a digest depends on none."""
    import numpy as np

    return np.lexsort((_normal(truth), _normal(ids)))


def digest_rows(ids: NDArray[np.generic], truth: NDArray[np.generic]) -> str:
    """Return the digest of the rows: sha256 over their ids and labels, sorted."""
    order = rows_order(ids, truth)
    return _digest(_normal(ids)[order], _normal(truth)[order])


def digest_model(ids: NDArray[np.generic], truth: NDArray[np.generic], out: NDArray[np.generic]) -> str:
    """Return the digest of a model: sha256 over what it put out on the rows, sorted, to six decimals."""
    import numpy as np

    ordered = out[rows_order(ids, truth)]
    if ordered.dtype.kind in "biuf":
        # -0.0 is 0.0, and a label 1 is a score 1.0.
        return _digest(np.round(ordered.astype("<f8"), _DECIMALS) + 0.0)
    return _digest(_normal(ordered))


def _normal(column: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return whole numbers as integers, other numbers as floats, all else as text: True, 1 and 1.0 are one label."""
    import numpy as np

    if column.dtype.kind == "O":
        column = np.asarray(column.tolist())
    if column.ndim > 1 or column.dtype.kind not in "biuf":
        return np.array([json.dumps(each, default=str, ensure_ascii=False) for each in column.tolist()])
    if column.dtype.kind == "f":
        whole = bool(
            np.all(np.isfinite(column)) and np.all(column == np.floor(column)) and np.all(abs(column) < _EXACT)
        )
        return column.astype("<i8" if whole else "<f8")
    return column.astype("<i8")


def _digest(*columns: NDArray[np.generic]) -> str:
    found = hashlib.sha256()
    for column in columns:
        found.update(f"{column.dtype.kind}{column.shape}".encode())
        found.update(json.dumps(column.tolist()).encode() if column.dtype.kind == "U" else column.tobytes())
    return f"sha256:{found.hexdigest()}"


# -- digits ------------------------------------------------------------------------------------------------------------


def step_of(se: float) -> float:
    """Return 1, 2 or 5 times a power of ten, no finer than a standard error."""
    if not math.isfinite(se) or se <= 0:
        return 0.0
    power = 10.0 ** math.floor(math.log10(se))
    return next(round(times * power, 15) for times in (1, 2, 5, 10) if times * power >= se * (1 - 1e-9))


def decimals_of(step: float) -> int:
    """Return how many decimals a multiple of a step has."""
    return max(0, -math.floor(math.log10(step) + 1e-9)) if step else 15


def round_to(value: float, step: float) -> float:
    """Return the multiple of a step that is nearest."""
    if not step or not math.isfinite(value):
        return value
    return round(round(value / step) * step, decimals_of(step)) + 0.0


def close(verdict: Verdict, step: float, *, told: str) -> Verdict:
    """Return a verdict whose numbers say no more than one standard error tells, and which look it was.

    What was decided on all digits stays: a number is rounded to its own side of the bound.

    Args:
        verdict: What was found.
        step: What the score itself is rounded to.
        told: Which look it was.
    """
    bound = verdict.bound if verdict.margin is None else -verdict.margin
    if verdict.margin is not None and verdict.low is not None and verdict.high is not None:
        width = 2 * NormalDist().inv_cdf(1 - (verdict.alpha or 0.05))
        step = step_of((verdict.high - verdict.low) / width) or step

    def shown(value: float | None) -> float | None:
        return (
            value if value is None or bound is None else _beside(value, step, bound, ceiling=verdict.gate == "ceiling")
        )

    first, *rest = verdict.reason.split("; ") if verdict.margin is not None else ["", *verdict.reason.split("; ")]
    reason = "; ".join(part for part in (first, told, *rest) if part)
    return replace(
        verdict,
        estimate=shown(verdict.estimate),
        low=shown(verdict.low),
        high=shown(verdict.high),
        # One digit of a p-value says more about the score than its standard error does.
        p=None,
        reason=reason,
    )


def _beside(value: float, step: float, bound: float, *, ceiling: bool) -> float:
    def holds(number: float) -> bool:
        return number <= bound if ceiling else number >= bound

    rounded = round_to(value, step)
    if holds(rounded) == holds(value):
        return rounded
    return round_to(rounded + (step if value > rounded else -step), step)
