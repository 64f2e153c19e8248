"""The DuckDB file and its journal: one writer, many readers, never on the event loop.

Query functions take a connection or a writer and know nothing of threads; this decides where they run, and when the
database makes what the journal has.
"""

import asyncio
import logging
import os
import queue
import sqlite3
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import duckdb
import msgspec
from duckdb import DuckDBPyConnection

from storage import queries, texts
from storage.analytics import Analytics
from storage.commits import Write, commit
from storage.deployment import UNSAID, Deployment
from storage.errors import ServiceError, UnavailableError
from storage.journal import Journal
from storage.making import Backlog
from storage.pricing import Pricer
from storage.questions import Answer, Question
from storage.writer import Writer

P = ParamSpec("P")
T = TypeVar("T")

FILE = "treadle.duckdb"
"""In the folder of everything that is kept."""

THREADS = 1
"""DuckDB's own, beside those that call it. With a second one every small statement takes a fifth longer."""

READERS = 4
"""Reads at a time; more wait their turn."""

BEHIND = 1.0
"""Seconds by which the database may follow its journal when nobody reads: what gathers meanwhile costs hardly more."""

AGAIN_AFTER = 1.0
"""Seconds before a full disk is tried again."""

LARGEST_MEMORY = 4 * 2**30

FOLDED_AFTER = "4MB"
"""Of DuckDB's own log, before it folds that into the file. What is in the log is in memory too, uncompressed and with
its indexes: with DuckDB's 16 MB the ledger is 20 MB larger. Writers do not wait for it: they wait for the journal.
"""

ASK = "Ask the server that has it (`treadle sql --url`, POST /analytics/query), or export it (`treadle usage export`)"
"""What a second process can do instead: DuckDB's lock on a file lets nobody else read it either."""

_SQL = queries.load("database")

logger = logging.getLogger(__name__)


class UnreadableError(ServiceError):
    """The database file cannot be read."""


class Database:
    """One DuckDB file and its journal. `open` comes first and may be repeated if it failed; `close` is last."""

    def __init__(
        self, path: str, *, server: Deployment = UNSAID, pricer: Pricer | None = None, patience: float = 10.0
    ) -> None:
        self._path = path
        self._server = server
        self._pricer = pricer
        self._patience = patience
        """Seconds to wait for another process to let go of the file."""
        self._idle: queue.SimpleQueue[DuckDBPyConnection] = queue.SimpleQueue()

    async def open(self) -> None:
        """Raises UnavailableError if another process keeps the file, UnreadableError if it cannot be used."""
        self._journal = Journal(Path(f"{self._path}.journal"))
        with self._naming_the_journal():  # before the database is touched: it is left as it was
            await asyncio.to_thread(self._journal.check)
        self._connection = await self._connect()
        try:
            await asyncio.to_thread(self._open)
        except BaseException:
            self._connection.close()
            raise
        for _ in range(READERS):
            self._idle.put(self._connection.cursor())
        self._writing = ThreadPoolExecutor(1, "ledger-writer")
        self._making = ThreadPoolExecutor(1, "duckdb-writer")
        self._reading = ThreadPoolExecutor(READERS, "duckdb-reader")
        self._analytics = Analytics(self._connection, self._backlog.catch_up, str(Path(self._path).parent))
        self._follower = asyncio.create_task(self._follow(), name="database-follower")

    async def close(self) -> None:
        """Wait for what is running, fold the logs into the file, and let go of it."""
        self._follower.cancel()
        await self._analytics.close()
        await asyncio.to_thread(self._close)

    async def write_each(self, writes: Sequence[Write]) -> list[Any | Exception]:
        """Decide `writes` and keep what they change; for each, what it returned or the exception that it raised."""
        call = partial(commit, self._writer, writes)
        outcomes = await asyncio.get_running_loop().run_in_executor(self._writing, call)
        self._behind.set()
        return outcomes

    async def read(
        self, query: Callable[Concatenate[DuckDBPyConnection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `query` beside the writer. It sees all that was answered before it was asked."""

        def call() -> T:
            cursor = self._idle.get()
            try:
                with self._up_to_date(cursor):
                    return query(cursor, *args, **kwargs)
            finally:
                self._idle.put(cursor)

        return await asyncio.get_running_loop().run_in_executor(self._reading, call)

    async def ask(self, question: Question) -> Answer:
        """Answer a user's SQL beside readers and writer, as `Analytics.ask`."""
        return await self._analytics.ask(question)

    @contextmanager
    def _up_to_date(self, cursor: DuckDBPyConnection) -> Generator[None, None, None]:
        """In the block, the cursor sees all that was answered, also where the disk does not take it in."""
        try:
            self._backlog.catch_up()
        except UnavailableError:
            with self._backlog.foreseen(cursor):
                yield
        else:
            yield

    async def _follow(self) -> None:
        """Have the database make what has gathered, also when nobody reads."""
        is_refused = False
        while True:
            await self._behind.wait()
            self._behind.clear()
            await asyncio.sleep(BEHIND)
            try:
                await asyncio.get_running_loop().run_in_executor(self._making, self._backlog.catch_up)
            except UnavailableError as error:  # the disk is full: what was answered is in the journal
                if not is_refused:
                    logger.error("%s. It stays in the journal, and is tried again.", error)  # noqa: TRY400 - says it all
                self._behind.set()
                is_refused = True
                await asyncio.sleep(AGAIN_AFTER)
            else:
                is_refused = False

    async def _connect(self) -> DuckDBPyConnection:
        """Open the file, as soon as its previous owner has let go of it."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience
        while True:
            try:
                return await asyncio.to_thread(_open, self._path)
            except UnavailableError:
                if loop.time() > deadline:
                    raise
            await asyncio.sleep(0.05)

    def _open(self) -> None:
        """What a crash has left in the journal is made before anything is asked."""
        self._behind = asyncio.Event()
        self._backlog = Backlog(self._connection)
        with self._naming_the_journal():
            for entry in self._journal.open(self._backlog.made):
                self._backlog.add(entry)
        self._backlog.catch_up()
        self._looking = self._connection.cursor()
        self._writer = Writer(self._looking, self._journal, self._backlog, server=self._server, pricer=self._pricer)

    @contextmanager
    def _naming_the_journal(self) -> Generator[None, None, None]:
        try:
            yield
        except (sqlite3.Error, msgspec.DecodeError) as error:
            raise UnreadableError(f"Cannot use {self._path}.journal: {error}") from error

    def _close(self) -> None:
        for executor in (self._writing, self._making, self._reading):
            executor.shutdown()
        self._backlog.catch_up()
        self._journal.close(empty=True)
        self._looking.close()
        for _ in range(READERS):
            self._idle.get().close()
        with closing(self._connection):
            self._connection.checkpoint()


def migrate(db: DuckDBPyConnection) -> None:
    """Apply the schema files that this database has not seen, in order, all or none."""
    with queries.transaction(db):
        db.execute(_SQL["create_made"])
        db.execute(_SQL["begin_made"])
        db.execute(_SQL["create_migrations"])
        (applied,) = queries.one(db, _SQL["applied"]) or (0,)
        files = texts.schema()
        if applied > files[-1][0]:
            raise UnreadableError(f"its schema is number {applied}, and this version of Treadle knows {files[-1][0]}")
        for version, path in files[applied:]:
            db.execute(path.read_text(encoding="utf-8"))
            db.execute(_SQL["record"], {"version": version, "name": path.stem})


def create_views(db: DuckDBPyConnection) -> None:
    """What users ask, as this version of Treadle knows it: made anew at each opening, which takes 40 ms."""
    with queries.transaction(db):
        for path in texts.views():
            db.execute(path.read_text(encoding="utf-8"))


def close_doors(db: DuckDBPyConnection) -> None:
    """No statement reads or writes other files from now on, or changes a setting, whoever wrote it."""
    db.execute(_SQL["limit_spill"])
    db.execute(_SQL["no_files"])
    db.execute(_SQL["lock"])


def open_to_read(path: Path) -> DuckDBPyConnection:
    """Open a file that nobody has open, as it is. Raises UnavailableError and UnreadableError."""
    with _our_own_errors(str(path)):
        db = duckdb.connect(path, read_only=True, config=_settings())
        with _closed_on_failure(db):
            db.execute(_SQL["utc"])
            close_doors(db)
    return db


def _open(path: str) -> DuckDBPyConnection:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with _our_own_errors(path):
        db = duckdb.connect(path, config=_settings())
        with _closed_on_failure(db):
            db.execute(_SQL["utc"])
            migrate(db)
            create_views(db)
            close_doors(db)
    return db


@contextmanager
def _our_own_errors(path: str) -> Generator[None, None, None]:
    try:
        yield
    except (duckdb.Error, UnreadableError) as error:
        # DuckDB has one class for all that goes wrong with files, so only its text says what did.
        if "Could not set lock" in str(error):
            raise UnavailableError(f"Another process keeps {path}. {ASK}.") from error
        raise UnreadableError(f"Cannot use {path}: {error}") from error


def _settings() -> dict[str, str | bool | int | float | list[str]]:
    return {
        "threads": THREADS,
        "memory_limit": f"{_memory() // 2**20}MiB",
        "checkpoint_threshold": FOLDED_AFTER,
    }


def _memory() -> int:
    """A quarter of the machine, in bytes."""
    return min(LARGEST_MEMORY, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4)


@contextmanager
def _closed_on_failure(db: DuckDBPyConnection) -> Generator[None, None, None]:
    """An error's traceback would keep the connection, and so the lock on the file, for as long as it is remembered."""
    try:
        yield
    except BaseException:
        db.close()
        raise
