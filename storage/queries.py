"""Named SQL from files, how it is run for many rows at once, and values for its columns.

No SQL is ever put together from strings. A statement that is run for rows comes twice: `name` for one row, and
`name_each` for several, of which each parameter is a list with an element per row; a rare one need not have the second.
What a statement costs is its planning (measured: 0.4 to 0.8 ms, and hardly more for ten rows than for one); for one row
the first form takes half as long as the second.
"""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from types import MappingProxyType
from typing import Any

import duckdb
import msgspec
from duckdb import DuckDBPyConnection, Statement

from storage import texts

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@cache
def load(name: str) -> Mapping[str, Statement]:
    """The statements of `sql/<name>.sql`, each under the name that its `-- name:` line gives.

    They are parsed here, once, which saves a fifth of what each run of them takes.
    """
    with duckdb.connect() as db:  # opening one costs more than all that is parsed with it
        return MappingProxyType({name: _parsed(db, sql) for name, sql in texts.load(name).items()})


def run(
    db: DuckDBPyConnection, statements: Mapping[str, Statement], name: str, rows: Sequence[dict[str, Any]]
) -> list[tuple[Any, ...]]:
    """Run a statement for all `rows` at once, and return what it found. Rows have the same keys."""
    match rows:
        case []:
            return []
        case [row]:
            return db.execute(statements[name], row).fetchall()
        case _ if f"{name}_each" not in statements:
            return [found for row in rows for found in db.execute(statements[name], row).fetchall()]
        case _:
            columns = {column: [row[column] for row in rows] for column in rows[0]}
            return db.execute(statements[f"{name}_each"], columns).fetchall()


def one(db: DuckDBPyConnection, statement: Statement, given: dict[str, Any] | None = None) -> tuple[Any, ...] | None:
    """The row that a statement finds, of which there is one at most.

    `fetchone` leaves the statement's transaction open until the connection's next one, even where there is no second
    row. As long as a connection rests like that, DuckDB keeps the old version of all that is changed, in memory, and
    cannot fold its log into the file.
    """
    rows = db.execute(statement, given).fetchall()
    return rows[0] if rows else None


@contextmanager
def transaction(db: DuckDBPyConnection) -> Generator[None, None, None]:
    db.begin()
    try:
        yield
    except BaseException:
        db.rollback()
        raise
    db.commit()  # one that fails has rolled back already


def encode(value: Any) -> str:
    """For a column of JSON."""
    return msgspec.json.encode(value).decode()


def moment(microseconds: int) -> datetime:
    """From a column of time, read as microseconds since 1970: DuckDB's own datetimes take ten times as long."""
    return _EPOCH + timedelta(microseconds=microseconds)


def moment_or_none(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else moment(microseconds)


def _parsed(db: DuckDBPyConnection, sql: str) -> Statement:
    (statement,) = db.extract_statements(sql)
    return statement
