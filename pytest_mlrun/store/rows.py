"""Read back the rows that an evaluation kept."""

from __future__ import annotations

import pyarrow as pa

from pytest_mlrun.errors import StoreDamagedError


def read_columns(content: bytes) -> dict[str, list[object]]:
    """Return the columns of an Arrow file as Python values.

    Args:
        content: The file's bytes, whose digest was compared.

    Raises:
        StoreDamagedError: The bytes are not an Arrow file.
    """
    try:
        with pa.ipc.open_file(pa.BufferReader(content)) as file:
            columns: dict[str, list[object]] = file.read_all().to_pydict()
    except pa.ArrowException as error:
        raise StoreDamagedError(
            f"the rows of an evaluation cannot be read: {error}".splitlines()[0],
            next_step="see what else is damaged: pytest-mlrun verify",
        ) from error
    return columns
