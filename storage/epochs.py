"""The fence: only the actor that holds a thread now may write to it. It comes first in every write that needs it."""

from storage.errors import StaleError
from storage.writer import Writer


def fence(writer: Writer, thread_id: str, epoch: int) -> None:
    """Raises StaleError unless this is the current epoch of the thread, which has been looked up."""
    if epoch == 0 or writer.thread(thread_id).epoch != epoch:
        raise StaleError
