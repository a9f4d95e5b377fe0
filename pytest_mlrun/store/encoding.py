"""Encode tables that people log: Parquet, Arrow, CSV or JSON bytes."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from pytest_mlrun.errors import ArtifactError

if TYPE_CHECKING:
    import pyarrow as pa


def encode_table(table: object, file_format: str) -> bytes:
    """Return a table as a file of the given format.

    Args:
        table: A mapping of columns, a list of rows, an Arrow table, or anything that offers the Arrow stream protocol
            (pandas, polars).
        file_format: ``parquet``, ``arrow``, ``csv`` or ``json`` (one object a line).

    Raises:
        ArtifactError: If the object is not a table, or a column has no Arrow type.
    """
    import pyarrow as pa

    encoders: dict[str, Callable[[pa.Table, io.BytesIO], None]] = {
        "parquet": _write_parquet,
        "arrow": _write_arrow,
        "csv": _write_csv,
        "json": _write_json,
    }
    sink = io.BytesIO()
    try:
        encoders[file_format](_as_arrow(table), sink)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, TypeError, ValueError) as error:
        raise ArtifactError(
            f"not a table: {error}".splitlines()[0],
            where="log_table",
            next_step="pass a mapping of equally long columns, a list of rows, or a data frame",
        ) from None
    return sink.getvalue()


def _write_parquet(table: pa.Table, sink: io.BytesIO) -> None:
    from pyarrow import parquet

    parquet.write_table(table, sink, compression="zstd")


def _write_arrow(table: pa.Table, sink: io.BytesIO) -> None:
    import pyarrow as pa

    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_file(sink, table.schema, options=options) as writer:
        writer.write_table(table)


def _write_csv(table: pa.Table, sink: io.BytesIO) -> None:
    from pyarrow import csv

    csv.write_csv(table, sink)


def _write_json(table: pa.Table, sink: io.BytesIO) -> None:
    sink.write("".join(json.dumps(row, default=str) + "\n" for row in table.to_pylist()).encode())


def _as_arrow(table: object) -> pa.Table:
    import pyarrow as pa

    if isinstance(table, pa.Table):
        return table
    if hasattr(table, "__arrow_c_stream__"):
        return pa.table(table)
    if isinstance(table, Mapping):
        return pa.table({str(name): _as_column(column) for name, column in table.items()})
    if isinstance(table, Sequence) and not isinstance(table, str | bytes):
        return pa.Table.from_pylist([dict(row) for row in table])
    raise TypeError(f"{type(table).__name__} has no columns")


def _as_column(column: object) -> pa.Array:
    import pyarrow as pa

    kind = getattr(getattr(column, "dtype", None), "kind", "")
    # An object array, such as scikit-learn's string labels, holds Python values: Arrow reads those from a list.
    return pa.array(column.tolist() if kind in {"O", "U"} else column)  # type: ignore[attr-defined]
