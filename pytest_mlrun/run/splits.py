"""Record which rows each split holds, and refuse a row in two of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pytest_mlrun.errors import DataError
from pytest_mlrun.rules.row_ids import RowIds, read_row_ids

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from pytest_mlrun.recorder.recording import Recording

_NAMED_ROWS = 5


def add_splits(recording: Recording, rows: Mapping[str, ArrayLike]) -> None:
    """Write count and digest of each split into the record, unless a row is in two splits of the run.

    Raises:
        DataError: If a row is in two splits, or twice in one, or a split was logged already with other rows.
    """
    if not rows:
        raise DataError("log_split was given no split", next_step="write mlrun.log_split(train=ids, val=ids)")
    place = f"log_split of run {recording.plan.name}"
    known = dict(recording.splits)
    facts: dict[str, object] = {}
    for split, given in rows.items():
        ids = read_row_ids(split, given, where=place)
        if split in known and known[split].digest != ids.digest:
            raise DataError(
                f"split {split!r} was logged already, with other rows",
                details=(f"before: {len(known[split])} rows, now: {len(ids)}",),
                where=place,
                next_step="record each fold as a run of its own: with mlrun.child(fold=0) as run: run.log_split(…)",
            )
        _refuse_shared(split, ids, known, place)
        known[split] = ids
        facts |= {f"split.{split}.rows": len(ids), f"split.{split}.digest": ids.digest}
    recording.write_context(facts)
    recording.splits.update(known)


def _refuse_shared(split: str, ids: RowIds, known: Mapping[str, RowIds], place: str) -> None:
    if ids.twice:
        raise _overlap(ids.twice, f"twice in {split!r}", place, "name each row once, by what tells it from every other")
    cure = "split by the identity of the rows, so that none is used to fit and to judge"
    for other, others in known.items():
        shared = others.shared(ids) if other != split else []
        if shared:
            raise _overlap(shared, f"in both {other!r} and {split!r}", place, cure)


def _overlap(rows: list[object], found: str, place: str, next_step: str) -> DataError:
    shown = ", ".join(json.dumps(row, default=str) for row in rows[:_NAMED_ROWS])
    count = "1 row is" if len(rows) == 1 else f"{len(rows)} rows are"
    return DataError(
        f"splits overlap: {count} {found}",
        details=(f"rows: {shown}{', …' if len(rows) > _NAMED_ROWS else ''}",),
        where=place,
        next_step=next_step,
    )
