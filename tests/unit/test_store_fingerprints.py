"""Marks come back from their file bit by bit, and a file that is none is refused."""

from __future__ import annotations

import math

import pyarrow as pa
import pytest

from pytest_mlrun.records.fingerprint import Fingerprint, Mark
from pytest_mlrun.store.fingerprints import decode_marks, encode_marks

ARRAY = Mark(7, "array", "weights/π", Fingerprint("sha256:ab", 5, 2, (math.pi, -0.0, *(1e300,) * 62)))
GENERATOR = Mark(2**62, "generator", "numpy", Fingerprint("sha256:cd"))


@pytest.mark.parametrize("marks", [[], [ARRAY], [GENERATOR, ARRAY, ARRAY]])
def test_marks_come_back_as_they_were(marks: list[Mark]) -> None:
    assert repr(decode_marks(encode_marks(marks))) == repr(marks)


def test_equal_marks_make_equal_bytes() -> None:
    assert encode_marks([ARRAY, GENERATOR]) == encode_marks([ARRAY, GENERATOR])


def other_file() -> bytes:
    sink = pa.BufferOutputStream()
    table = pa.table({"step": [1], "kind": ["array"]})
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"ARROW1",
        encode_marks([ARRAY])[:-40],
        other_file(),
        encode_marks([Mark(1, "array", "weights", Fingerprint("sha256:ab", 1, 0, (1.0,)))]),
    ],
    ids=["empty", "magic", "torn", "other columns", "short sketch"],
)
def test_what_is_no_file_of_marks_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        decode_marks(content)
