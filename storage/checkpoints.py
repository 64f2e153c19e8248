"""Which LangGraph saver keeps a thread's checkpoints, and where: one of several SQLite files, by thread id.

Several files, because SQLite has one writer a file: eight processes on one file see a p99 of 155 ms, on files
of their own 24 ms (`design.md`). A thread's file follows from its id alone, so their number is fixed for good.
"""

import sqlite3
import zlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
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

from storage import queries, sqlite

_SQL = queries.texts("sqlite/checkpoints")

FILES = 8

MOST_REMEMBERED = 1_000
"""Threads of which the saver knows the checkpoint that it wrote last."""


class InlineSaver(SqliteSaver):
    """LangGraph's SQLite saver, on the loop that asks.

    A statement takes SQLite less time than it takes to hand it to another thread and back, as the asynchronous
    saver does; and the loops that ask are those of user code, where a thread waits for its own checkpoints only.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection)
        self._newest: OrderedDict[str, str] = OrderedDict()

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

    def mark(self, thread_id: str, run_id: str, checkpoint_id: str | None) -> None:
        """Before a run: keep what was written to the checkpoints that it goes on from, in case it is rolled back.

        Those are the newest of each graph, and the one at which it starts. A thread without any has nothing to keep.
        """
        db, given = self.saver(thread_id).conn, {"thread_id": thread_id, "run_id": run_id}
        if db.execute(_SQL["any"], given).fetchone():
            with db:
                db.execute(_SQL["drop_marks"], given)
                db.execute(_SQL["drop_kept"], given)
                db.execute(_SQL["mark"], given)
                db.execute(_SQL["keep_writes"], {**given, "checkpoint_id": checkpoint_id})

    def roll_back(self, thread_id: str, run_id: str) -> None:
        """Undo a run: its checkpoints go, and those before it are as it found them. Twice is once."""
        db, given = self.saver(thread_id).conn, {"thread_id": thread_id, "run_id": run_id}
        with db:
            db.execute(_SQL["drop_writes_of_run"], given)
            db.execute(_SQL["drop_checkpoints_of_run"], given)
            if db.execute(_SQL["marked"], given).fetchone():
                for step in ("drop_new_writes", "drop_kept_places", "restore_writes", "drop_marks", "drop_kept"):
                    db.execute(_SQL[step], given)

    async def copy(self, thread_id: str, to: str) -> None:
        """Give a thread that has none the checkpoints of another, with all that was written to them."""
        source, target = self.saver(thread_id).conn, self.saver(to).conn
        for table in ("checkpoints", "writes"):
            rows = source.execute(_SQL[f"{table}_of"], {"thread_id": thread_id}).fetchall()
            target.executemany(_SQL[f"put_{table}"], [(to, *row) for row in rows])
        target.commit()

    def close(self) -> None:
        for saver in self._savers.values():
            saver.conn.close()
        self._savers.clear()


def _open(path: Path) -> InlineSaver:
    saver = InlineSaver(sqlite.connect(path))  # sync nodes come from other threads; the saver has a lock of its own
    saver.setup()
    saver.conn.execute(_SQL["create_marks"])
    saver.conn.execute(_SQL["create_kept"])
    return saver
