"""Threads that went with the run they were made for: what they leave is removed when nobody can want it any more."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from duckdb import DuckDBPyConnection

from storage import queries
from storage.writer import Writer

KEPT_FOR = timedelta(minutes=2)
"""How long clients that have lost the last bytes can still read them (`spec/platform.md` §5.4)."""

AT_ONCE = 100

_SQL = queries.load("garbage")


def leave(writer: Writer, thread_id: str, gone_at: datetime) -> None:
    """Remove a thread whose only run has ended, and remember what it leaves."""
    writer.note_deletion(thread_id)
    writer.put("threads", "delete", [(thread_id, {"thread_id": thread_id})])
    writer.put("runs", "retire", [(thread_id, {"thread_id": thread_id})])
    writer.put("events", "delete", [(thread_id, {"thread_id": thread_id})])
    writer.put("feedback", "forget_thread", [(thread_id, {"thread_id": thread_id})])
    writer.put("garbage", "insert", [(thread_id, {"thread_id": thread_id, "due_at": gone_at + KEPT_FOR})])


def due(db: DuckDBPyConnection) -> list[tuple[str, int]]:
    """Threads whose checkpoints and tapes may be removed now, with the epochs of those who held them last."""
    return db.execute(_SQL["due"], {"limit": AT_ONCE}).fetchall()


def sweep(writer: Writer, asked: Sequence[str]) -> list[None]:
    """They have been removed; what the runs were asked goes as well."""
    for thread_id in asked:
        writer.put("garbage", "delete", [(thread_id, {"thread_id": thread_id})])
        writer.put("threads", "delete_runs", [(thread_id, {"thread_id": thread_id})])
    return [None for _ in asked]
