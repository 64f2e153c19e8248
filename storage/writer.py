"""The one who writes: what it knows of threads and runs without looking, and where its changes go.

There is only one writer, so what it remembers stays true until it changes it. It is only a copy: it may be forgotten at
any time, and is whenever a step fails.
"""

from collections import OrderedDict
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Any, TypeVar

from duckdb import DuckDBPyConnection
from msgspec import Struct
from msgspec.structs import replace

from storage import queries
from storage.accounting import LogEnd, Origin
from storage.deployment import UNSAID, Deployment
from storage.epochs import BEFORE_ANY
from storage.errors import StaleError
from storage.journal import Change, Journal
from storage.making import Backlog
from storage.pricing import Pricer
from storage.records import Run, Thread, Wish

MOST_REMEMBERED = 2_000
"""Threads, and as many runs; those not needed for longest are forgotten first. More than any commit has writes; each
takes about 1 KB, and looking it up again half a millisecond."""

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
    record: Thread | None = None
    """The thread as it is between runs. None when it has to be looked up, or is not stored."""
    log: LogEnd | None = None
    """Where its log ends. None when that has to be looked up."""


class Writer:
    """Hand it to the functions that write: they change what is kept and what is remembered of it together."""

    def __init__(  # noqa: PLR0913 - where it writes, and what it has to know, by name
        self,
        db: DuckDBPyConnection,
        journal: Journal,
        backlog: Backlog,
        *,
        server: Deployment = UNSAID,
        pricer: Pricer | None = None,
        most_remembered: int = MOST_REMEMBERED,
    ) -> None:
        self.server = server
        self.pricer = pricer or Pricer()
        self._db = db
        self._journal = journal
        self._backlog = backlog
        self._most_remembered = most_remembered
        self._step: list[Change] = []
        self._taken: list[Change] = []
        self.doubts = False
        """Whether to look for a run before admitting it, also if it is not remembered."""
        self._threads: OrderedDict[str, Known] = OrderedDict()
        self._runs: OrderedDict[str, str | None] = OrderedDict()

    # Changing

    @property
    def db(self) -> DuckDBPyConnection:
        """The database, with every change that was put before this step: look before you put.

        Raises NotKeptError, and UnavailableError where the database cannot take in what was kept.
        """
        assert not self._step, "what this step has put is not there yet"
        self.keep()
        self._backlog.catch_up()
        return self._db

    def db_about(self, keys: Iterable[str]) -> DuckDBPyConnection:
        """The database with every change that is about one of these, put before this step.

        It is as it is, which costs nothing, unless one of them has just been changed and then forgotten.
        """
        asked = set(keys)
        behind = any(change.key in asked for change in self._taken) or self._backlog.mentions(asked)
        return self.db if behind else self._db

    def put(self, file: str, name: str, rows: Iterable[tuple[str, dict[str, Any]]]) -> None:
        """Run the statement `name` of `file` for rows, each with the id of the thread that it is about."""
        self._step += [Change(file, name, key, row) for key, row in rows]

    @contextmanager
    def step(self) -> Generator[None, None, None]:
        """All that is put in it is taken, or nothing. It is kept by the next `keep`."""
        try:
            yield
        except BaseException:
            self._step.clear()
            self._forget()
            raise
        self._taken += self._step
        self._step.clear()

    def keep(self) -> None:
        """Return when all that was taken survives whatever happens. Raises NotKeptError."""
        if not self._taken:
            return
        try:
            self._backlog.add(self._journal.append(self._taken, self._backlog.made))
        except BaseException:
            self._forget()
            raise
        finally:
            self._taken.clear()

    # Threads

    def look_up_threads(self, thread_ids: Iterable[str]) -> None:
        """Remember these threads, whether there are such or not."""
        missing = _touched(self._threads, thread_ids)
        rows = queries.run(self.db_about(missing), _SQL, "thread", [{"thread_id": thread_id} for thread_id in missing])
        for thread_id, epoch, next_seq, unfinished in rows:
            known = Known(epoch or 0, next_seq or 1, unfinished is not None, unfinished or 0)
            self._remember(self._threads, thread_id, known)

    def note_fresh(self, thread_ids: Iterable[str]) -> None:
        """Remember that there were no threads of these ids, unless something is remembered already."""
        for thread_id in _touched(self._threads, thread_ids):
            self._remember(self._threads, thread_id, Known(log=LogEnd()))

    def thread(self, thread_id: str) -> Known:
        """One that has been looked up."""
        return self._threads[thread_id]

    def fence(self, thread_id: str, epoch: int) -> None:
        """Raises StaleError unless this is the current epoch of the thread, which has been looked up.

        It comes first in every write of an actor: only the one that holds the thread now may write to it.
        """
        if epoch == BEFORE_ANY or self._threads[thread_id].epoch != epoch:
            raise StaleError

    def note_thread(self, thread_id: str, **changes: Any) -> None:
        self._remember(self._threads, thread_id, replace(self._threads[thread_id], **changes))

    # Runs

    def look_up_runs(self, runs: Iterable[Run | Wish | Origin]) -> None:
        """Remember those of these runs that were ever admitted."""
        threads = {run.run_id: run.thread_id for run in runs}
        missing = _touched(self._runs, threads)
        db = self.db_about(threads[run_id] for run_id in missing)
        for run_id, thread_id in queries.run(db, _SQL, "run", [{"run_id": run_id} for run_id in missing]):
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
        self.note_thread(thread_id, is_stored=False, unfinished=0, record=None, log=LogEnd())
        for run_id, of_thread in self._runs.items():
            if of_thread == thread_id:
                self._runs[run_id] = None

    def _forget(self) -> None:
        self._threads.clear()
        self._runs.clear()

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
