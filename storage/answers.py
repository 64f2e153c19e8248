"""Answers to users' SQL as bytes: JSON and CSV here, Arrow where pyarrow is needed for it.

They are made in small batches. DuckDB holds Python's lock while it turns rows into Python values, and the event loop of
the process is to get its turn between.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from decimal import Decimal
from importlib import import_module
from io import RawIOBase
from typing import Any

import msgspec
from duckdb import DuckDBPyConnection, Statement
from typing_extensions import Buffer

from storage.errors import TooLargeError
from storage.questions import LARGEST_ANSWER, Answer, Format, Question

BATCH = 100
"""Rows; turning so many of a wide table into Python values takes some 5 ms."""

EXACT = 2**53
"""Integers up to here are the same in every JSON parser; those beyond it are told as texts."""

_PLAIN = frozenset(
    {"BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "UTINYINT", "USMALLINT", "UINTEGER", "VARCHAR", "JSON", "UUID"}
)
"""Types whose values are told as they are."""

_encode = msgspec.json.Encoder(enc_hook=str).encode


class Sheet(RawIOBase):
    """A file in memory that grows up to a limit. Raises TooLargeError beyond it."""

    def __init__(self, limit: int = LARGEST_ANSWER) -> None:
        super().__init__()
        self._bytes = bytearray()
        self._limit = limit

    def writable(self) -> bool:
        return True

    def write(self, data: Buffer, /) -> int:
        before = len(self._bytes)
        self._bytes += data
        if len(self._bytes) > self._limit:
            raise TooLargeError(f"The answer is larger than {self._limit / 2**20:g} MiB: ask for less")
        return len(self._bytes) - before

    def take(self) -> bytes:
        return bytes(self._bytes)


class Rows:
    """The open result of a cursor in batches, up to `most` rows; afterwards, how many there were, and if all."""

    def __init__(self, cursor: DuckDBPyConnection, most: int) -> None:
        self._cursor = cursor
        self._most = most
        self.count = 0
        self.truncated = False

    def __iter__(self) -> Iterator[list[tuple[Any, ...]]]:
        while batch := self._cursor.fetchmany(min(BATCH, self._most - self.count + 1)):
            kept = batch[: self._most - self.count]
            self.truncated = len(kept) < len(batch)
            self.count += len(kept)
            yield kept
            if self.truncated:
                return


def answer(
    cursor: DuckDBPyConnection, statement: Statement, question: Question, elapsed_ms: Callable[[], float]
) -> Answer:
    """What the statement finds, as it was asked for. Raises TooLargeError, and whatever DuckDB raises."""
    match question.format:
        case Format.JSON:
            return _json(_executed(cursor, statement, question), question.max_rows, elapsed_ms)
        case Format.CSV:
            return _csv(_executed(cursor, statement, question), question.max_rows)
        case Format.ARROW:  # 60 MB and 0.2 s, which only those pay who ask for it
            return import_module("storage.arrow").answer(cursor, statement, question)


def _executed(cursor: DuckDBPyConnection, statement: Statement, question: Question) -> DuckDBPyConnection:
    return cursor.execute(statement) if question.params is None else cursor.execute(statement, question.params)


def columns(cursor: DuckDBPyConnection) -> list[dict[str, str]]:
    return [{"name": name, "type": str(kind)} for name, kind, *_ in cursor.description or ()]


def plain(value: Any) -> Any:
    """A value of DuckDB's as JSON has it: no digit lost, and nothing that JSON has no word for."""
    form = _FORMS.get(type(value))  # texts have none, nor has what msgspec has a form for: times, ids, bytes
    return value if form is None else form(value)


_FORMS: dict[type, Callable[[Any], Any]] = {
    int: lambda value: value if -EXACT <= value <= EXACT else str(value),
    float: lambda value: value if math.isfinite(value) else None,
    Decimal: lambda value: format(value, "f"),
    timedelta: str,
    list: lambda value: [plain(one) for one in value],
    tuple: lambda value: [plain(one) for one in value],
    dict: lambda value: {_key(key): plain(one) for key, one in value.items()},
}


def _key(key: Any) -> str:
    return key if isinstance(key, str) else _text(key) or ""


def _json(cursor: DuckDBPyConnection, most: int, elapsed_ms: Callable[[], float]) -> Answer:
    described, rows, sheet = columns(cursor), Rows(cursor, most), Sheet()
    change = _changed(described)
    sheet.write(b'{"columns":' + _encode(described) + b',"rows":[')
    for batch in rows:
        begun = rows.count > len(batch)
        encoded = _encode([change(row) for row in batch])[1:-1]
        sheet.write(b"," + encoded if begun and encoded else encoded)
    about = {"row_count": rows.count, "truncated": rows.truncated, "elapsed_ms": round(elapsed_ms(), 3)}
    sheet.write(b"]," + _encode(about)[1:])
    return Answer(body=sheet.take(), row_count=rows.count, truncated=rows.truncated)


def _changed(described: list[dict[str, str]]) -> Callable[[tuple[Any, ...]], list[Any]]:
    """How rows of these columns become JSON."""
    asis = [column["type"] in _PLAIN for column in described]

    def change(row: tuple[Any, ...]) -> list[Any]:
        return [value if same else plain(value) for value, same in zip(row, asis, strict=True)]

    return change


def _csv(cursor: DuckDBPyConnection, most: int) -> Answer:
    rows, sheet = Rows(cursor, most), Sheet()
    sheet.write(_line(column["name"] for column in columns(cursor)))
    for batch in rows:
        sheet.write(b"".join(_line(map(_text, row)) for row in batch))
    return Answer(body=sheet.take(), row_count=rows.count, truncated=rows.truncated)


def _text(value: Any) -> str | None:
    """As JSON says it, without its quotation marks; nothing for null."""
    if isinstance(value, str):
        return value
    said = plain(value)
    return None if said is None else _encode(said).decode().strip('"')


def _line(cells: Iterable[str | None]) -> bytes:
    return (",".join(map(_cell, cells)) + "\n").encode()


def _cell(text: str | None) -> str:
    """An empty text is quoted, so that it is not taken for a null."""
    if text is None:
        return ""
    if text and text == text.strip() and not any(mark in text for mark in ',"\n\r'):
        return text
    return '"' + text.replace('"', '""') + '"'
