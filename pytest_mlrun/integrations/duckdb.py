"""Ask the tables of a store in SQL: DuckDB sees them, no file and no network, and can change nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pytest_mlrun.errors import MlrunError, QueryError
from pytest_mlrun.store.flat import TABLES

if TYPE_CHECKING:
    import duckdb

    from pytest_mlrun.store.flat import TableName
    from pytest_mlrun.store.reader import Reader

_CONFIG: Final[Mapping[str, str]] = {
    "enable_external_access": "false",  # no file, no download
    "python_enable_replacements": "false",  # no variable of this process
    "autoload_known_extensions": "false",
    "autoinstall_known_extensions": "false",
    "lock_configuration": "true",
}
_WORD: Final = re.compile(r"\w+")
_READS: Final = ("SELECT", "EXPLAIN")
_EXAMPLE: Final = """select name, "m.val_auc" from runs order by 2 desc limit 5"""
_HELP: Final = f"the tables are {', '.join(TABLES)}; a name with a dot stands in double quotes: {_EXAMPLE}"


class Answer(NamedTuple):
    """The rows that answer a query.

    Attributes:
        columns: Their names.
        rows: Python values; times are UTC.
    """

    columns: tuple[str, ...]
    rows: list[tuple[object, ...]]


def ask(reader: Reader, query: str) -> Answer:
    """Answer a query; of the store only the tables that it names are read.

    Args:
        reader: The store.
        query: One SELECT.

    Returns:
        The answer.

    Raises:
        QueryError: DuckDB is not installed, or does not understand the query.
        StoreDamagedError: A table cannot be read.
    """
    try:
        import duckdb
    except ImportError:
        raise QueryError(
            "sql needs DuckDB, which is not installed", next_step="pip install 'pytest-mlrun[sql]'"
        ) from None
    try:
        with duckdb.connect(":memory:", config=dict(_CONFIG)) as session:
            _check_kind(session.extract_statements(query))
            named = _named_tables(reader, query, session, mistake=duckdb.Error)
        with duckdb.connect(":memory:", config=dict(_CONFIG)) as session:
            for name in named:
                session.register(name, reader.table(name, zone=False))
            result = session.execute(query)
            return Answer(tuple(column[0] for column in result.description or ()), result.fetchall())
    except duckdb.Error as error:
        raise _refuse(error) from error


def _check_kind(statements: list[Any]) -> None:
    kinds = [statement.type.name.removesuffix("_STATEMENT") for statement in statements]
    if len(kinds) != 1 or kinds[0] not in _READS:
        found = f"found {len(kinds)} statements" if len(kinds) != 1 else f"found {kinds[0]}"
        raise QueryError(f"sql takes one SELECT, {found}", next_step=_HELP)


def _named_tables(
    reader: Reader, query: str, session: duckdb.DuckDBPyConnection, *, mistake: type[Exception]
) -> list[TableName]:
    """Find the tables that a query names, by asking it of empty ones."""
    for name in TABLES:
        session.register(f"empty_{name}", reader.schema(name).empty_table())
        session.execute(f"create table {name} as from empty_{name}")
    try:
        named = session.get_table_names(query)
    except (
        mistake
    ):  # also raised for a join with USING, which is none; whoever made one hears of it when it is executed
        named = {word.lower() for word in _WORD.findall(query)}
    return [name for name in TABLES if name in named]


def _refuse(error: Exception) -> MlrunError:
    first, *rest = str(error).splitlines()
    return QueryError(
        f"the query has no answer: {first}", details=tuple(line for line in rest if line.strip()), next_step=_HELP
    )
