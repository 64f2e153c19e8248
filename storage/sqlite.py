"""SQLite files that several processes write to."""

import sqlite3
import time
from pathlib import Path

from storage import queries

BUSY_FOR = 60.0
"""Seconds to wait for another process that writes to the same file."""

PAUSE = 0.01

_SQL = queries.texts("sqlite/files")


def connect(path: Path) -> sqlite3.Connection:
    """A connection for any OS thread, to a file with a write-ahead log; each statement commits by itself."""
    path.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(path, timeout=BUSY_FOR, check_same_thread=False)
    _log_ahead(db)
    # With a write-ahead log NORMAL survives the death of any process; only a power cut may lose the last moments.
    db.execute(_SQL["sync"])
    return db


def _log_ahead(db: sqlite3.Connection) -> None:
    """SQLite does not wait where two processes make a new file a logging one at once; so we do."""
    until = time.monotonic() + BUSY_FOR
    while True:
        try:
            db.execute(_SQL["log_ahead"])
        except sqlite3.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(PAUSE)
        else:
            return
