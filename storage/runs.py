"""Executions of graphs: admitted, begun, settled. Every write is fenced, and a final status never changes."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from duckdb import DuckDBPyConnection
from msgspec import Struct
from msgspec.json import Decoder, decode
from msgspec.structs import replace

from storage import garbage, queries, recordings, threads
from storage.accounting import Recording
from storage.commits import accepted, done, each
from storage.errors import RunExistsError, RunNotFoundError, ServiceError, ThreadNotFoundError
from storage.records import (
    Admission,
    CancelAction,
    Dialect,
    Failure,
    MultitaskStrategy,
    Parking,
    Run,
    RunRequest,
    RunStatus,
    Settlement,
    Told,
    Totals,
    Wish,
)
from storage.writer import Writer

A = TypeVar("A", Admission, Settlement, Parking)
N = TypeVar("N", Run, Wish)

_SQL = queries.load("runs")
_REQUEST = Decoder(RunRequest)
_COLUMNS = (*Run.__struct_fields__, "error_message")
"""In the order in which statements give them."""


class Start(Struct, frozen=True):
    """The start of an attempt."""

    run: Run
    epoch: int


class Forgetting(Struct, frozen=True):
    """A run that is to be deleted."""

    run: Run
    epoch: int


def admit(writer: Writer, asked: Sequence[Admission]) -> list[ServiceError | None]:
    """Let runs in, and their threads if those are new, and let go of those they displace. Twice is once, until they
    have ended: then it is RunExistsError."""
    writer.look_up_threads(one.run.thread_id for one in asked)
    writer.look_up_runs(one.run for one in asked if writer.doubts or one.again or _lacks_thread(writer, one))
    writer.look_up_runs(run for one in asked for run in one.dropped)
    writer.look_up_runs(one.wish for one in asked if one.wish)
    recordings.look_up(writer, _recordings(asked))
    outcomes = each(partial(_admitted, writer), asked)
    admitted = [one for one in accepted(outcomes) if one]
    threads.occupy(writer, admitted)
    writer.put("runs", "insert", [(one.run.thread_id, _row(writer, one)) for one in admitted])
    _put(writer, "wish", _wanted, [one.wish for one in admitted if one.wish and _can_change(writer, one.wish)])
    recordings.put(writer, _recordings(_not_refused(asked, outcomes)))
    _settle(writer, [Settlement(run=run, epoch=one.epoch) for one in admitted for run in one.dropped])
    return done(outcomes)


def wish(writer: Writer, asked: Sequence[Wish]) -> list[ServiceError | None]:
    """Keep that somebody wants runs to end; of runs that have ended already, nothing."""
    writer.look_up_threads(one.thread_id for one in asked)
    writer.look_up_runs(asked)
    outcomes = each(partial(_wished, writer), asked)
    _put(writer, "wish", _wanted, [one for one in accepted(outcomes) if one])
    return done(outcomes)


def begin(writer: Writer, asked: Sequence[Start]) -> list[ServiceError | None]:
    """Note the start of attempts; of runs that have ended already, nothing."""
    _look_up(writer, asked)
    outcomes = each(partial(_begun, writer), asked)
    _put(writer, "begin", _start, [run for run in accepted(outcomes) if run])
    return done(outcomes)


def park(writer: Writer, asked: Sequence[Parking]) -> list[ServiceError | None]:
    """Have runs wait again, for the next server to go on with; of runs that have ended already, nothing."""
    _look_up(writer, asked)
    recordings.look_up(writer, _recordings(asked))
    outcomes = each(partial(_parked, writer), asked)
    recordings.put(writer, _recordings(_not_refused(asked, outcomes)))
    _put(writer, "park", _parting, [one.run for one in accepted(outcomes) if one])
    return done(outcomes)


def settle(writer: Writer, asked: Sequence[Settlement]) -> list[ServiceError | None]:
    """Give runs their final status, and their threads what follows from it: once, however often it is asked."""
    _look_up(writer, asked)
    recordings.look_up(writer, _recordings(asked))
    return done(_settle(writer, asked))


def forget(writer: Writer, asked: Sequence[Forgetting]) -> list[ServiceError | None]:
    """Runs that have ended are deleted; that they were, and what they cost, stays for accounting."""
    _look_up(writer, asked)
    outcomes = each(partial(_forgotten, writer), asked)
    writer.put("runs", "forget", [(run.thread_id, {"run_id": run.run_id}) for run in accepted(outcomes)])
    writer.put("feedback", "forget_run", [(run.thread_id, {"run_id": run.run_id}) for run in accepted(outcomes)])
    return done(outcomes)


def get(db: DuckDBPyConnection, thread_id: str | None, run_id: str, *, lately: bool = False) -> Run:
    """A run of the thread, or of any; with `lately`, also one that has just gone with its thread."""
    row = queries.one(db, _SQL["get"], {"thread_id": thread_id, "run_id": run_id, "lately": lately})
    if row is None:
        raise RunNotFoundError(run_id)
    return _read(row)


def owed(db: DuckDBPyConnection) -> list[tuple[str, str]]:
    """Threads and runs that have ended, and whose webhooks have still to be called, in the order of admission."""
    return db.execute(_SQL["owed"]).fetchall()


def tell(writer: Writer, asked: Sequence[Told]) -> list[None]:
    """Webhooks have been called, or given up."""
    rows = [(one.thread_id, {"run_id": one.run_id, "webhook_sent_at": one.at}) for one in asked]
    writer.put("runs", "tell", rows)
    return [None for _ in asked]


def of_key(db: DuckDBPyConnection, thread_id: str, key: str) -> Run | None:
    """The run that a request of this name made on the thread, also if it has just gone with it."""
    found = queries.one(db, _SQL["of_key"], {"thread_id": thread_id, "idempotency_key": key})
    return get(db, thread_id, found[0], lately=True) if found else None


def of_thread(  # noqa: PLR0913 - a page of what, and which
    db: DuckDBPyConnection,
    thread_id: str,
    limit: int,
    offset: int,
    status: RunStatus | None,
    *,
    rolled_back: bool = True,
) -> list[Run]:
    """Newest first; those that were rolled back only if they are asked for."""
    return _page(db, thread_id, [status] if status else None, limit, offset, rolled_back=rolled_back)


def unfinished(db: DuckDBPyConnection, thread_id: str) -> list[Run]:
    """In the order of their admission."""
    return _page(db, thread_id, [status for status in RunStatus if not status.is_final])[::-1]


def unfinished_threads(db: DuckDBPyConnection) -> list[str]:
    """Threads that have something to do, those that wait longest first."""
    return [thread_id for (thread_id,) in db.execute(_SQL["unfinished_threads"]).fetchall()]


def unfinished_ids(db: DuckDBPyConnection, statuses: Sequence[RunStatus]) -> list[tuple[str, str]]:
    """Threads and their runs of these statuses, in the order of admission."""
    return db.execute(_SQL["unfinished_ids"], {"statuses": list(statuses)}).fetchall()


def _page(  # noqa: PLR0913 - as above
    db: DuckDBPyConnection,
    thread_id: str,
    statuses: list[RunStatus] | None,
    limit: int | None = None,
    offset: int = 0,
    *,
    rolled_back: bool = True,
) -> list[Run]:
    given = {"thread_id": thread_id, "statuses": statuses, "rolled_back": rolled_back}
    given |= {"limit": limit, "offset": offset}
    return [_read(row) for row in db.execute(_SQL["of_thread"], given).fetchall()]


def _admitted(writer: Writer, asked: Admission) -> Admission | None:
    """What is to be admitted, with the thread if it has to be stored; None if it was let in before, and has not ended:
    whoever asks for one that has would execute it once more."""
    run = asked.run
    writer.fence(run.thread_id, asked.epoch)
    if writer.is_admitted(run.run_id):
        if not writer.is_unfinished(run.run_id, run.thread_id):
            raise RunExistsError(run.run_id)
        return None
    if _lacks_thread(writer, asked):
        raise ThreadNotFoundError(run.thread_id)
    known = writer.thread(run.thread_id)
    writer.note_run(run.run_id, run.thread_id)
    writer.note_thread(run.thread_id, is_stored=True, unfinished=known.unfinished + 1)
    return replace(asked, new_thread=None) if known.is_stored else asked


def _lacks_thread(writer: Writer, asked: Admission) -> bool:
    return asked.new_thread is None and not writer.thread(asked.run.thread_id).is_stored


def _begun(writer: Writer, asked: Start) -> Run | None:
    writer.fence(asked.run.thread_id, asked.epoch)
    return asked.run if _can_change(writer, asked.run) else None


def _parked(writer: Writer, asked: Parking) -> Parking | None:
    writer.fence(asked.run.thread_id, asked.epoch)
    return asked if _can_change(writer, asked.run) else None


def _wished(writer: Writer, asked: Wish) -> Wish | None:
    writer.fence(asked.thread_id, asked.epoch)
    return asked if _can_change(writer, asked) else None


def _forgotten(writer: Writer, asked: Forgetting) -> Run:
    writer.fence(asked.run.thread_id, asked.epoch)
    if not writer.is_admitted(asked.run.run_id):
        raise RunNotFoundError(asked.run.run_id)
    return asked.run


def _settle(writer: Writer, asked: Sequence[Settlement]) -> list[Settlement | ServiceError | None]:
    """Of those that have been looked up."""
    outcomes = each(partial(_settled, writer), asked)
    settled = [one for one in accepted(outcomes) if one]
    recordings.put(writer, _recordings(_not_refused(asked, outcomes)))
    _put(writer, "settle", _end, [one.run for one in settled])
    threads.settle(writer, settled)
    undone = [one.run for one in settled if one.run.rolled_back]
    _put(writer, "hand_on", _place, undone)
    threads.give_back(writer, undone)
    for one in settled:
        if one.run.request.temporary and not writer.thread(one.run.thread_id).unfinished:
            garbage.leave(writer, one.run.thread_id, one.run.ended_at or one.run.updated_at)
    return outcomes


def _not_refused(asked: Sequence[A], outcomes: Sequence[A | ServiceError | None]) -> list[A]:
    """Also those that were made before, and are asked for again: more may have happened on their threads since."""
    return [one for one, outcome in zip(asked, outcomes, strict=True) if not isinstance(outcome, ServiceError)]


def _recordings(asked: Sequence[Admission] | Sequence[Settlement] | Sequence[Parking]) -> list[Recording]:
    return [one.recording for one in asked if one.recording]


def _settled(writer: Writer, asked: Settlement) -> Settlement | None:
    run = asked.run
    assert run.status.is_final, "a settlement is the end of a run"
    writer.fence(run.thread_id, asked.epoch)
    if not _can_change(writer, run):
        return None
    writer.note_run(run.run_id, None)
    writer.note_thread(run.thread_id, unfinished=writer.thread(run.thread_id).unfinished - 1)
    return asked


def _can_change(writer: Writer, run: Run | Wish) -> bool:
    """A run that has ended cannot. Raises RunNotFoundError for one never admitted."""
    if not writer.is_admitted(run.run_id):
        raise RunNotFoundError(run.run_id)
    return writer.is_unfinished(run.run_id, run.thread_id)


def _look_up(
    writer: Writer, asked: Sequence[Start] | Sequence[Settlement] | Sequence[Parking] | Sequence[Forgetting]
) -> None:
    writer.look_up_threads(one.run.thread_id for one in asked)
    writer.look_up_runs(one.run for one in asked)


def _put(writer: Writer, name: str, row: Callable[[N], dict[str, Any]], given: Sequence[N]) -> None:
    writer.put("runs", name, [(run.thread_id, row(run)) for run in given])


def _place(run: Run) -> dict[str, Any]:
    return {"run_id": run.run_id, "thread_id": run.thread_id}


def _wanted(wish: Wish) -> dict[str, Any]:
    return {"run_id": wish.run_id, "cancel_action": wish.action, "cancel_reason": wish.reason}


def _row(writer: Writer, asked: Admission) -> dict[str, Any]:
    """A run that is admitted: what comes with its end is NULL until then."""
    run = asked.run
    return {
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
        "request": queries.encode(run.request),
        "due_at": run.due_at,
        "idempotency_key": run.idempotency_key,
        "webhook": run.request.webhook,
        "environment": writer.server.environment,
        "release": writer.server.release,
        "replaced": queries.encode(asked.replaced),
        "first_seq": run.first_seq,
    }


def _start(run: Run) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "attempt": run.attempt,
        "started_at": run.started_at,
        "first_seq": run.first_seq,
        "updated_at": run.updated_at,
    }


def _parting(run: Run) -> dict[str, Any]:
    return {**_start(run), "parked": run.parked}


def _end(run: Run) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
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
        "rolled_back": run.rolled_back,
    }


def _tags(run: Run) -> list[str]:
    """LangChain's tags, for accounting. They are the client's JSON, so they may be anything."""
    tags = run.request.config.get("tags")
    return [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []


def _read(row: tuple[Any, ...]) -> Run:
    columns = dict(zip(_COLUMNS, row, strict=True))
    message = columns.pop("error_message")
    given: dict[str, Any] = {
        "dialect": Dialect(columns["dialect"]),
        "request": _REQUEST.decode(columns["request"]),
        "metadata": decode(columns["metadata"]),
        "multitask_strategy": MultitaskStrategy(columns["multitask_strategy"]),
        "status": RunStatus(columns["status"]),
        "error": None if columns["error"] is None else Failure(columns["error"], message),
        "created_at": queries.moment(columns["created_at"]),
        "updated_at": queries.moment(columns["updated_at"]),
        "started_at": queries.moment_or_none(columns["started_at"]),
        "ended_at": queries.moment_or_none(columns["ended_at"]),
        "due_at": queries.moment_or_none(columns["due_at"]),
        "cancel_action": columns["cancel_action"] and CancelAction(columns["cancel_action"]),
        "totals": Totals(*columns["totals"]),
    }
    return Run(**{**columns, **given})
