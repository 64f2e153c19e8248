"""The connection that writes, and what it knows of threads and runs without looking.

There is only one writer, so what it remembers stays true until it changes it. It is only a copy: it may be forgotten at
any time, and is whenever a transaction fails.
"""

from collections import OrderedDict
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Any, TypeVar

from duckdb import DuckDBPyConnection
from msgspec import Struct
from msgspec.structs import replace

from storage import queries

MOST_REMEMBERED = 20_000
"""Threads, and as many runs; those not needed for longest are forgotten first. More than any commit has writes."""

_SQL = queries.load("writer")

V = TypeVar("V")


class Known(Struct, frozen=True):
    """What matters of a thread to those who write."""

    epoch: int = 0
    """0: it was never bound."""
    next_seq: int = 1
    is_stored: bool = False
    """Whether there is a thread of this id; that it was bound does not say so."""
    unfinished: int = 0
    """Its runs without a final status."""


class Writer:
    """Hand it to the functions that write: they change the database and what is remembered of it together."""

    def __init__(self, db: DuckDBPyConnection, *, most_remembered: int = MOST_REMEMBERED) -> None:
        self.db = db
        self._most_remembered = most_remembered
        self.doubts = False
        """Whether to look for a run before admitting it, also if it is not remembered. Else only its key refuses it."""
        self._threads: OrderedDict[str, Known] = OrderedDict()
        self._runs: OrderedDict[str, str | None] = OrderedDict()

    @contextmanager
    def transaction(self) -> Generator[None, None, None]:
        try:
            with queries.transaction(self.db):
                yield
        except BaseException:
            self._threads.clear()
            self._runs.clear()
            raise

    # Threads

    def look_up_threads(self, thread_ids: Iterable[str]) -> None:
        """Remember these threads, whether there are such or not."""
        missing = [{"thread_id": thread_id} for thread_id in _touched(self._threads, thread_ids)]
        for thread_id, epoch, next_seq, unfinished in queries.run(self.db, _SQL, "thread", missing):
            known = Known(epoch or 0, next_seq or 1, unfinished is not None, unfinished or 0)
            self._remember(self._threads, thread_id, known)

    def thread(self, thread_id: str) -> Known:
        """One that has been looked up."""
        return self._threads[thread_id]

    def note_thread(self, thread_id: str, **changes: int) -> None:
        self._remember(self._threads, thread_id, replace(self._threads[thread_id], **changes))

    # Runs

    def look_up_runs(self, run_ids: Iterable[str]) -> None:
        """Remember those of these runs that were ever admitted."""
        missing = [{"run_id": run_id} for run_id in _touched(self._runs, run_ids)]
        for run_id, thread_id in queries.run(self.db, _SQL, "run", missing):
            self._remember(self._runs, run_id, thread_id)

    def is_admitted(self, run_id: str) -> bool:
        """Of one that has been looked up: whether it ever was."""
        return run_id in self._runs

    def is_unfinished(self, run_id: str, thread_id: str) -> bool:
        """Of one that has been looked up: whether it is a run of this thread that has no final status."""
        return self._runs.get(run_id) == thread_id

    def note_run(self, run_id: str, thread_id: str | None) -> None:
        """Remember that it is an unfinished run of this thread; or with None, that it has ended or is gone."""
        self._remember(self._runs, run_id, thread_id)

    def note_deletion(self, thread_id: str) -> None:
        self.note_thread(thread_id, is_stored=False, unfinished=0)
        for run_id, of_thread in self._runs.items():
            if of_thread == thread_id:
                self._runs[run_id] = None

    def _remember(self, memory: OrderedDict[str, V], key: str, value: V) -> None:
        memory[key] = value
        memory.move_to_end(key)
        if len(memory) > self._most_remembered:
            memory.popitem(last=False)


def _touched(memory: OrderedDict[str, Any], keys: Iterable[str]) -> list[str]:
    """Those that are missing. The others are now the last to be forgotten."""
    missing: list[str] = []
    for key in keys:
        if key in memory:
            memory.move_to_end(key)
        else:
            missing.append(key)
    return missing
