"""How the execution of a graph ends, and where it leaves the thread's checkpoints."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from msgspec import Struct

from storage.records import Failure

Say = Callable[[str, bytes], object]
"""Takes an event's name and its JSON."""


class Position(Struct, frozen=True):
    """Where a thread's checkpoints are."""

    checkpoint_id: str | None = None
    has_next: bool = False
    """Whether a node would go on from here."""
    interrupts: dict[str, list[Any]] = {}
    """Task id → what it waits for."""


class Leaving(Struct, frozen=True):
    """Whether a thread has left its process."""

    left: bool
    due_at: datetime | None = None
    """When the first of the runs that it leaves behind is to start, if that is known and not now."""


class Outcome(Struct, frozen=True):
    """How the execution of a graph ended, when it ended by itself."""

    position: Position | None
    """None when it could not be read where the graph ran."""
    failure: Failure | None = None
