"""Which run goes next on a thread, and what becomes of the others. Knows no clock, no I/O, no Ray.

A lane is what a thread knows of its unfinished runs; `advance` is the whole policy. Runs are named by
their ids. A lane that is *held* belongs to a thread that waits for a slot, or whose server is stopping: it executes
nothing.
"""

from collections.abc import Iterable, Iterator

from msgspec import Struct
from msgspec.structs import replace

from actors.errors import LineFullError, ThreadBusyError
from storage.records import MultitaskStrategy

LONGEST_LINE = 100
"""Runs that may wait on one thread, unless it is set; the next one is refused, and nothing is admitted."""


class Lane(Struct, frozen=True):
    active: str | None = None
    stopping: bool = False
    """Whether the active run has been asked to stop."""
    waiting: tuple[str, ...] = ()
    """In the order in which they were accepted."""
    delayed: frozenset[str] = frozenset()
    """Those who wait and are not due yet: others go ahead of them."""
    held: bool = False
    begun: str | None = None
    """In a held lane, who of the waiting has been executed before, and lost its process: it has something to undo."""
    longest: int = LONGEST_LINE

    @property
    def is_idle(self) -> bool:
        return self.active is None and not self.waiting

    @property
    def next(self) -> str | None:
        """Who would start now, if nobody is active."""
        return next((run_id for run_id in self.waiting if run_id not in self.delayed), None)


class Submitted(Struct, frozen=True):
    """A run came in."""

    run_id: str
    strategy: MultitaskStrategy
    delayed: bool = False


class Due(Struct, frozen=True):
    """The delay of a run is over."""

    run_id: str


class Cancelled(Struct, frozen=True):
    """Somebody wants a run to end."""

    run_id: str
    rollback: bool = False


class Settled(Struct, frozen=True):
    """A run that was active has its final status."""

    run_id: str


class Drained(Struct, frozen=True):
    """The server stops: what waits is for the next one."""


Event = Submitted | Due | Cancelled | Settled | Drained


class Start(Struct, frozen=True):
    """Execute the run; one that was asked to stop before only settles."""

    run_id: str


class Stop(Struct, frozen=True):
    """Ask the active run to stop; it settles when it has."""

    run_id: str
    rollback: bool = False


class Drop(Struct, frozen=True):
    """Give a run that never started its final status."""

    run_id: str
    rollback: bool = False


Effect = Start | Stop | Drop


def recovered(run_ids: Iterable[str], begun: str | None, lane: Lane) -> tuple[Lane, list[Effect]]:
    """A thread comes back with these unfinished runs, in the order of their acceptance; one of them had `begun`.

    `lane` says what else is known: who is not due yet, and whether the thread is held.
    """
    lane = replace(lane, waiting=tuple(run_ids))
    if lane.held:
        return replace(lane, begun=begun), []
    return _next(lane) if begun is None else _start(lane, begun)


def advance(lane: Lane, event: Event) -> tuple[Lane, list[Effect]]:  # noqa: C901, PLR0911 - one case and return a rule
    """The next lane, and the effects in order. Raises if this may not happen, and then nothing has changed."""
    match event:
        case Submitted(_, MultitaskStrategy.REJECT) if not lane.is_idle:
            raise ThreadBusyError
        case Submitted(_, MultitaskStrategy.INTERRUPT | MultitaskStrategy.ROLLBACK as strategy) if not lane.is_idle:
            return _displaced(lane, event, rollback=strategy is MultitaskStrategy.ROLLBACK)
        case Submitted() if len(lane.waiting) >= lane.longest:
            raise LineFullError
        case Submitted():
            return _joined(lane, event)
        case Due(run_id) if run_id in lane.delayed:
            return _next(replace(lane, delayed=lane.delayed - {run_id}))
        case Cancelled(run_id, rollback) if run_id == lane.active:
            return replace(lane, stopping=True), [] if lane.stopping else [Stop(run_id, rollback)]
        case Cancelled(run_id, rollback) if run_id == lane.begun:
            return _ending(lane), [Stop(run_id, rollback), Start(run_id)]
        case Cancelled(run_id, rollback) if run_id in lane.waiting:
            return _without(lane, run_id), [Drop(run_id, rollback)]
        case Settled(run_id) if run_id == lane.active:
            return _next(replace(lane, active=None, stopping=False))
        case Drained():
            return replace(lane, held=True), []
        case Due() | Cancelled() | Settled():
            return lane, []  # the late echo of a run that was already let go


def _joined(lane: Lane, event: Submitted) -> tuple[Lane, list[Effect]]:
    """The run takes its place in the line; where nobody is active and it is due, that is the first one."""
    delayed = lane.delayed | {event.run_id} if event.delayed else lane.delayed
    return _next(replace(lane, waiting=(*lane.waiting, event.run_id), delayed=delayed))


def _displaced(lane: Lane, event: Submitted, *, rollback: bool) -> tuple[Lane, list[Effect]]:
    """All others go: those who wait at once, the active one when it has stopped."""
    gone = list(_displace(lane, rollback=rollback))
    lane = _ending(lane) if lane.begun else replace(lane, stopping=lane.active is not None)
    lane, effects = _joined(replace(lane, waiting=(), delayed=frozenset[str]()), event)
    return lane, [*gone, *effects]


def _displace(lane: Lane, *, rollback: bool) -> Iterator[Effect]:
    yield from (Drop(run_id, rollback) for run_id in lane.waiting if run_id != lane.begun)
    if lane.begun:
        yield from (Stop(lane.begun, rollback), Start(lane.begun))
    elif lane.active and not lane.stopping:
        yield Stop(lane.active, rollback)


def _ending(lane: Lane) -> Lane:
    """Who had begun is active for as long as its end takes, also in a held lane: nothing is executed for that."""
    assert lane.begun is not None, "somebody has begun"
    return replace(_without(lane, lane.begun), active=lane.begun, stopping=True, begun=None)


def _next(lane: Lane) -> tuple[Lane, list[Effect]]:
    """Whoever is due starts, if nobody is active."""
    if lane.held or lane.active is not None or lane.next is None:
        return lane, []
    return _start(lane, lane.next)


def _start(lane: Lane, run_id: str) -> tuple[Lane, list[Effect]]:
    return replace(_without(lane, run_id), active=run_id, stopping=False), [Start(run_id)]


def _without(lane: Lane, run_id: str) -> Lane:
    waiting = tuple(waits for waits in lane.waiting if waits != run_id)
    return replace(lane, waiting=waiting, delayed=lane.delayed - {run_id})
