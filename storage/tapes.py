"""What threads have said, kept for a while: chunks of parts, compressed, in one of several SQLite files by thread id.

Never in the DuckDB file: blobs of this size stall its commits (`design.md`). A chunk that is gone or cannot be read is
a `Gap` for who reads it, never a silence.
"""

import logging
import sqlite3
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from storage import epochs, sqlite, texts
from storage.errors import DamagedError, UnavailableError
from storage.records import Gap, Part, TapeLimits

FILES = 8

LEVEL = 1
"""Of zlib: the fastest. Parts repeat one another so much that it takes them to a tenth all the same."""

OLDEST_AT_ONCE = 100
"""Chunks that are removed together where the tapes are too large."""

_SQL = texts.load("sqlite/tapes")
_PARTS = msgspec.msgpack.Decoder(list[Part])

logger = logging.getLogger(__name__)


class Tapes:
    """Belongs to one OS thread. Raises `sqlite3.Error` or UnavailableError where the disk refuses."""

    def __init__(self, folder: Path, limits: TapeLimits) -> None:
        self._folder = folder
        self._limits = limits
        self._files: dict[int, sqlite3.Connection] = {}
        self._broken: set[int] = set()
        """Files of which some part could not be read: they count as if they kept nothing."""

    def append(self, thread_id: str, epoch: int, previous_seq: int, parts: Sequence[Part]) -> None:
        """Keep parts of a run that follow one another, and part `previous_seq` (0: nothing). Twice is once.

        Raises StaleError if a later epoch of the thread has written already.
        """
        first, last = parts[0], parts[-1]
        data = zlib.compress(msgspec.msgpack.encode(parts), LEVEL)
        with self._file(thread_id) as db:
            epochs.hold(db, thread_id, epoch)
            row = (thread_id, first.run_id, previous_seq, first.seq, last.seq, last.ms, len(data), data)
            db.execute(_SQL["append"], row)
            while self._size(db, first.run_id) > self._limits.run_bytes:
                db.execute(_SQL["trim_run"], (first.run_id,))

    def next(self, thread_id: str, run_id: str, after: int) -> list[Part] | Gap | None:
        """The earliest of what is kept of a run above part `after`; a Gap if some of it is gone; None at the end."""
        if (found := self._found(thread_id, "next", (run_id, after))) is None:
            return None
        previous_seq, last_seq, data = found
        try:
            parts = _PARTS.decode(zlib.decompress(data))
        except (zlib.error, msgspec.DecodeError):
            logger.exception("Parts %s to %s of run %s cannot be read", after + 1, last_seq, run_id)
            return self._gap(thread_id, run_id, after, last_seq)
        if previous_seq > after:
            return _until(after, parts[0])
        return [part for part in parts if part.seq > after]

    def keeps(self, thread_id: str, run_id: str) -> bool:
        """Whether anything of a run is kept."""
        return _number(thread_id) not in self._broken and self._found(thread_id, "keeps", (run_id,)) is not None

    def forget_thread(self, thread_id: str, epoch: int) -> None:
        """Raises StaleError as `append` does."""
        with self._file(thread_id) as db:
            epochs.hold(db, thread_id, epoch)
            db.execute(_SQL["forget_thread"], (thread_id,))

    def prune(self, now_ms: int) -> None:
        """Forget what is too old, then what is too much, then who wrote it."""
        for number in range(FILES):
            try:
                self._prune(number, now_ms)
            except (sqlite3.Error, DamagedError, UnavailableError) as error:  # the others are pruned all the same
                logger.error("Tapes could not be pruned: %s", error)  # noqa: TRY400 - the error names the file

    def close(self) -> None:
        for db in self._files.values():
            db.close()
        self._files.clear()

    def _gap(self, thread_id: str, run_id: str, after: int, last_seq: int) -> Gap:
        """From part `after` to what can be read beyond part `last_seq`."""
        match self.next(thread_id, run_id, last_seq):
            case None:
                return Gap(after, last_seq + 1, None, 0)
            case Gap() as longer:
                return replace(longer, after=after)
            case parts:
                return _until(after, parts[0])

    def _prune(self, number: int, now_ms: int) -> None:
        with self._numbered(number) as db:
            db.execute(_SQL["forget_older"], (now_ms - int(self._limits.hours * 3_600_000),))
            self._trim(db)
            db.execute(_SQL["forget_epochs"])

    def _found(self, thread_id: str, name: str, about: tuple[Any, ...]) -> Any:
        """The first row; None also where the file is broken, of which `keeps` knows."""
        try:
            return self._file(thread_id).execute(_SQL[name], about).fetchone()
        except (sqlite3.DatabaseError, DamagedError) as error:
            if not sqlite.is_broken(error):
                raise
            if (number := _number(thread_id)) not in self._broken:
                self._broken.add(number)
                logger.error("What was said cannot be read: %s", error)  # noqa: TRY400 - as above
            return None

    def _trim(self, db: sqlite3.Connection) -> None:
        while db.execute(_SQL["size"]).fetchone()[0] > self._limits.all_bytes // FILES:
            db.execute(_SQL["forget_oldest"], (OLDEST_AT_ONCE,))

    def _size(self, db: sqlite3.Connection, run_id: str) -> int:
        return db.execute(_SQL["size_of_run"], (run_id,)).fetchone()[0]

    def _file(self, thread_id: str) -> sqlite3.Connection:
        return self._numbered(_number(thread_id))

    def _numbered(self, number: int) -> sqlite3.Connection:
        if number not in self._files:
            self._files[number] = _open(self._folder / f"tapes-{number}.sqlite")
        return self._files[number]


def _number(thread_id: str) -> int:
    return zlib.crc32(thread_id.encode()) % FILES


def _until(after: int, first: Part) -> Gap:
    return Gap(after, first.seq, None, first.ms, first.ms)


def _open(path: Path) -> sqlite3.Connection:
    db = sqlite.connect(path)
    with sqlite.naming(path):
        for name in ("create", "by_thread", "by_age"):
            db.execute(_SQL[name])
        epochs.create(db)
    return db
