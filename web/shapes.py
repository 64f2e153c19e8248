"""What both dialects say alike: moments, the failures of user code, and why a run was cancelled."""

from datetime import UTC, datetime

from storage.records import Failure, Run, RunStatus

CLIENT_GONE = "client disconnected from the run stream (on_disconnect=cancel)"

SPEAKING = frozenset(
    {
        "ValueError",
        "TypeError",
        "KeyError",
        "AttributeError",
        "RuntimeError",
        "RecursionError",
        "TimeoutError",
        "InvalidUpdateError",
        "GraphBubbleUp",
        "EmptyInputError",
        "TaskNotFound",
        "HTTPException",
        "UserInterrupt",
        "UserRollback",
        "RollbackError",
    }
)
"""Classes of errors that keep their text when errors are masked."""


def moment(when: datetime) -> str:
    """ISO 8601 in UTC, with offset and microseconds; msgspec by itself would write `Z`."""
    return when.astimezone(UTC).isoformat(timespec="microseconds")


def told(failure: Failure, *, mask: bool) -> Failure:
    """What callers are told of a failure in user code."""
    if mask and failure.error not in SPEAKING:
        return Failure(failure.error, "An internal error occurred")
    return failure


def text_of(failure: Failure) -> str:
    """The gateway dialect's word for a failure: its text, or its class where it has none."""
    return failure.message or failure.error


def failure_in(run: Run, *, mask: bool) -> Failure:
    """How a run that was no success ended."""
    if run.status is RunStatus.INTERRUPTED:
        return Failure("UserInterrupt", run.cancel_reason or "")
    return told(run.error or Failure("RuntimeError", f"Run {run.run_id} failed"), mask=mask)


def cancel_wish(thread_id: str, run_id: str) -> str:
    """The reason of a run that a client cancelled."""
    return f"interrupt requested via POST /threads/{thread_id}/runs/{run_id}/cancel"
