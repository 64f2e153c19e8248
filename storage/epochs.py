"""The fence: only the actor that holds a thread now may write to it. It comes first in every write that needs it.

The ledger knows the epoch of each thread. The SQLite files, to which every process writes, know the highest that has
written there: whoever writes raises it in the same transaction.
"""

import sqlite3

from storage import queries
from storage.errors import StaleError
from storage.writer import Writer

BEFORE_ANY = 0
"""The epoch of what is written for a thread that no actor has held yet."""

_SQL = queries.texts("sqlite/epochs")


def fence(writer: Writer, thread_id: str, epoch: int) -> None:
    """Raises StaleError unless this is the current epoch of the thread, which has been looked up."""
    if epoch == 0 or writer.thread(thread_id).epoch != epoch:
        raise StaleError


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
