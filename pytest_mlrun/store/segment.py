"""Write and open segments: immutable Arrow files of runs, and of their series."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, Final, cast

import pyarrow as pa

from pytest_mlrun.errors import StoreError, StoreWriteError
from pytest_mlrun.records.run import RECORD_VERSION, Artifact, RunRecord
from pytest_mlrun.records.verdict import Verdict
from pytest_mlrun.store.checksum import column_crcs, has_frame, has_stamp, read_crcs, stamp, with_blank
from pytest_mlrun.store.columns import (
    ColumnTooLargeError,
    arrow_type,
    build_array,
    build_column,
    check_bounds,
    number_values,
)
from pytest_mlrun.store.files import map_bytes
from pytest_mlrun.store.guard import Guard, Part
from pytest_mlrun.store.schema import ARTIFACT_FIELDS, GATE_FIELDS, RUN_FIELDS, Kind, load_fields
from pytest_mlrun.store.shred import TypedColumn, complete_layers, plan_columns

BATCH_ROWS: Final = 16_384
"""Rows of one record batch, at most."""

MOST_EXPERIMENTS: Final = 256
"""Experiments that a segment counts one by one."""

_METADATA: Final = b"mlrun"


@dataclass(frozen=True, slots=True)
class SegmentFacts:
    """What a segment says about itself, in its schema's metadata.

    Attributes:
        replaces: Logs (``log:<id>``) and segments whose runs this one holds; closed over what those replaced.
        series: Ids of the series files that belong to it.
        complete: Layers all of whose names have a typed column.
        statuses: Number of runs by status.
        first_us: Earliest start.
        last_us: Latest start.
        experiments: Number of runs by experiment; None if there are too many to say.
        v: Version of the records' form.
    """

    replaces: tuple[str, ...]
    series: tuple[str, ...]
    complete: tuple[str, ...] = ()
    statuses: Mapping[str, int] | None = None
    first_us: int = 0
    last_us: int = 0
    experiments: Mapping[str, int] | None = None
    v: int = RECORD_VERSION

    def to_metadata(self) -> dict[bytes, bytes]:
        """Write the facts as the schema's metadata.

        Returns:
            One entry, ``mlrun``, of JSON.
        """
        content: dict[str, Any] = {
            "v": self.v,
            "replaces": list(self.replaces),
            "pts": list(self.series),
            "complete": list(self.complete),
            "stats": {"started_us": [self.first_us, self.last_us], "status": dict(self.statuses or {})},
        }
        if self.experiments is not None:
            content["stats"] |= {"experiment": dict(self.experiments)}
        return {_METADATA: json.dumps(content, sort_keys=True, separators=(",", ":")).encode("utf-8")}

    @classmethod
    def from_metadata(cls, metadata: Mapping[bytes, bytes] | None) -> SegmentFacts:
        """Read the facts.

        Args:
            metadata: The schema's metadata.

        Returns:
            The facts.

        Raises:
            ValueError: They are missing or not JSON.
        """
        content = json.loads((metadata or {}).get(_METADATA, b""))
        try:
            first_us, last_us = content["stats"]["started_us"]
            return cls(
                replaces=tuple(content["replaces"]),
                series=tuple(content["pts"]),
                complete=tuple(content["complete"]),
                statuses=content["stats"]["status"],
                first_us=first_us,
                last_us=last_us,
                experiments=content["stats"].get("experiment"),
                v=content["v"],
            )
        except (KeyError, TypeError) as error:
            raise ValueError("the segment's metadata lack a field") from error


@dataclass(frozen=True, slots=True)
class Segment:
    """An open segment. Its columns are mapped: rows cost nothing until they are read.

    Attributes:
        id: Id of the segment; ``log:<id>`` for the runs of a live log in the same form.
        facts: What it says about itself.
        batches: Its rows.
        schema: Their schema.
        intact: Whether its bytes are those that were written; of a guarded one, the bytes of its frame.
        guards: What is known of the columns of each batch; none where all bytes were compared.
    """

    id: str
    facts: SegmentFacts
    batches: tuple[pa.RecordBatch, ...]
    schema: pa.Schema
    intact: bool = True
    guards: tuple[Guard, ...] = ()

    @property
    def rows(self) -> int:
        """Number of runs."""
        return sum(batch.num_rows for batch in self.batches)

    @property
    def parts(self) -> tuple[Part, ...]:
        """Its rows, to be compared with their checksums as they are read."""
        guards = self.guards or (Guard(self.id),) * len(self.batches)
        return tuple(Part(batch, guard) for batch, guard in zip(self.batches, guards, strict=True))


def write_segment(
    path: Path, records: Sequence[RunRecord], *, replaces: tuple[str, ...], series: tuple[str, ...]
) -> None:
    """Write run rows, uncompressed so that a reader can map them.

    Args:
        path: The file.
        records: The runs, sorted by run id.
        replaces: See ``SegmentFacts``.
        series: Ids of the series files.
    """
    write_batches(path, build_runs(records, replaces=replaces, series=series))


def write_batches(path: Path, batches: Sequence[pa.RecordBatch]) -> None:
    """Write the rows of a segment as they are.

    Args:
        path: The file.
        batches: Rows of one schema, whose metadata are those of ``SegmentFacts``; at least one batch.
    """
    schema = with_blank(batches[0].schema, frame=True)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch, custom_metadata=column_crcs(batch))
    stamp(path, schema)


def build_runs(
    records: Sequence[RunRecord], *, replaces: tuple[str, ...] = (), series: tuple[str, ...] = ()
) -> tuple[pa.RecordBatch, ...]:
    """Build the rows of a segment.

    Args:
        records: The runs.
        replaces: See ``SegmentFacts``.
        series: Ids of the series files.

    Returns:
        Record batches of one schema; at least one.
    """
    shredded = plan_columns(records)
    starts = [record.started_us for record in records]
    experiments = Counter(record.experiment for record in records)
    facts = SegmentFacts(
        replaces=replaces,
        series=series,
        complete=complete_layers(records),
        statuses=Counter(record.status for record in records),
        first_us=min(starts, default=0),
        last_us=max(starts, default=0),
        experiments=experiments if len(experiments) <= MOST_EXPERIMENTS else None,
    )
    fixed = [pa.field(name, arrow_type(kind), nullable=kind.endswith("?")) for name, kind in RUN_FIELDS.items()]
    schema = pa.schema([*fixed, *(column.field for column in shredded)], metadata=facts.to_metadata())
    batches = [
        batch
        for at in range(0, max(len(records), 1), BATCH_ROWS)
        for batch in _build_batches(records[at : at + BATCH_ROWS], shredded, schema)
    ]
    return tuple(batches)


def _build_batches(
    records: Sequence[RunRecord], shredded: Sequence[TypedColumn], schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    try:
        columns = [
            build_column(kind, [getattr(record, name) for record in records]) for name, kind in RUN_FIELDS.items()
        ]
    except ColumnTooLargeError:
        half = len(records) // 2
        if not half:
            raise StoreWriteError(
                "a text of one run is too long to be sealed: more than 2 GiB",
                where=f"run {records[0].short_id}",
                next_step="log it as an artifact; the log keeps what was recorded",
            ) from None
        yield from _build_batches(records[:half], shredded, schema)
        yield from _build_batches(records[half:], shredded, schema)
        return
    columns += [build_array(column.field.type, column.read(records)) for column in shredded]
    yield pa.RecordBatch.from_arrays(columns, schema=schema)


def read_facts(path: Path) -> SegmentFacts:
    """Read what a segment says about itself, and none of its rows.

    Args:
        path: The file.

    Returns:
        The facts; they may be wrong if the file is damaged.

    Raises:
        FileNotFoundError: The file is gone.
        ValueError: The file cannot be opened.
    """
    try:
        with pa.memory_map(str(path)) as source:
            return SegmentFacts.from_metadata(pa.ipc.open_file(source).schema.metadata)
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise ValueError(str(error).splitlines()[0]) from error


def open_segment(path: Path, *, guarded: bool = False) -> Segment:
    """Open a segment.

    Args:
        path: The file.
        guarded: Whether its columns may be compared with their checksums as they are read, by way of ``parts``, instead
            of all bytes now.

    Returns:
        The segment; its columns stay mapped while it lives, also when the file is removed. If it is not ``intact``,
        anything it says may be wrong.

    Raises:
        FileNotFoundError: The file is gone, as after a compaction.
        ValueError: The file cannot be opened.
    """
    try:
        content = map_bytes(path)
        reader = pa.ipc.open_file(pa.BufferReader(content))
        found = [reader.get_batch_with_custom_metadata(at) for at in range(reader.num_record_batches)]
        batches = tuple(one.batch for one in found)
        for batch in batches:
            batch.validate()
        crcs = [read_crcs(one.batch, one.custom_metadata) for one in found] if guarded else [None]
        framed = None if None in crcs else has_frame(content, reader.schema.metadata)
        intact = has_stamp(content, reader.schema.metadata) if framed is None else framed
        facts = SegmentFacts.from_metadata(reader.schema.metadata)
        _check_columns(reader.schema)
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError, StoreError) as error:
        raise ValueError(str(error).splitlines()[0]) from error
    guards = () if framed is None else tuple(Guard(path.stem, columns) for columns in crcs)
    return Segment(path.stem, facts, batches, reader.schema, intact, guards)


def _check_columns(schema: pa.Schema) -> None:
    optional = {field.name for field in fields(RunRecord) if field.default is not MISSING}
    for name, kind in RUN_FIELDS.items():
        at, expected = schema.get_field_index(name), arrow_type(kind)
        if at < 0 and name not in optional:
            raise ValueError(f"there is no column {name!r}")
        # Nested columns may gain fields in a later version; all others are what they always were.
        if at >= 0 and schema.field(at).type != expected and not pa.types.is_nested(expected):
            raise ValueError(f"column {name!r} has type {schema.field(at).type}, not {expected}")


def decode_runs(batch: pa.RecordBatch) -> list[RunRecord]:
    """Turn rows into records.

    Args:
        batch: Rows of a segment; columns that an older version did not write keep their defaults.

    Returns:
        One record a row.

    Raises:
        ValueError: The rows are damaged.
    """
    columns: dict[str, list[object]] = {}
    for name, kind in RUN_FIELDS.items():
        at = batch.schema.get_field_index(name)
        if at < 0:
            continue
        column = batch.column(at)
        check_bounds(column)
        columns[name] = number_values(column).tolist() if kind == "time" else _decode(kind, column.to_pylist())
    make = cast("Callable[..., RunRecord]", RunRecord)
    return [make(**dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True)]


def _decode(kind: Kind, values: list[object]) -> list[object]:
    if kind in {"texts", "numbers"}:
        return [dict(row) for row in cast("list[list[tuple[str, object]]]", values)]
    rows = cast("list[list[dict[str, object]]]", values)
    if kind == "artifacts":
        return [tuple(load_fields(Artifact, ARTIFACT_FIELDS, item) for item in row) for row in rows]
    if kind == "gates":
        return [tuple(load_fields(Verdict, GATE_FIELDS, item) for item in row) for row in rows]
    return values
