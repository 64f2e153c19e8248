"""SQLite files that several processes write to."""

import sqlite3
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from storage import texts
from storage.errors import DamagedError, UnavailableError

BUSY_FOR = 60.0
"""Seconds to wait for another process that writes to the same file."""

PAUSE = 0.01

BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)
BROKEN = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

_SQL = texts.load("sqlite/files")


def connect(path: Path) -> sqlite3.Connection:
    """A connection for any OS thread, to a file with a write-ahead log; each statement commits by itself.

    Raises DamagedError for a file that is broken, and UnavailableError where the disk refuses.
    """
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(path, timeout=BUSY_FOR, check_same_thread=False)
        _log_ahead(db)
        # With a write-ahead log NORMAL survives the death of any process; only a power cut may lose the last moments.
        db.execute(_SQL["sync"])
    return db


@contextmanager
def naming(path: Path) -> Generator[None, None, None]:
    """SQLite's errors do not say which file they are about; ours do."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        kind = DamagedError if is_broken(error) else UnavailableError
        raise kind(f"Cannot use {path}: {error}") from error


def is_broken(error: Exception) -> bool:
    """Whether trying again would be in vain."""
    return isinstance(error, DamagedError) or _code(error) in BROKEN


def _log_ahead(db: sqlite3.Connection) -> None:
    """SQLite does not wait where two processes make a new file a logging one at once; so we do."""
    until = time.monotonic() + BUSY_FOR
    while True:
        try:
            db.execute(_SQL["log_ahead"])
        except sqlite3.OperationalError as error:
            if _code(error) not in BUSY or time.monotonic() > until:
                raise
            time.sleep(PAUSE)
        else:
            return


def _code(error: Exception) -> int:
    """SQLite's primary code of an error; the extended ones have it in their lowest byte."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
