"""What people think of runs. There is little of it: what a thread has is read whole."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from duckdb import DuckDBPyConnection
from msgspec import Struct
from msgspec.structs import asdict, replace

from storage import queries
from storage.commits import accepted, done, each
from storage.conversations import Feedback, FeedbackStats, NoFeedbackError
from storage.errors import RunNotFoundError, ServiceError
from storage.writer import Writer

_SQL = queries.load("feedback")
_FIELDS = Feedback.__struct_fields__[:-1]
"""In the order in which the statement gives them; the moment comes last."""
_REPLACED = ("feedback_id", "message_id", "rating", "comment", "created_at")


class Withdrawal(Struct, frozen=True):
    """Somebody takes back what they said of a run."""

    thread_id: str
    run_id: str
    user_id: str | None


def put(writer: Writer, asked: Sequence[Feedback]) -> list[Feedback | ServiceError]:
    """Store what users say of runs, in place of what they have said before, whose id it keeps. Of a run once."""
    outcomes = each(partial(_taken, writer.db), asked)
    for one, is_new in accepted(outcomes):
        row = asdict(one) if is_new else {name: getattr(one, name) for name in _REPLACED}
        writer.put("feedback", "insert" if is_new else "replace", [(one.thread_id, row)])
    return [one if isinstance(one, ServiceError) else one[0] for one in outcomes]


def delete(writer: Writer, asked: Sequence[Withdrawal]) -> list[ServiceError | None]:
    outcomes = each(partial(_given, writer.db), asked)
    gone = accepted(outcomes)
    writer.put("feedback", "delete", [(one.thread_id, {"feedback_id": one.feedback_id}) for one in gone])
    return done(outcomes)


def of_run(db: DuckDBPyConnection, thread_id: str, run_id: str, user_id: str | None) -> list[Feedback]:
    """The user's own. Raises RunNotFoundError."""
    return [one for one in _of_all(db, thread_id, run_id) if one.user_id == user_id]


def of_user(db: DuckDBPyConnection, thread_id: str, user_id: str | None) -> dict[str, Feedback]:
    """What a user thinks of the thread's runs, by their ids."""
    return {one.run_id: one for one in _of_thread(db, thread_id) if one.user_id == user_id}


def stats(db: DuckDBPyConnection, thread_id: str, run_id: str) -> FeedbackStats:
    """Raises RunNotFoundError."""
    ratings = [one.rating for one in _of_all(db, thread_id, run_id)]
    positive = sum(rating > 0 for rating in ratings)
    return FeedbackStats(run_id=run_id, total=len(ratings), positive=positive, negative=len(ratings) - positive)


def _taken(db: DuckDBPyConnection, asked: Feedback) -> tuple[Feedback, bool]:
    """The feedback as it will be, and whether it is the first."""
    for before in of_run(db, asked.thread_id, asked.run_id, asked.user_id):
        return replace(asked, feedback_id=before.feedback_id), False
    return asked, True


def _given(db: DuckDBPyConnection, asked: Withdrawal) -> Feedback:
    for one in of_run(db, asked.thread_id, asked.run_id, asked.user_id):
        return one
    raise NoFeedbackError("No feedback found for this run")


def _of_all(db: DuckDBPyConnection, thread_id: str, run_id: str) -> list[Feedback]:
    """Of a run, by whomever."""
    if not (known := queries.one(db, _SQL["run"], {"thread_id": thread_id, "run_id": run_id})):
        raise RunNotFoundError(run_id)
    return [one for one in _of_thread(db, thread_id) if one.run_id == known[0]]


def _of_thread(db: DuckDBPyConnection, thread_id: str) -> list[Feedback]:
    return [_read(row) for row in db.execute(_SQL["of_thread"], {"thread_id": thread_id}).fetchall()]


def _read(row: tuple[Any, ...]) -> Feedback:
    *fields, created_at = row
    return Feedback(**dict(zip(_FIELDS, fields, strict=True)), created_at=queries.moment(created_at))
