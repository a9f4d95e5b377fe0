"""Compare the columns of a segment with their checksums when they are first read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_mlrun.store.checksum import compute_crc

if TYPE_CHECKING:
    import pyarrow as pa


class SpoiltError(Exception):
    """A column of a segment is not what was written: nothing of the segment may be believed.

    Args:
        segment_id: The segment.
    """

    def __init__(self, segment_id: str) -> None:
        super().__init__(segment_id)
        self.segment_id = segment_id


@dataclass(slots=True)
class Guard:
    """What is known of the columns of one batch.

    Attributes:
        segment_id: Segment that the batch belongs to.
        crcs: Checksum of each column; None where the whole file was compared, or made by this process.
        sound: Columns that were compared already.
    """

    segment_id: str
    crcs: tuple[int, ...] | None = None
    sound: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Part:
    """One batch of a segment. A column is compared with its checksum before its first value is read.

    Attributes:
        batch: Its rows, not compared with anything.
        guard: What is known of them.
    """

    batch: pa.RecordBatch
    guard: Guard

    @property
    def num_rows(self) -> int:
        """Number of rows."""
        return int(self.batch.num_rows)

    @property
    def schema(self) -> pa.Schema:
        """Schema of the rows."""
        return self.batch.schema

    @property
    def guarded(self) -> bool:
        """Whether columns are still to be compared."""
        return self.guard.crcs is not None and len(self.guard.sound) < self.batch.num_columns

    def find(self, name: str) -> int:
        """Return the index of a column, or -1."""
        return int(self.batch.schema.get_field_index(name))

    def column(self, name: str) -> pa.Array:
        """Return a column, compared.

        Args:
            name: Its name.

        Raises:
            SpoiltError: It is not what was written.
            KeyError: There is no such column.
        """
        at = self.find(name)
        if at < 0:
            raise KeyError(name)
        column, guard = self.batch.column(at), self.guard
        if guard.crcs is not None and at not in guard.sound:
            if compute_crc(column) != guard.crcs[at]:
                raise SpoiltError(guard.segment_id)
            guard.sound.add(at)
        return column

    def compare_all(self) -> None:
        """Compare every column.

        Raises:
            SpoiltError: One is not what was written.
        """
        if self.guarded:
            for name in self.batch.schema.names:
                self.column(name)
