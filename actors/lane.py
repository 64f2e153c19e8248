"""Which run goes next on a thread, and what becomes of the others. Knows no clock, no I/O, no Ray.

A lane is what a thread knows of its unfinished runs; `advance` is the whole policy. Runs are named by
their ids. A lane that is *held* belongs to a thread that waits for a slot: it accepts, and starts nothing.
"""

from collections.abc import Iterable, Iterator

from msgspec import Struct
from msgspec.structs import replace

from actors.errors import LineFullError, ThreadBusyError
from storage.records import MultitaskStrategy

LONGEST_LINE = 100
"""Runs that may wait on one thread; the next one is refused, and nothing is admitted."""


class Lane(Struct, frozen=True):
    active: str | None = None
    stopping: bool = False
    """Whether the active run has been asked to stop."""
    waiting: tuple[str, ...] = ()
    held: bool = False

    @property
    def is_idle(self) -> bool:
        return self.active is None and not self.waiting


class Submitted(Struct, frozen=True):
    """A run came in."""

    run_id: str
    strategy: MultitaskStrategy


class Cancelled(Struct, frozen=True):
    """Somebody wants a run to end."""

    run_id: str
    rollback: bool = False


class Settled(Struct, frozen=True):
    """A run that was active has its final status."""

    run_id: str


Event = Submitted | Cancelled | Settled


class Start(Struct, frozen=True):
    """Execute the run."""

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


def recovered(run_ids: Iterable[str], *, held: bool) -> tuple[Lane, list[Effect]]:
    """The lane of a thread that comes back with these unfinished runs, in the order of their admission."""
    match tuple(run_ids):
        case (first, *rest) if not held:
            return Lane(active=first, waiting=tuple(rest)), [Start(first)]
        case waiting:
            return Lane(waiting=waiting, held=held), []


def advance(lane: Lane, event: Event) -> tuple[Lane, list[Effect]]:  # noqa: PLR0911 - one return a rule
    """The next lane, and the effects in order. Raises if this may not happen, and then nothing has changed."""
    match event:
        case Submitted(run_id) if lane.is_idle and not lane.held:
            return replace(lane, active=run_id, stopping=False), [Start(run_id)]
        case Submitted(_, MultitaskStrategy.REJECT) if not lane.is_idle:
            raise ThreadBusyError
        case Submitted(run_id, MultitaskStrategy.INTERRUPT | MultitaskStrategy.ROLLBACK as strategy):
            rollback = strategy is MultitaskStrategy.ROLLBACK
            return replace(lane, stopping=lane.active is not None, waiting=(run_id,)), list(_displace(lane, rollback))
        case Submitted() if len(lane.waiting) >= LONGEST_LINE:
            raise LineFullError
        case Submitted(run_id):
            return replace(lane, waiting=(*lane.waiting, run_id)), []
        case Cancelled(run_id, rollback) if run_id == lane.active:
            return replace(lane, stopping=True), [] if lane.stopping else [Stop(run_id, rollback)]
        case Cancelled(run_id, rollback) if run_id in lane.waiting:
            return replace(lane, waiting=tuple(w for w in lane.waiting if w != run_id)), [Drop(run_id, rollback)]
        case Settled(run_id) if run_id == lane.active:
            return _next(lane)
        case Cancelled() | Settled():
            return lane, []  # the late echo of a run that was already let go


def _displace(lane: Lane, rollback: bool) -> Iterator[Effect]:  # noqa: FBT001 - one yes-or-no, handed on
    yield from (Drop(run_id, rollback) for run_id in lane.waiting)
    if lane.active and not lane.stopping:
        yield Stop(lane.active, rollback)


def _next(lane: Lane) -> tuple[Lane, list[Effect]]:
    match lane.waiting:
        case (first, *rest) if not lane.held:
            return replace(lane, active=first, stopping=False, waiting=tuple(rest)), [Start(first)]
        case _:
            return replace(lane, active=None, stopping=False), []
