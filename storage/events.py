"""The logs of threads. Their actors number the rows; a row whose number is not above the last is there already."""

from collections.abc import Iterable, Sequence
from typing import Any

from storage import queries
from storage.accounting import HUMAN, Event, LogEnd
from storage.writer import Writer

_SQL = queries.load("events")


def look_up(writer: Writer, thread_ids: Iterable[str]) -> None:
    """Remember where the logs of these threads end, which have been looked up."""
    for thread_id in thread_ids:
        known = writer.thread(thread_id)
        if known.log is None:
            writer.note_thread(thread_id, log=_end(writer, thread_id) if known.is_stored else LogEnd())


def put(writer: Writer, thread_id: str, events: Sequence[Event]) -> list[Event]:
    """Append those that are new, and return them."""
    log = writer.thread(thread_id).log
    assert log is not None, "where it ends was looked up"
    new = [event for event in events if event.seq > log.seq]
    if new:
        human_id = next((event.message_id for event in reversed(new) if event.event_type == HUMAN), log.human_id)
        writer.note_thread(thread_id, log=LogEnd(new[-1].seq, human_id))
        writer.put("events", "insert", [(thread_id, _row(thread_id, event)) for event in new])
    return new


def _end(writer: Writer, thread_id: str) -> LogEnd:
    seq, human_id = queries.one(writer.db_about([thread_id]), _SQL["end"], {"thread_id": thread_id}) or (None, None)
    return LogEnd(seq or 0, human_id)


def _row(thread_id: str, event: Event) -> dict[str, Any]:
    return {
        "thread_id": thread_id,
        "seq": event.seq,
        "run_id": event.run_id,
        "event_type": event.event_type,
        "category": event.category,
        "caller": event.caller,
        "content": event.content,
        "metadata": event.metadata,
        "created_at": event.created_at,
    }
