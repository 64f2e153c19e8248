"""Threads in the hands of actors: their epochs, and the numbers that their tapes may hand out.

No epoch and no number is given out twice, also when the thread has been deleted in between.
"""

from duckdb import DuckDBPyConnection

from storage import epochs, queries, runs, threads
from storage.errors import ThreadNotFoundError
from storage.records import Binding

BLOCK = 10_000
"""How many tape numbers come with a binding."""

_SQL = queries.load("bindings")


def bind(db: DuckDBPyConnection, thread_id: str, *, must_exist: bool) -> Binding:
    """Put a thread into the hands of a new actor. Whoever held it before can write no more."""
    thread = threads.find(db, thread_id)
    if thread is None and must_exist:
        raise ThreadNotFoundError(thread_id)
    epoch, next_seq = _take(db, thread_id)
    return Binding(
        thread_id=thread_id,
        epoch=epoch,
        next_seq=next_seq,
        reserved=next_seq + BLOCK - 1,
        thread=thread,
        unfinished=runs.unfinished(db, thread_id),
    )


def reserve(db: DuckDBPyConnection, thread_id: str, epoch: int, count: int) -> int:
    """Reserve as many numbers more; the last that may now be handed out."""
    epochs.fence(db, thread_id, epoch)
    row = db.execute(_SQL["reserve"], {"thread_id": thread_id, "count": count}).fetchone()
    assert row, "the fence has seen it"
    return row[0] - 1


def release(db: DuckDBPyConnection, thread_id: str, epoch: int, next_seq: int) -> None:
    """Give back the numbers from `next_seq` on, which were not handed out."""
    epochs.fence(db, thread_id, epoch)
    db.execute(_SQL["release"], {"thread_id": thread_id, "next_seq": next_seq})


def _take(db: DuckDBPyConnection, thread_id: str) -> tuple[int, int]:
    """The next epoch, and the first of a block of numbers."""
    found = db.execute(_SQL["find"], {"thread_id": thread_id}).fetchone()
    epoch, next_seq = found or (0, 1)
    given = {"thread_id": thread_id, "epoch": epoch + 1, "next_seq": next_seq + BLOCK}
    db.execute(_SQL["take" if found else "insert"], given)
    return epoch + 1, next_seq
