"""Conversations, one row each. What they contain is in their checkpoints."""

from typing import Any

from duckdb import DuckDBPyConnection
from msgspec.json import Decoder, decode
from msgspec.structs import replace

from storage import epochs, queries
from storage.errors import ThreadExistsError, ThreadNotFoundError
from storage.records import Run, Settlement, Thread

_SQL = queries.load("threads")
_DECODER = Decoder(Thread)


def create(db: DuckDBPyConnection, thread: Thread, *, existing_ok: bool) -> Thread:
    """Store a thread; or return the one of this id that is there already, if that is fine."""
    found = find(db, thread.thread_id)
    if found is None:
        _insert(db, thread)
        return thread
    if existing_ok:
        return found
    raise ThreadExistsError(thread.thread_id)


def get(db: DuckDBPyConnection, thread_id: str) -> Thread:
    if (thread := find(db, thread_id)) is None:
        raise ThreadNotFoundError(thread_id)
    return thread


def find(db: DuckDBPyConnection, thread_id: str) -> Thread | None:
    row = db.execute(_SQL["find"], {"thread_id": thread_id}).fetchone()
    return _DECODER.decode(row[0]) if row else None


def occupy(db: DuckDBPyConnection, run: Run, new_thread: Thread | None) -> None:
    """Make the thread busy with a run, and remember which graph it speaks with."""
    speaks_with = {"graph_id": run.graph_id, "assistant_id": run.assistant_id}
    if row := db.execute(_SQL["metadata"], {"thread_id": run.thread_id}).fetchone():
        metadata = queries.encode({**decode(row[0]), **speaks_with})
        db.execute(_SQL["occupy"], {"thread_id": run.thread_id, "metadata": metadata, "updated_at": run.created_at})
    elif new_thread:
        metadata = {**new_thread.metadata, **speaks_with}
        _insert(db, replace(new_thread, metadata=metadata, updated_at=run.created_at), unfinished=1)
    else:
        raise ThreadNotFoundError(run.thread_id)


def settle(db: DuckDBPyConnection, settlement: Settlement) -> None:
    """Note how a run left its thread, if that is still there."""
    run, standing = settlement.run, settlement.standing
    db.execute(_SQL["vacate"], {"thread_id": run.thread_id, "updated_at": run.updated_at})
    if standing is None:
        return
    given: dict[str, Any] = {
        "thread_id": run.thread_id,
        "status": standing.status,
        "error_type": standing.error and standing.error.error,
        "error_message": standing.error and standing.error.message,
        "interrupts": queries.encode(standing.interrupts),
        "updated_at": run.updated_at,
    }
    db.execute(_SQL["settle"], given)


def delete(db: DuckDBPyConnection, thread_id: str, epoch: int) -> None:
    """Remove a thread and what its runs were asked; that they were, and what they cost, stays for accounting."""
    epochs.fence(db, thread_id, epoch)
    given = {"thread_id": thread_id}
    if db.execute(_SQL["delete"], given).fetchone() is None:
        raise ThreadNotFoundError(thread_id)
    db.execute(_SQL["delete_requests"], given)
    db.execute(_SQL["mark_runs"], given)


def _insert(db: DuckDBPyConnection, thread: Thread, *, unfinished: int = 0) -> None:
    given: dict[str, Any] = {
        "unfinished": unfinished,
        "thread_id": thread.thread_id,
        "user_id": thread.user_id,
        "status": thread.status,
        "metadata": queries.encode(thread.metadata),
        "config": queries.encode(thread.config),
        "interrupts": queries.encode(thread.interrupts),
        "error_type": thread.error and thread.error.error,
        "error_message": thread.error and thread.error.message,
        "created_at": thread.created_at,
        "updated_at": thread.updated_at,
        "state_updated_at": thread.state_updated_at,
    }
    db.execute(_SQL["insert"], given)
