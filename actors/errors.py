"""What can go wrong on a thread, by kind of `storage.errors`."""

from storage.errors import ConflictError, NotFoundError, ServiceError, UnavailableError


class ThreadBusyError(ConflictError):
    """The thread already has a run, and the strategy is `reject`. The detail is the thread's id."""


class InFlightError(ConflictError):
    """The thread has runs in flight, and its state cannot be changed beside them."""


class LineFullError(UnavailableError):
    """The thread has as many waiting runs as it may have; nothing was admitted."""


class StoppingError(UnavailableError):
    """This server is stopping; ask again."""


class NotHereError(ServiceError):
    """The thread is not in this process; ask the directory."""


class RunEndedError(ConflictError):
    """The run has a final status already, so there is nothing to cancel."""


ROLLBACK_FAILED = "RollbackError"
"""What the error of a run says whose state could not be restored."""


class RollbackFailedError(ServiceError):
    """The state before the run could not be restored. The detail says why."""


class GraphError(ServiceError):
    """A graph cannot be built."""


class CheckpointNotFoundError(NotFoundError):
    """The thread has no such checkpoint."""


class GoneError(UnavailableError):
    """The process that was asked has ended."""


class FaultError(ServiceError):
    """The other process failed in a way that nobody foresaw; its log has the whole story."""
