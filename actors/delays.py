"""Waiting for a time of day. Clocks are set, and the time of an event loop stands still while a laptop sleeps: so the
clock is looked at now and then."""

from datetime import UTC, datetime

LOOKED_EVERY = 5.0
"""Seconds, within which it is seen that something has become due."""


def seconds_until(due_at: datetime | None) -> float:
    """How long what waits has still to wait, by the clock as it is now; 0 if it is due."""
    return max(0.0, (due_at - datetime.now(UTC)).total_seconds()) if due_at else 0.0


def seconds_to_look(due_at: datetime | None) -> float:
    """Before it has to be looked at again whether it is due."""
    return min(seconds_until(due_at), LOOKED_EVERY)
