"""The fence around the SQLite files: only the actor that holds a thread now may write to it.

Every process writes to them, so that each knows the highest epoch that has written there: whoever writes raises it in
the same transaction. The fence of the ledger, which has one writer, is `Writer.fence`.
"""

import sqlite3

from storage import texts
from storage.errors import StaleError

BEFORE_ANY = 0
"""The epoch of what is written for a thread that no actor has held yet."""

_SQL = texts.load("sqlite/epochs")


def create(db: sqlite3.Connection) -> None:
    """Make a file of SQLite ready for `hold`."""
    db.execute(_SQL["create"])


def hold(db: sqlite3.Connection, thread_id: str, epoch: int) -> None:
    """From here on, older epochs write nothing for the thread to this file. Raises StaleError if this is an older one.

    Part of the caller's transaction. What it notes stays when the thread is deleted: whoever held it then may wake up
    at any time, and if it is made again its epochs go on from there, in the ledger too.
    """
    if not db.execute(_SQL["hold"], {"thread_id": thread_id, "epoch": epoch}).rowcount:
        raise StaleError


def check(db: sqlite3.Connection, thread_id: str, epoch: int) -> None:
    """Raises StaleError if a later epoch has written for the thread than this one, which has."""
    if db.execute(_SQL["overtaken"], {"thread_id": thread_id, "epoch": epoch}).fetchone():
        raise StaleError
