"""Read back the rows that an evaluation kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pytest_mlrun.errors import StoreDamagedError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def read_columns(content: bytes) -> dict[str, list[object]]:
    """Return the columns of an Arrow file as Python values.

    Args:
        content: The file's bytes, whose digest was compared.

    Raises:
        StoreDamagedError: The bytes are not an Arrow file.
    """
    columns: dict[str, list[object]] = _read(content).to_pydict()
    return columns


def read_arrays(content: bytes) -> dict[str, NDArray[Any]]:
    """Return the columns of an Arrow file as arrays.

    Args:
        content: The file's bytes, whose digest was compared.

    Raises:
        StoreDamagedError: The bytes are not an Arrow file.
    """
    table = _read(content)
    return {
        name: column.combine_chunks().to_numpy(zero_copy_only=False)
        for name, column in zip(table.column_names, table.columns, strict=True)
    }


def _read(content: bytes) -> pa.Table:
    try:
        with pa.ipc.open_file(pa.BufferReader(content)) as file:
            return file.read_all()
    except pa.ArrowException as error:
        raise StoreDamagedError(
            f"the rows of an evaluation cannot be read: {error}".splitlines()[0],
            next_step="see what else is damaged: pytest-mlrun verify",
        ) from error
