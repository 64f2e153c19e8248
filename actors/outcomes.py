"""How the execution of a graph ends, and where it leaves the thread's checkpoints."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from msgspec import Struct

from storage.accounting import Event, ModelCall
from storage.records import Failure, Run

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
    unfinished: list[Run] | None = None
    """The runs that it leaves behind, in the order of their admission; None where the ledger has to be asked."""


class Outcome(Struct, frozen=True):
    """How the execution of a graph ended, when it ended by itself."""

    position: Position | None
    """None when it could not be read where the graph ran."""
    failure: Failure | None = None
    outputs: str | None = None
    """The graph's outputs, in JSON; None when it gave none."""


class Notes(Struct, frozen=True):
    """What has happened in an execution since this was last asked."""

    events: tuple[Event, ...] = ()
    """Not numbered yet."""
    calls: tuple[ModelCall, ...] = ()
    """Calls of models that have ended."""
    opened: tuple[ModelCall, ...] = ()
    """Calls that have begun, as they are to be recorded if nothing more is heard of them."""
