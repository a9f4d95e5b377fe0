"""An event's message, put together from a header made once, is what pyarrow would write."""

from __future__ import annotations

import json

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pytest_mlrun.store.event import EVENT_SCHEMA, Event, EventEncoder, compute_checksum

numbers = st.integers(0, 2**63 - 1)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def write_with_pyarrow(event: Event) -> bytes:
    data = json.dumps(event.content, ensure_ascii=False, separators=(",", ":"))
    cells = (event.kind, event.run_id, data, bytes(event.points))
    crc = compute_checksum(
        event.seq, event.time_us, *(cell.encode() if isinstance(cell, str) else cell for cell in cells)
    )
    row = (event.seq, event.time_us, *cells, crc)
    columns = [pa.array([value], field.type) for value, field in zip(row, EVENT_SCHEMA, strict=True)]
    return bytes(pa.RecordBatch.from_arrays(columns, schema=EVENT_SCHEMA).serialize())


@given(numbers, numbers, st.sampled_from(["log", "start", "points"]), texts, st.dictionaries(texts, texts), st.binary())
def test_an_event_is_written_byte_for_byte_as_pyarrow_writes_it(
    seq: int, time_us: int, kind: str, run_id: str, content: dict[str, str], points: bytes
) -> None:
    event = Event(seq, time_us, kind, run_id, content, memoryview(points))

    assert EventEncoder().encode(event) == write_with_pyarrow(event)
