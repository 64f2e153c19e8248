"""Users' SQL beside the ledger's own work: what is asked is checked, bounded, and sees one moment of everything.

Six guards stand together (`spec/usage.md` §4.3), each of which closes what another leaves open: one statement, a SELECT
(`storage.parsing`); functions and views by name (`storage.statements`); a transaction that only reads; a database
without access to files and settings (`storage.database`); cursors of their own, which are interrupted at their time;
and few queries at once, since DuckDB's memory has one limit for all.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from typing import Any

import duckdb
from duckdb import DuckDBPyConnection

from storage import answers, parsing, queries
from storage.errors import SenselessError, TooLargeError, UnavailableError
from storage.questions import Answer, Question, TimeLimitError, TooManyQueriesError

AT_ONCE = 2
"""Queries. Each is one thread of DuckDB's, so two of them leave the writer its share of two cores."""

MOST_WAITING = 8

DEAF_FOR = 1.0
"""Seconds that a query which was interrupted may still take, before its asker is answered without it."""

AGAIN = 0.05
"""Seconds after which it is interrupted once more: what comes just before it begins is not noticed."""

_SQL = queries.load("analytics")


class Desk:
    """Where one query at a time is answered: on a cursor of its own, after a check of what is asked. Blocks."""

    def __init__(self, db: DuckDBPyConnection, catch_up: Callable[[], None], hidden: str) -> None:
        self._db = db
        self._catch_up = catch_up
        self._hidden = hidden
        """Where the database lies, which users are not told."""
        self._cursor = db.cursor()
        self._checker = parsing.Checker()

    def answer(self, question: Question) -> Answer:
        """Raises SenselessError, TooLargeError, TimeLimitError when interrupted, UnavailableError."""
        begun = time.monotonic()
        question.check()
        self._checker.check(question.sql)
        self._catch_up()
        try:
            with self._reading() as cursor:
                statement = _asked(cursor, question)
                return answers.answer(cursor, statement, question, lambda: (time.monotonic() - begun) * 1000)
        except duckdb.InterruptException:
            raise TimeLimitError from None
        except duckdb.OutOfMemoryException as error:
            raise TooLargeError(f"The query needs more memory than there is: {self._told(error)}") from None
        except duckdb.IOException as error:  # where it spills to
            raise UnavailableError(self._told(error)) from None
        except duckdb.Error as error:
            raise SenselessError(self._told(error)) from None

    def interrupt(self) -> None:
        """From any thread."""
        with suppress(duckdb.ConnectionException):  # it is between two queries
            self._cursor.interrupt()

    def close(self) -> None:
        self._checker.close()
        self._cursor.close()

    @contextmanager
    def _reading(self) -> Generator[DuckDBPyConnection, None, None]:
        """One moment of everything, in which nothing can be changed."""
        cursor = self._cursor = self._db.cursor()  # a new one takes 4 µs, and has nothing left open
        with closing(cursor):
            cursor.execute(_SQL["begin"])
            try:
                yield cursor
            finally:
                _roll_back(cursor)

    def _told(self, error: Exception) -> str:
        return str(error).replace(self._hidden, "...")


class Analytics:
    """The queries of all users. Belongs to one event loop."""

    def __init__(self, db: DuckDBPyConnection, catch_up: Callable[[], None], hidden: str) -> None:
        """`catch_up` has the database make all that was answered before."""
        self._desks = [Desk(db, catch_up, hidden) for _ in range(AT_ONCE)]
        self._threads = ThreadPoolExecutor(AT_ONCE, "analytics")
        self._free: asyncio.Queue[Desk] = asyncio.Queue()
        for desk in self._desks:
            self._free.put_nowait(desk)
        self._waiting = 0
        self._closing = False
        self._stopping: set[asyncio.Task[None]] = set()

    async def ask(self, question: Question) -> Answer:
        """Who leaves before the answer stops the query.

        Raises SenselessError, TooLargeError, TimeLimitError, TooManyQueriesError, UnavailableError.
        """
        desk = await self._desk()
        job = asyncio.get_running_loop().run_in_executor(self._threads, desk.answer, question)
        job.add_done_callback(lambda job: self._done(desk, job))
        try:
            await asyncio.wait((job,), timeout=question.timeout_s)
            if not job.done():
                self._hold(_stop(desk, job))
                await asyncio.wait((job,), timeout=DEAF_FOR)
                raise TimeLimitError(f"The query took longer than {question.timeout_s:g} s")
        except asyncio.CancelledError:
            self._hold(_stop(desk, job))
            raise
        try:
            return job.result()
        except TimeLimitError:  # it was in time, so it was stopped for another reason
            raise UnavailableError("The server is stopping") from None

    async def close(self) -> None:
        """Stop what is under way. Nothing may be asked any more."""
        self._closing = True
        for _ in self._desks:
            while True:
                try:
                    await asyncio.wait_for(self._free.get(), AGAIN)
                    break
                except TimeoutError:
                    for desk in self._desks:
                        desk.interrupt()
        self._threads.shutdown()
        for desk in self._desks:
            desk.close()

    async def _desk(self) -> Desk:
        if self._closing:
            raise UnavailableError("The server is stopping")
        if self._free.empty() and self._waiting >= MOST_WAITING:
            raise TooManyQueriesError
        self._waiting += 1
        try:
            desk = await self._free.get()
        finally:
            self._waiting -= 1
        if self._closing:
            self._free.put_nowait(desk)
            raise UnavailableError("The server is stopping")
        return desk

    def _done(self, desk: Desk, job: asyncio.Future[Answer]) -> None:
        if not job.cancelled():
            job.exception()  # whoever asked may have left
        self._free.put_nowait(desk)

    def _hold(self, stopping: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(stopping)
        self._stopping.add(task)
        task.add_done_callback(self._stopping.discard)


async def _stop(desk: Desk, job: asyncio.Future[Answer]) -> None:
    while not job.done():
        desk.interrupt()
        await asyncio.wait((job,), timeout=AGAIN)


def _asked(cursor: DuckDBPyConnection, question: Question) -> duckdb.Statement:
    statement = parsing.only_select(cursor, question.sql)
    if question.explain:
        (statement,) = cursor.extract_statements(f"EXPLAIN {question.sql}")
    return statement


def _roll_back(cursor: DuckDBPyConnection) -> None:
    while True:
        try:
            cursor.execute(_SQL["roll_back"])
        except duckdb.InterruptException:  # it came a moment too late, and hit this instead
            continue
        return
