"""Conversations, one row each. What they contain is in their checkpoints."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from duckdb import DuckDBPyConnection
from msgspec import Struct
from msgspec.json import decode
from msgspec.structs import replace

from storage import queries
from storage.accounting import LogEnd
from storage.commits import accepted, done, each
from storage.errors import ServiceError, ThreadExistsError, ThreadNotFoundError
from storage.records import Admission, Failure, Patch, Run, Settlement, Stand, Standing, Thread, ThreadStatus
from storage.writer import Known, Writer

_SQL = queries.load("threads")


class Creation(Struct, frozen=True):
    """Store a thread; or if there is one of this id, leave that as it is, if that is fine."""

    thread: Thread
    existing_ok: bool = False
    is_fresh: bool = False
    """Whether its id was made for it. Then there can only be this thread of that id, from the same creation asked
    before, and nobody needs to look, which takes half a millisecond."""


class Deletion(Struct, frozen=True):
    """Remove a thread and what its runs were asked; that they were, and what they cost, stays for accounting."""

    thread_id: str
    epoch: int


def create(writer: Writer, asked: Sequence[Creation]) -> list[Thread | ServiceError]:
    """The threads that are stored under these ids now."""
    writer.note_fresh(one.thread.thread_id for one in asked if one.is_fresh)
    writer.look_up_threads(one.thread.thread_id for one in asked)
    outcomes = each(partial(_created, writer), asked)
    known = records(writer, [one for one in accepted(outcomes) if isinstance(one, str)])
    _insert(writer, [one for one in accepted(outcomes) if isinstance(one, Thread)])
    return [known[one] if isinstance(one, str) else one for one in outcomes]


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


def records(writer: Writer, thread_ids: Sequence[str]) -> dict[str, Thread]:
    """Threads that are stored, as anybody would read them now; looked up only where they are not remembered."""
    unknown = [thread_id for thread_id in thread_ids if writer.thread(thread_id).record is None]
    found = find_each(writer.db_about(unknown), unknown) if unknown else {}
    for thread_id, thread in found.items():
        if thread.status is not ThreadStatus.BUSY:
            writer.note_thread(thread_id, record=thread)
    return {thread_id: found.get(thread_id) or _as_it_is(writer.thread(thread_id)) for thread_id in thread_ids}


def occupy(writer: Writer, admissions: Sequence[Admission]) -> None:
    """Make threads busy with runs, and remember which graphs they speak with. New ones come with their admission."""
    _insert(writer, [_brought(one.new_thread, one.run) for one in admissions if one.new_thread], unfinished=1)
    known = [one.run for one in admissions if not one.new_thread]
    for run in known:
        _note(writer, run.thread_id, partial(_brought, run=run))
    _put(writer, "occupy", map(_occupied, known))


def settle(writer: Writer, settlements: Sequence[Settlement]) -> None:
    """Note how runs left their threads."""
    for one in settlements:
        _note(writer, one.run.thread_id, partial(_after, run=one.run, standing=one.standing))
    _put(writer, "vacate", [_vacated(one.run) for one in settlements if not one.standing])
    _put(writer, "settle", [_left(one.run, one.standing) for one in settlements if one.standing])


def give_back(writer: Writer, undone: Sequence[Run]) -> None:
    """Have threads speak with whom they spoke before runs that were rolled back, and look at them again."""
    for run in undone:
        writer.note_thread(run.thread_id, record=None)
    _put(writer, "give_back", [{"thread_id": run.thread_id, "run_id": run.run_id} for run in undone])


def stand(writer: Writer, asked: Sequence[Stand]) -> list[ServiceError | None]:
    """Note how changes of their states leave threads."""
    writer.look_up_threads(one.thread_id for one in asked)
    outcomes = each(partial(_stood, writer), asked)
    for one in accepted(outcomes):
        _note(writer, one.thread_id, partial(_standing, one=one))
    _put(writer, "stand", map(_standing_row, accepted(outcomes)))
    return done(outcomes)


def patch(writer: Writer, asked: Sequence[Patch]) -> list[Thread | ServiceError]:
    """The threads, with what was added to their metadata. Keys are added and replaced, never removed."""
    writer.look_up_threads(one.thread_id for one in asked)
    outcomes = each(partial(_patched, writer), asked)
    known = records(writer, [one.thread_id for one in accepted(outcomes)])
    for one in accepted(outcomes):
        known[one.thread_id] = _with_metadata(known[one.thread_id], one)
        _note(writer, one.thread_id, partial(_with_metadata, one=one))
    _put(writer, "patch", [_patch_row(known[one.thread_id]) for one in accepted(outcomes)])
    return [one if isinstance(one, ServiceError) else known[one.thread_id] for one in outcomes]


def delete(writer: Writer, asked: Sequence[Deletion]) -> list[ServiceError | None]:
    writer.look_up_threads(one.thread_id for one in asked)
    outcomes = each(partial(_deleted, writer), asked)
    _put(writer, "delete", accepted(outcomes))
    _put(writer, "delete_runs", accepted(outcomes))
    for row in accepted(outcomes):
        writer.put("events", "delete", [(row["thread_id"], row)])
        writer.put("feedback", "forget_thread", [(row["thread_id"], row)])
    return done(outcomes)


def _created(writer: Writer, asked: Creation) -> Thread | str:
    """The thread if it is new; or the id of the one that is there already."""
    thread_id = asked.thread.thread_id
    if not writer.thread(thread_id).is_stored:
        writer.note_thread(thread_id, is_stored=True, record=asked.thread, log=LogEnd())
        return asked.thread
    if asked.existing_ok or asked.is_fresh:
        return thread_id
    raise ThreadExistsError(thread_id)


def _stood(writer: Writer, asked: Stand) -> Stand:
    writer.fence(asked.thread_id, asked.epoch)
    return asked


def _standing(thread: Thread, one: Stand) -> Thread:
    failed = thread.status is ThreadStatus.ERROR
    status = thread.status if failed else one.standing.status
    return replace(
        thread, status=status, interrupts=one.standing.interrupts, updated_at=one.at, state_updated_at=one.at
    )


def _standing_row(one: Stand) -> dict[str, Any]:
    interrupts = queries.encode(one.standing.interrupts)
    return {
        "thread_id": one.thread_id,
        "status": one.standing.status,
        "interrupts": interrupts,
        "updated_at": one.at,
    }


def _patched(writer: Writer, asked: Patch) -> Patch:
    if not writer.thread(asked.thread_id).is_stored:
        raise ThreadNotFoundError(asked.thread_id)
    return asked


def _with_metadata(thread: Thread, one: Patch) -> Thread:
    return replace(thread, metadata={**thread.metadata, **one.metadata}, updated_at=one.at)


def _patch_row(thread: Thread) -> dict[str, Any]:
    metadata = queries.encode(thread.metadata)
    return {"thread_id": thread.thread_id, "metadata": metadata, "updated_at": thread.updated_at}


def _deleted(writer: Writer, asked: Deletion) -> dict[str, Any]:
    writer.fence(asked.thread_id, asked.epoch)
    if not writer.thread(asked.thread_id).is_stored:
        raise ThreadNotFoundError(asked.thread_id)
    writer.note_deletion(asked.thread_id)
    return {"thread_id": asked.thread_id}


def _put(writer: Writer, name: str, rows: Iterable[dict[str, Any]]) -> None:
    writer.put("threads", name, [(row["thread_id"], row) for row in rows])


def _insert(writer: Writer, threads: Sequence[Thread], *, unfinished: int = 0) -> None:
    for thread in threads:
        writer.note_thread(thread.thread_id, record=thread)
    _put(writer, "insert", [{"unfinished": unfinished, **_row(thread)} for thread in threads])


def _note(writer: Writer, thread_id: str, change: Callable[[Thread], Thread]) -> None:
    """Change what is remembered of a thread, if anything is."""
    if record := writer.thread(thread_id).record:
        writer.note_thread(thread_id, record=change(record))


def _as_it_is(known: Known) -> Thread:
    assert known.record is not None, "a thread that is stored was looked up"
    return replace(known.record, status=ThreadStatus.BUSY) if known.unfinished else known.record


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
    """A thread, as the admission of a run leaves it."""
    return replace(thread, metadata={**thread.metadata, **_speaks_with(run)}, updated_at=run.created_at)


def _after(thread: Thread, run: Run, standing: Standing | None) -> Thread:
    """A thread as the end of a run leaves it."""
    if standing is None:
        return replace(thread, updated_at=run.updated_at)
    return replace(
        thread,
        status=standing.status,
        error=standing.error,
        interrupts=standing.interrupts,
        updated_at=run.updated_at,
        state_updated_at=run.updated_at,
    )


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
