"""What threads tell of themselves while they run: their logs, and their calls of models."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

from storage import calls, events
from storage.accounting import TOOL_RESULT, Event, ModelCall, Recording
from storage.commits import accepted, done, each
from storage.errors import RunNotFoundError, ServiceError
from storage.writer import Writer


def record(writer: Writer, asked: Sequence[Recording]) -> list[ServiceError | None]:
    """Keep what has happened on threads. Twice is once."""
    writer.look_up_threads(one.thread_id for one in asked)
    outcomes = each(partial(_fenced, writer), asked)
    look_up(writer, accepted(outcomes))
    put(writer, accepted(outcomes))
    return done(outcomes)


def report(writer: Writer, asked: Sequence[Sequence[ModelCall]]) -> list[ServiceError | None]:
    """Record calls that were reported after their runs had ended, by whoever: each counts once."""
    writer.look_up_runs(call.origin for given in asked for call in given)
    outcomes = each(partial(_known, writer), asked)
    at = datetime.now(UTC)
    for given in accepted(outcomes):
        calls.put(writer, given[0].origin.thread_id, given, at, writer.server)
    return done(outcomes)


def look_up(writer: Writer, asked: Sequence[Recording]) -> None:
    """Before `put`, of threads that have been looked up."""
    events.look_up(writer, [one.thread_id for one in asked if one.events])


def put(writer: Writer, asked: Sequence[Recording]) -> None:
    """Of threads whose actors may write."""
    at = datetime.now(UTC)
    for one in asked:
        if writer.thread(one.thread_id).is_stored:  # the log of one that was deleted is gone, and stays so
            _count_tools(writer, one.thread_id, events.put(writer, one.thread_id, one.events))
        calls.open_each(writer, one.thread_id, one.epoch, one.opened)
        calls.put(writer, one.thread_id, one.calls, at, writer.server)


def _fenced(writer: Writer, one: Recording) -> Recording:
    writer.fence(one.thread_id, one.epoch)
    return one


def _known(writer: Writer, given: Sequence[ModelCall]) -> Sequence[ModelCall]:
    for call in given:
        if not writer.is_admitted(call.origin.run_id):
            raise RunNotFoundError(call.origin.run_id)
    return given


def _count_tools(writer: Writer, thread_id: str, new: Sequence[Event]) -> None:
    counts: dict[str, int] = {}
    for event in new:
        if event.event_type == TOOL_RESULT:
            counts[event.run_id] = counts.get(event.run_id, 0) + 1
    rows = [(thread_id, {"run_id": run_id, "tool_calls": count}) for run_id, count in counts.items()]
    writer.put("calls", "add_tools", rows)
