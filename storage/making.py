"""What the journal has and the database has not: folded, and made in order, those of a kind at once, in a transaction.

Whoever needs the database as it is in truth asks for `catch_up` first: readers, and writers that have to look. Else it
follows by itself a moment later. All of them may ask at once, from any thread; one of them does the work.
"""

import logging
import threading
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import contextmanager

import duckdb
from duckdb import DuckDBPyConnection

from storage import queries
from storage.errors import UnavailableError
from storage.folding import folded
from storage.grouping import grouped
from storage.journal import Change, Entry

logger = logging.getLogger(__name__)

_SQL = queries.load("database")
_AT_FAULT = (duckdb.DataError, duckdb.IntegrityError, duckdb.ProgrammingError, duckdb.NotSupportedError)
"""What DuckDB raises for a change that cannot be made; everything else is about the disk or the memory."""

FILES = ("assistants", "bindings", "calls", "events", "feedback", "garbage", "prices", "runs", "threads")
"""Whose statements a change may name."""

_STATEMENTS = {file: queries.load(file) for file in FILES}


class Backlog:
    """Entries that wait to be made, oldest first, and the connection that makes them."""

    def __init__(self, db: DuckDBPyConnection) -> None:
        self._db = db
        self._waiting: deque[Entry] = deque()
        self._turn = threading.Lock()
        (self.made,) = queries.one(db, _SQL["made"]) or (0,)
        """Number of the last entry that the database has made."""

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, entry: Entry) -> None:
        self._waiting.append(entry)

    def mentions(self, keys: set[str]) -> bool:
        """Whether something that waits is about one of these."""
        return any(change.key in keys for entry in tuple(self._waiting) for change in entry.changes)

    def catch_up(self) -> None:
        """Make all that was added before this was called. Raises UnavailableError where the disk refuses."""
        if not self._waiting:
            return
        with self._turn:
            if entries := list(self._waiting):
                self._make(entries)
                self.made = entries[-1].number
                for _ in entries:
                    self._waiting.popleft()

    @contextmanager
    def foreseen(self, db: DuckDBPyConnection) -> Generator[None, None, None]:
        """In the block `db` shows what waits as if it had been made. Nothing of it is written: the disk may be full."""
        with self._turn:
            db.begin()
            try:
                make(db, [change for entry in self._waiting for change in entry.changes])
            except BaseException:
                db.rollback()
                raise
        try:
            yield
        finally:
            db.rollback()

    def _make(self, entries: list[Entry]) -> None:
        changes, number = [change for entry in entries for change in entry.changes], entries[-1].number
        try:
            try:
                self._together(changes, number)
            except _AT_FAULT:
                logger.exception("%s changes could not be made together; each is made alone", len(changes))
                self._one_by_one(changes, number)
        except duckdb.Error as error:  # nothing is wrong with the changes; they wait
            raise UnavailableError(f"The database cannot take in what was kept: {error}") from error

    def _together(self, changes: Sequence[Change], number: int) -> None:
        with queries.transaction(self._db):
            make(self._db, changes)
            self._db.execute(_SQL["note_made"], {"number": number})

    def _one_by_one(self, changes: Sequence[Change], number: int) -> None:
        """What cannot be made at all is a fault of ours; it holds up nobody else."""
        with queries.transaction(self._db):
            self._db.execute(_SQL["note_made"], {"number": number})
        for change in changes:
            try:
                make(self._db, [change])
            except _AT_FAULT:
                logger.exception("A change of %s %s was lost: %s", change.file, change.key, change.row)


def make(db: DuckDBPyConnection, changes: Sequence[Change]) -> None:
    made = folded(changes)
    for group in grouped(made):
        first = made[group[0]]
        queries.run(db, _STATEMENTS[first.file], first.name, [made[position].row for position in group])
