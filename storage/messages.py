"""What was said on a thread, read from its log: pages of messages, and all that happened in a run.

A message is a row of that category which concerns the lead agent, of a run that was not undone.
"""

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from duckdb import DuckDBPyConnection

from storage import feedback, queries
from storage.accounting import Event
from storage.conversations import Cursor, Feedback, Message, Page
from storage.errors import RunNotFoundError

LAST = 2**63 - 1
"""No row has a greater number, though a client may name one."""

_SQL = queries.load("messages")


def of_thread(db: DuckDBPyConnection, thread_id: str, cursor: Cursor, user_id: str | None) -> list[Message]:
    """Over all its runs, with what this user thinks of them; none of a thread that is not known."""
    events = _page(db, "of_thread", {"thread_id": thread_id}, cursor).events
    given = feedback.of_user(db, thread_id, user_id)
    places = _places(db, [given[run_id] for run_id in {event.run_id for event in events} if run_id in given])
    return [Message(event, places.get(event.seq)) for event in events]


def of_run(db: DuckDBPyConnection, thread_id: str, run_id: str, cursor: Cursor) -> Page:
    """Raises RunNotFoundError."""
    if _is_rolled_back(db, thread_id, run_id):
        return Page([], has_more=False)
    return _page(db, "of_run", {"run_id": run_id}, cursor)


def events(  # noqa: PLR0913 - a page of what, and which
    db: DuckDBPyConnection, thread_id: str, run_id: str, *, types: Sequence[str], after: int | None, limit: int
) -> list[Event]:
    """All that happened in a run, or only what is of these types; in order. Raises RunNotFoundError."""
    _is_rolled_back(db, thread_id, run_id)
    given = {"run_id": run_id, "types": list(types) or None, "after": _number(after), "limit": limit}
    return [_read(row) for row in db.execute(_SQL["events"], given).fetchall()]


def _is_rolled_back(db: DuckDBPyConnection, thread_id: str, run_id: str) -> bool:
    row = queries.one(db, _SQL["run"], {"thread_id": thread_id, "run_id": run_id})
    if row is None:
        raise RunNotFoundError(run_id)
    return row[0]


def _page(db: DuckDBPyConnection, name: str, whose: dict[str, str], cursor: Cursor) -> Page:
    """One row more is read than the page has: whether it is there is what `has_more` says."""
    given = {"before": _number(cursor.before), "after": _number(cursor.after), "limit": cursor.limit + 1}
    rows = db.execute(_SQL[name], whose | given).fetchall()
    found = sorted(map(_read, rows), key=attrgetter("seq"))
    kept = found[-cursor.limit :] if cursor.after is None else found[: cursor.limit]
    return Page(kept, has_more=len(found) > cursor.limit)


def _places(db: DuckDBPyConnection, given: Sequence[Feedback]) -> dict[int, Feedback]:
    """Feedback by the number of the message with which it is shown."""
    if not given:
        return {}
    by_run = {one.run_id: one for one in given}
    answers = db.execute(_SQL["last_answers"], {"run_ids": list(by_run)}).fetchall()
    return {seq: by_run[run_id] for run_id, seq in answers}


def _number(given: int | None) -> int | None:
    return None if given is None else min(given, LAST)


def _read(row: tuple[Any, ...]) -> Event:
    seq, run_id, event_type, category, caller, content, metadata, created_at = row
    return Event(
        seq=seq,
        run_id=run_id,
        event_type=event_type,
        category=category,
        caller=caller,
        content=content,
        metadata=metadata,
        created_at=queries.moment(created_at),
    )
