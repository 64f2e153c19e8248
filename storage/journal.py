"""Changes that have been answered, and that the database makes a moment later.

DuckDB plans every statement anew, which makes a lone write cost 2 to 4 ms and one of two hundred 0.2. So a write is
answered as soon as it is here, in an append to a SQLite file that is synced (0.3 ms); DuckDB makes what has gathered,
and always before somebody reads. After a crash it first makes what is here and not there.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec import Struct

from storage import texts
from storage.errors import UnavailableError

TRIM_AFTER = 500
"""Entries that the database has made, and that may stay, before they are removed together."""

REPEATABLE = frozenset(("insert", "open", "close", "price"))
"""Statements that only add rows, or only remove them, or give a row what it lacks: none changes a row twice."""

EVERY_TABLE = ("runs", "threads", "bindings", "events", "calls", "others")

TOUCHED = MappingProxyType(
    {
        ("runs", "insert"): ("runs",),
        ("runs", "begin"): ("runs",),
        ("runs", "park"): ("runs",),
        ("runs", "wish"): ("runs",),
        ("runs", "settle"): ("runs",),
        ("threads", "insert"): ("threads",),
        ("threads", "occupy"): ("threads",),
        ("threads", "vacate"): ("threads",),
        ("threads", "settle"): ("threads",),
        ("threads", "turn"): ("threads",),
        ("bindings", "insert"): ("bindings",),
        ("bindings", "take"): ("bindings",),
        ("bindings", "number"): ("bindings",),
        ("events", "insert"): ("events",),
        ("calls", "insert"): ("calls",),
        ("calls", "open"): ("calls",),
        ("calls", "close"): ("calls",),
        ("calls", "roll_up"): ("calls", "runs"),
        ("calls", "add_tools"): ("runs",),
    }
)
"""The tables of what runs do, for each statement. Others are rare, and touch every table for all that is known here."""

_SQL = texts.load("sqlite/journal")


class Change(Struct, frozen=True, array_like=True):
    """A row for a named statement."""

    file: str
    name: str
    key: str
    """What it is about, which is a thread or what has none. Changes about others are made in any order."""
    row: dict[str, Any]

    @property
    def kind(self) -> tuple[str, str]:
        return self.file, self.name

    @property
    def keys(self) -> tuple[str, ...]:
        """One for each table that it reads or sets: changes that share none may be made in any order."""
        return tuple(f"{table} {self.key}" for table in TOUCHED.get(self.kind, EVERY_TABLE))

    @property
    def repeatable(self) -> bool:
        return self.name in REPEATABLE


class Entry(Struct, frozen=True):
    """Changes that were answered together."""

    number: int
    """From 1, growing, never used twice."""
    changes: list[Change]


_CHANGES = msgspec.msgpack.Decoder(list[Change])


class NotKeptError(UnavailableError):
    """The disk refuses what is to be written; nothing of it was kept."""


class Journal:
    """One file, with one writer."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def check(self) -> None:
        """Look whether it is one, and change nothing. Raises `sqlite3.Error`."""
        if self._path.exists():
            with closing(sqlite3.connect(self._path)) as db:
                db.execute(_SQL["look"])

    def open(self, made: int) -> list[Entry]:
        """What the database, which has made the entries up to `made`, has still to make."""
        self._db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        self._db.execute(_SQL["log_ahead"])
        self._db.execute(_SQL["sync"])
        self._db.execute(_SQL["create"])
        entries = list(self._after(made))
        self._last = entries[-1].number if entries else made
        self._trimmed = 0
        return entries

    def append(self, changes: Sequence[Change], made: int) -> Entry:
        """Keep `changes`, for good when this returns; forget what the database has `made`. Raises NotKeptError."""
        entry = Entry(self._last + 1, list(changes))
        try:
            with self._db:
                self._write(entry, made)
        except sqlite3.Error as error:
            raise NotKeptError(f"The journal cannot be written: {error}") from error
        self._last = entry.number
        return entry

    def close(self, *, empty: bool) -> None:
        """Let go of the file; one whose entries have all been made goes too."""
        self._db.close()
        if empty:
            self._path.unlink(missing_ok=True)

    def _write(self, entry: Entry, made: int) -> None:
        self._db.execute(_SQL["begin"])
        self._db.execute(_SQL["append"], (entry.number, msgspec.msgpack.encode(entry.changes)))
        if made - self._trimmed >= TRIM_AFTER:
            self._db.execute(_SQL["trim"], (made,))
            self._trimmed = made

    def _after(self, made: int) -> Iterator[Entry]:
        for number, changes in self._db.execute(_SQL["after"], (made,)):
            yield Entry(number, _CHANGES.decode(changes))
