"""Keep what is provably intact of a damaged segment or log: runs whose own digest holds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

import pyarrow as pa

from pytest_mlrun.records.run import RunRecord
from pytest_mlrun.store.digest import compute_run_digest
from pytest_mlrun.store.segment import Segment, SegmentFacts, build_runs, decode_runs

_BROKEN: Final = (ValueError, TypeError, KeyError, OverflowError, pa.ArrowException)


@dataclass(frozen=True, slots=True)
class Damage:
    """A file of the store that is not as it was written.

    Attributes:
        path: The file.
        message: What is wrong with it; empty if only runs of it are.
        run_ids: Runs that are not shown because of it, as far as they can be named.
    """

    path: str
    message: str
    run_ids: tuple[str, ...] = ()


def is_intact(record: RunRecord) -> bool:
    """Say whether a run is what was recorded.

    Args:
        record: The run; one that is under way has no digest yet.

    Returns:
        Whether its digest holds.
    """
    return record.status.startswith("running") or compute_run_digest(record) == record.digest


def salvage(segment: Segment) -> tuple[Segment, tuple[str, ...]]:
    """Keep the intact runs of a segment; its typed columns, which no digest covers, are made anew.

    Args:
        segment: The segment.

    Returns:
        The segment without the other runs, and the ids of these as far as they can be read.
    """
    kept, lost = decode_sound(segment)
    batches = build_runs(kept, replaces=segment.facts.replaces, series=segment.facts.series)
    schema = batches[0].schema
    facts = SegmentFacts.from_metadata(schema.metadata)
    return replace(segment, facts=facts, batches=batches, schema=schema, guards=()), lost


def decode_sound(segment: Segment) -> tuple[list[RunRecord], tuple[str, ...]]:
    """Decode the intact runs of a segment.

    Args:
        segment: The segment.

    Returns:
        Them, and the ids of the other runs as far as they can be read.
    """
    kept: list[RunRecord] = []
    lost: list[str] = []
    for record in _decode_each(segment):
        if is_intact(record):
            kept.append(record)
        else:
            lost.append(record.run_id)
    return kept, tuple(lost)


def _decode_each(segment: Segment) -> Iterator[RunRecord]:
    for batch in segment.batches:
        try:
            yield from decode_runs(batch)
        except _BROKEN:
            for at in range(batch.num_rows):
                with suppress(*_BROKEN):
                    yield from decode_runs(batch.slice(at, 1))
