"""The fence: only the actor that holds a thread now may write to it. It comes first in every write that needs it."""

from duckdb import DuckDBPyConnection

from storage import queries
from storage.errors import StaleError

_SQL = queries.load("epochs")


def fence(db: DuckDBPyConnection, thread_id: str, epoch: int) -> None:
    """Raises StaleError unless this is the thread's current epoch."""
    if db.execute(_SQL["find"], {"thread_id": thread_id}).fetchone() != (epoch,):
        raise StaleError
