"""Executions of graphs: admitted, begun, settled. Every write is fenced, and a final status never changes."""

from typing import Any

from duckdb import DuckDBPyConnection
from msgspec.json import Decoder

from storage import epochs, queries, threads
from storage.errors import RunNotFoundError
from storage.records import Admission, Run, RunStatus, Settlement

_SQL = queries.load("runs")
_DECODER = Decoder(Run)


def admit(db: DuckDBPyConnection, admission: Admission) -> None:
    """Let a pending run in, and its thread if that is new. Asked twice, it is let in once."""
    run = admission.run
    epochs.fence(db, run.thread_id, admission.epoch)
    if _is_known(db, run.run_id):
        return
    threads.occupy(db, run, admission.new_thread)
    _insert(db, run)


def begin(db: DuckDBPyConnection, run: Run, epoch: int) -> None:
    """Note the start of an attempt; of a run that has ended already, nothing."""
    epochs.fence(db, run.thread_id, epoch)
    given: dict[str, Any] = {
        "run_id": run.run_id,
        "thread_id": run.thread_id,
        "attempt": run.attempt,
        "started_at": run.started_at,
        "first_seq": run.first_seq,
        "updated_at": run.updated_at,
    }
    _change(db, "begin", given)


def settle(db: DuckDBPyConnection, settlement: Settlement) -> None:
    """Give a run its final status, and its thread the one that follows: once, however often it is asked."""
    run = settlement.run
    assert run.status.is_final, "a settlement is the end of a run"
    epochs.fence(db, run.thread_id, settlement.epoch)
    given: dict[str, Any] = {
        "run_id": run.run_id,
        "thread_id": run.thread_id,
        "status": run.status,
        "attempt": run.attempt,
        "started_at": run.started_at,
        "error_type": run.error and run.error.error,
        "error_message": run.error and run.error.message,
        "cancel_reason": run.cancel_reason,
        "checkpoint_id": run.checkpoint_id,
        "first_seq": run.first_seq,
        "last_seq": run.last_seq,
        "last_ms": run.last_ms,
        "ended_at": run.ended_at,
        "updated_at": run.updated_at,
    }
    if _change(db, "settle", given):
        threads.settle(db, settlement)


def get(db: DuckDBPyConnection, thread_id: str, run_id: str) -> Run:
    row = db.execute(_SQL["get"], {"thread_id": thread_id, "run_id": run_id}).fetchone()
    if row is None:
        raise RunNotFoundError(run_id)
    return _DECODER.decode(row[0])


def of_thread(db: DuckDBPyConnection, thread_id: str, limit: int, offset: int, status: RunStatus | None) -> list[Run]:
    """Newest first."""
    given = {"thread_id": thread_id, "limit": limit, "offset": offset, "status": status}
    return [_DECODER.decode(record) for (record,) in db.execute(_SQL["of_thread"], given).fetchall()]


def unfinished(db: DuckDBPyConnection, thread_id: str) -> list[Run]:
    """In the order of their admission."""
    rows = db.execute(_SQL["unfinished"], {"thread_id": thread_id}).fetchall()
    return [get(db, thread_id, run_id) for (run_id,) in rows]


def unfinished_threads(db: DuckDBPyConnection) -> list[str]:
    """Threads that have something to do, those that wait longest first."""
    return [thread_id for (thread_id,) in db.execute(_SQL["unfinished_threads"]).fetchall()]


def _insert(db: DuckDBPyConnection, run: Run) -> None:
    given: dict[str, Any] = {
        "run_id": run.run_id,
        "thread_id": run.thread_id,
        "user_id": run.user_id,
        "assistant_id": run.assistant_id,
        "assistant_version": run.assistant_version,
        "graph_id": run.graph_id,
        "multitask_strategy": run.multitask_strategy,
        "status": run.status,
        "attempt": run.attempt,
        "queued_at": run.created_at,
        "started_at": run.started_at,
        "tags": _tags(run),
        "metadata": queries.encode(run.metadata),
        "dialect": run.dialect,
        "updated_at": run.updated_at,
    }
    db.execute(_SQL["insert"], given)
    request = {"run_id": run.run_id, "thread_id": run.thread_id, "request": queries.encode(run.request)}
    db.execute(_SQL["insert_request"], request)


def _is_known(db: DuckDBPyConnection, run_id: str) -> bool:
    return db.execute(_SQL["status"], {"run_id": run_id}).fetchone() is not None


def _change(db: DuckDBPyConnection, statement: str, given: dict[str, Any]) -> bool:
    """Whether a run was changed: one that has ended is not. Raises RunNotFoundError for one never admitted."""
    if db.execute(_SQL[statement], given).fetchone():
        return True
    if not _is_known(db, given["run_id"]):
        raise RunNotFoundError(given["run_id"])
    return False


def _tags(run: Run) -> list[str]:
    """LangChain's tags, for accounting. They are the client's JSON, so they may be anything."""
    tags = run.request.config.get("tags")
    return [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []
