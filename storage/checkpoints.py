"""Which LangGraph saver keeps a thread's checkpoints, and where: one of several SQLite files, by thread id.

Several files, because SQLite has one writer a file: eight processes on one file see a p99 of 155 ms, on files
of their own 24 ms (`design.md`). A thread's file follows from its id alone, so their number is fixed for good.

Every process writes to them, also one that was thought dead, and wakes up. So each file knows the highest epoch that
has written for a thread (`storage.epochs`), and triggers on LangGraph's own tables refuse, within each statement, what
comes from a lower one: there is no moment between the look and the write.
"""

import sqlite3
import zlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
)
from langgraph.checkpoint.sqlite import SqliteSaver

from storage import checkpoint_ids, epochs, sqlite, texts
from storage.epochs import BEFORE_ANY
from storage.errors import StaleError

_SQL = texts.load("sqlite/checkpoints")

FILES = 8

MOST_REMEMBERED = 1_000
"""Threads of which the saver knows the checkpoint that it wrote last, and the epoch for which it writes."""

_TRIGGERS = ("fence_checkpoints", "fence_writes", "fence_lost_checkpoints", "fence_lost_writes")


def _nobody() -> None:
    """Nobody needs to hear of it beside the caller."""


class InlineSaver(SqliteSaver):
    """LangGraph's SQLite saver, on the loop that asks.

    A statement takes SQLite less time than it takes to hand it to another thread and back, as the asynchronous
    saver does; and the loops that ask are those of user code, where a thread waits for its own checkpoints only.

    It writes for the threads that it was given (`Checkpoints.hold`), and raises StaleError once another actor does.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection)
        self._newest: OrderedDict[str, str] = OrderedDict()
        self._held: OrderedDict[str, tuple[int, Callable[[], object]]] = OrderedDict()

    def setup(self) -> None:
        """Make the tables, and put up the fence around them."""
        if self.is_setup:
            return
        super().setup()
        for table in ("create_marks", "create_kept"):
            self.conn.execute(_SQL[table])
        epochs.create(self.conn)
        self.conn.create_function("epoch_held", 1, self.epoch_held)
        for trigger in _TRIGGERS:
            self.conn.execute(_SQL[trigger])

    def epoch_held(self, thread_id: str) -> int:
        """The epoch for which this writes; that before any if it was not given the thread."""
        epoch, _ = self._held.get(thread_id, (BEFORE_ANY, _nobody))
        return epoch

    def note_held(self, thread_id: str, epoch: int, on_stale: Callable[[], object] = _nobody) -> None:
        """From here on this writes for an epoch that the file knows, and calls `on_stale` when that is refused."""
        self._held[thread_id] = epoch, on_stale
        self._held.move_to_end(thread_id)
        if len(self._held) > MOST_REMEMBERED:
            self._held.popitem(last=False)

    def forget_newest(self, thread_id: str) -> None:
        """From here on, `newest` is what is written from here on."""
        self._newest.pop(thread_id, None)

    def newest(self, thread_id: str) -> str | None:
        """The id of the root checkpoint that was written last, through this saver and since it was forgotten."""
        return self._newest.get(thread_id)

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        return self.get_tuple(config)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 - LangGraph's name
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        for one in list(self.list(config, filter=filter, before=before, limit=limit)):
            yield one

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        with self._fenced(_thread_id(config)):
            return super().put(config, checkpoint, metadata, new_versions)

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        with self._fenced(_thread_id(config)):
            super().put_writes(config, writes, task_id, task_path)

    def delete_thread(self, thread_id: str) -> None:
        with self._fenced(thread_id):
            super().delete_thread(thread_id)

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        put = self.put(config, checkpoint, metadata, new_versions)
        place: dict[str, Any] = put.get("configurable", {})
        if not place["checkpoint_ns"]:
            self._newest[place["thread_id"]] = place["checkpoint_id"]
            if len(self._newest) > MOST_REMEMBERED:
                self._newest.popitem(last=False)
        return put

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        self.put_writes(config, writes, task_id, task_path)

    async def adelete_thread(self, thread_id: str) -> None:
        self.delete_thread(thread_id)

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        return self.get_delta_channel_history(config=config, channels=channels)

    @contextmanager
    def _fenced(self, thread_id: str) -> Generator[None, None, None]:
        """Raise StaleError where a trigger refuses; whoever gave us the thread is told too, as graphs may catch it."""
        try:
            yield
        except sqlite3.IntegrityError as error:
            if error.sqlite_errorname != "SQLITE_CONSTRAINT_TRIGGER":
                raise
            _, on_stale = self._held.get(thread_id, (BEFORE_ANY, _nobody))
            on_stale()
            raise StaleError from error


def _thread_id(config: RunnableConfig) -> str:
    return str(config.get("configurable", {})["thread_id"])


class Checkpoints:
    """The savers of one event loop; each file is opened when it is first needed, and stays open."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._savers: dict[Path, InlineSaver] = {}

    def saver(self, thread_id: str) -> InlineSaver:
        path = self._folder / f"checkpoints-{zlib.crc32(thread_id.encode()) % FILES}.sqlite"
        if path not in self._savers:
            self._savers[path] = _open(path)
        return self._savers[path]

    def hold(self, thread_id: str, epoch: int, on_stale: Callable[[], object] = _nobody) -> InlineSaver:
        """The saver, to write for the thread; new checkpoints lie above those that it has. Raises StaleError if another
        actor holds it by now.

        When that comes later, and a write is refused, `on_stale` is called first, in whichever OS thread.
        """
        saver = self._holding(thread_id, epoch)
        saver.note_held(thread_id, epoch, on_stale)
        [newest] = saver.conn.execute(_SQL["newest"], {"thread_id": thread_id}).fetchone()
        if newest:
            checkpoint_ids.exceed(newest)
        return saver

    def mark(self, thread_id: str, epoch: int, run_id: str, checkpoint_id: str | None) -> None:
        """Before a run: keep what was written to the checkpoints that it goes on from, in case it is rolled back.

        Those are the newest of each graph, and the one at which it starts. A thread without any has nothing to keep.
        """
        given = {"thread_id": thread_id, "run_id": run_id}
        if self.saver(thread_id).conn.execute(_SQL["any"], given).fetchone():
            with self._writing(thread_id, epoch) as db:
                db.execute(_SQL["drop_marks"], given)
                db.execute(_SQL["drop_kept"], given)
                db.execute(_SQL["mark"], given)
                db.execute(_SQL["keep_writes"], {**given, "checkpoint_id": checkpoint_id})

    def roll_back(self, thread_id: str, epoch: int, run_id: str) -> None:
        """Undo a run: its checkpoints go, and those before it are as it found them. Twice is once."""
        given = {"thread_id": thread_id, "run_id": run_id}
        with self._writing(thread_id, epoch) as db:
            db.execute(_SQL["drop_writes_of_run"], given)
            db.execute(_SQL["drop_checkpoints_of_run"], given)
            if db.execute(_SQL["marked"], given).fetchone():
                for step in ("drop_new_writes", "drop_kept_places", "restore_writes", "drop_marks", "drop_kept"):
                    db.execute(_SQL[step], given)

    async def copy(self, thread_id: str, to: str) -> None:
        """Give a thread, which no actor has held yet, the checkpoints of another, with all that was written to them."""
        source = self.saver(thread_id).conn
        tables = ("checkpoints", "writes")
        found = {table: source.execute(_SQL[f"{table}_of"], {"thread_id": thread_id}).fetchall() for table in tables}
        with self._writing(to, BEFORE_ANY) as target:
            for table, rows in found.items():
                target.executemany(_SQL[f"put_{table}"], [(to, *row) for row in rows])

    def forget(self, thread_id: str, epoch: int) -> None:
        """Remove all that is kept of a thread, but not who wrote it last."""
        with self._writing(thread_id, epoch) as db:
            for table in ("drop_checkpoints", "drop_writes", "drop_marks", "drop_kept"):
                db.execute(_SQL[table], {"thread_id": thread_id})

    def close(self) -> None:
        for saver in self._savers.values():
            saver.conn.close()
        self._savers.clear()

    def _holding(self, thread_id: str, epoch: int) -> InlineSaver:
        saver = self.saver(thread_id)
        if saver.epoch_held(thread_id) == epoch:  # a look takes a tenth of a write
            epochs.check(saver.conn, thread_id, epoch)
        else:
            with saver.lock, saver.conn as db:
                epochs.hold(db, thread_id, epoch)
            saver.note_held(thread_id, epoch)
        return saver

    @contextmanager
    def _writing(self, thread_id: str, epoch: int) -> Generator[sqlite3.Connection, None, None]:
        """A transaction of the actor that holds the thread. Raises StaleError if that is another by now."""
        saver = self._holding(thread_id, epoch)
        with saver.lock, saver.conn as db:
            epochs.hold(db, thread_id, epoch)
            yield db


def _open(path: Path) -> InlineSaver:
    saver = InlineSaver(sqlite.connect(path))  # sync nodes come from other threads; the saver has a lock of its own
    with sqlite.naming(path):
        saver.setup()
    return saver
