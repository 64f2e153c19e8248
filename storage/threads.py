"""Conversations, one row each. What they contain is in their checkpoints."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from duckdb import DuckDBPyConnection
from msgspec import Struct
from msgspec.json import decode
from msgspec.structs import replace

from storage import queries
from storage.commits import accepted, done, each
from storage.epochs import fence
from storage.errors import ServiceError, ThreadExistsError, ThreadNotFoundError
from storage.records import Admission, Failure, Run, Settlement, Standing, Thread, ThreadStatus
from storage.writer import Writer

_SQL = queries.load("threads")


class Creation(Struct, frozen=True):
    """Store a thread; or if there is one of this id, leave that as it is, if that is fine."""

    thread: Thread
    existing_ok: bool


class Deletion(Struct, frozen=True):
    """Remove a thread and what its runs were asked; that they were, and what they cost, stays for accounting."""

    thread_id: str
    epoch: int


def create(writer: Writer, asked: Sequence[Creation]) -> list[Thread | ServiceError]:
    """The threads that are stored under these ids now."""
    writer.look_up_threads(one.thread.thread_id for one in asked)
    outcomes = each(partial(_created, writer), asked)
    _insert(writer.db, [one for one in accepted(outcomes) if isinstance(one, Thread)])
    found = find_each(writer.db, [one for one in accepted(outcomes) if isinstance(one, str)])
    return [found[one] if isinstance(one, str) else one for one in outcomes]


def get(db: DuckDBPyConnection, thread_id: str) -> Thread:
    if (thread := find(db, thread_id)) is None:
        raise ThreadNotFoundError(thread_id)
    return thread


def find(db: DuckDBPyConnection, thread_id: str) -> Thread | None:
    return find_each(db, [thread_id]).get(thread_id)


def find_each(db: DuckDBPyConnection, thread_ids: Iterable[str]) -> dict[str, Thread]:
    """Those that are there, by their ids."""
    rows = queries.run(db, _SQL, "find", [{"thread_id": thread_id} for thread_id in thread_ids])
    return {row[0]: _read(row) for row in rows}


def occupy(db: DuckDBPyConnection, admissions: Sequence[Admission]) -> None:
    """Make threads busy with runs, and remember which graphs they speak with. New ones come with their admission."""
    _insert(db, [_brought(one.new_thread, one.run) for one in admissions if one.new_thread], unfinished=1)
    queries.run(db, _SQL, "occupy", [_occupied(one.run) for one in admissions if not one.new_thread])


def settle(db: DuckDBPyConnection, settlements: Sequence[Settlement]) -> None:
    """Note how runs left their threads."""
    queries.run(db, _SQL, "vacate", [_vacated(one.run) for one in settlements if not one.standing])
    queries.run(db, _SQL, "settle", [_left(one.run, one.standing) for one in settlements if one.standing])


def delete(writer: Writer, asked: Sequence[Deletion]) -> list[ServiceError | None]:
    writer.look_up_threads(one.thread_id for one in asked)
    outcomes = each(partial(_deleted, writer), asked)
    for row in accepted(outcomes):
        writer.db.execute(_SQL["delete"], row)
        writer.db.execute(_SQL["delete_runs"], row)
    return done(outcomes)


def _created(writer: Writer, asked: Creation) -> Thread | str:
    """The thread if it is new; or the id of the one that is there already."""
    thread_id = asked.thread.thread_id
    if not writer.thread(thread_id).is_stored:
        writer.note_thread(thread_id, is_stored=True)
        return asked.thread
    if asked.existing_ok:
        return thread_id
    raise ThreadExistsError(thread_id)


def _deleted(writer: Writer, asked: Deletion) -> dict[str, Any]:
    fence(writer, asked.thread_id, asked.epoch)
    if not writer.thread(asked.thread_id).is_stored:
        raise ThreadNotFoundError(asked.thread_id)
    writer.note_deletion(asked.thread_id)
    return {"thread_id": asked.thread_id}


def _insert(db: DuckDBPyConnection, threads: Sequence[Thread], *, unfinished: int = 0) -> None:
    queries.run(db, _SQL, "insert", [{"unfinished": unfinished, **_row(thread)} for thread in threads])


def _row(thread: Thread) -> dict[str, Any]:
    return {
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


def _read(row: tuple[Any, ...]) -> Thread:
    thread_id, user_id, status, metadata, config, interrupts, error, message, created, updated, state_updated = row
    return Thread(
        thread_id=thread_id,
        user_id=user_id,
        status=ThreadStatus(status),
        metadata=decode(metadata),
        config=decode(config),
        interrupts=decode(interrupts),
        error=None if error is None else Failure(error, message),
        created_at=queries.moment(created),
        updated_at=queries.moment(updated),
        state_updated_at=queries.moment_or_none(state_updated),
    )


def _speaks_with(run: Run) -> dict[str, str]:
    return {"graph_id": run.graph_id, "assistant_id": run.assistant_id}


def _brought(thread: Thread, run: Run) -> Thread:
    """A new thread, as its first run leaves it."""
    return replace(thread, metadata={**thread.metadata, **_speaks_with(run)}, updated_at=run.created_at)


def _occupied(run: Run) -> dict[str, Any]:
    metadata = queries.encode(_speaks_with(run))
    return {"thread_id": run.thread_id, "metadata": metadata, "updated_at": run.created_at}


def _vacated(run: Run) -> dict[str, Any]:
    return {"thread_id": run.thread_id, "updated_at": run.updated_at}


def _left(run: Run, standing: Standing) -> dict[str, Any]:
    return {
        "thread_id": run.thread_id,
        "status": standing.status,
        "error_type": standing.error and standing.error.error,
        "error_message": standing.error and standing.error.message,
        "interrupts": queries.encode(standing.interrupts),
        "updated_at": run.updated_at,
    }
