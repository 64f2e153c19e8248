"""Which slot serves which thread, who waits, and when the pool grows or shrinks. Knows no clock, no I/O, no Ray.

A slot is a process that can execute one thread's runs. Starting one takes seconds, binding one milliseconds:
so some are kept ready, and threads that find none wait in the order in which they came.
"""

from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

STARTS_AT_ONCE = 2
"""More processes than this are never started side by side: starting takes CPU from the runs under way."""


class SlotStatus(StrEnum):
    STARTING = "starting"
    FREE = "free"
    BOUND = "bound"
    QUIET = "quiet"
    """Bound, and nothing in hand: the first to be released when somebody waits."""
    RELEASING = "releasing"


class Slot(Struct, frozen=True):
    status: SlotStatus = SlotStatus.STARTING
    thread_id: str | None = None


class Pool(Struct, frozen=True):
    warm: int
    """Slots kept ready beyond those in use."""
    most: int
    """Slots in all."""
    slots: dict[int, Slot] = {}
    """By number; never changed in place."""
    waiting: tuple[str, ...] = ()
    """Threads that want a slot, in the order in which they came."""
    next_number: int = 1

    def holder(self, thread_id: str) -> int | None:
        """The slot that has the thread, or is about to give it up."""
        return next((number for number, slot in self.slots.items() if slot.thread_id == thread_id), None)

    def will_serve(self, thread_id: str) -> bool:
        """Whether the slot for a thread that waits is being released already, so that it comes in a moment."""
        return thread_id in self.waiting[: self.count(SlotStatus.RELEASING)]

    @property
    def spare(self) -> int:
        """Slots that are emptied although nobody waits yet, so that the next thread need not."""
        return min(self.warm, self.most // 4)

    def count(self, *statuses: SlotStatus) -> int:
        return sum(slot.status in statuses for slot in self.slots.values())


class Opened(Struct, frozen=True):
    """The pool begins its work, perhaps with slots that are there already."""

    found: dict[int, Slot] = {}


class Wanted(Struct, frozen=True):
    """A thread has something to do."""

    thread_id: str


class Ready(Struct, frozen=True):
    """A slot's process has started."""

    number: int


class Fell(Struct, frozen=True):
    """A slot's process has ended."""

    number: int


class Rested(Struct, frozen=True):
    """A slot's thread has nothing in hand."""

    number: int
    thread_id: str


class Expired(Struct, frozen=True):
    """A slot's thread has had nothing in hand for long."""

    number: int
    thread_id: str


class Released(Struct, frozen=True):
    """A slot has given up its thread."""

    number: int


class Kept(Struct, frozen=True):
    """A slot that was asked to give up its thread has got new work, and keeps it."""

    number: int


class Aged(Struct, frozen=True):
    """Nobody has needed all of the free slots for long."""


Event = Opened | Wanted | Ready | Fell | Rested | Expired | Released | Kept | Aged


class Launch(Struct, frozen=True):
    """Start a process."""

    number: int


class Bind(Struct, frozen=True):
    number: int
    thread_id: str


class Release(Struct, frozen=True):
    """Ask the slot to give up its thread, if that has nothing in hand."""

    number: int
    thread_id: str


class Retire(Struct, frozen=True):
    """End a free slot's process."""

    number: int


Effect = Launch | Bind | Release | Retire


def advance(pool: Pool, event: Event) -> tuple[Pool, list[Effect]]:  # noqa: C901, PLR0911 - one case and return a rule
    """The next pool, and the effects in order."""
    match event:
        case Opened(found):
            return _settled(replace(pool, slots=found, next_number=max(found, default=0) + 1))
        case Wanted(thread_id) if thread_id in pool.waiting:
            return pool, []
        case Wanted(thread_id) if (number := pool.holder(thread_id)) is not None:
            return _wanted_again(pool, number, thread_id)
        case Wanted(thread_id):
            return _settled(replace(pool, waiting=(*pool.waiting, thread_id)))
        case Ready(number) | Released(number) if number in pool.slots:
            return _settled(_with(pool, number, Slot(SlotStatus.FREE)))
        case Fell(number) if number in pool.slots:
            slots = {other: slot for other, slot in pool.slots.items() if other != number}
            return _settled(replace(pool, slots=slots))
        case Rested(number, thread_id) if _has(pool, number, thread_id, SlotStatus.BOUND):
            return _settled(_last(pool, number, Slot(SlotStatus.QUIET, thread_id)))
        case Expired(number, thread_id) if _has(pool, number, thread_id, SlotStatus.QUIET):
            return _with(pool, number, Slot(SlotStatus.RELEASING, thread_id)), [Release(number, thread_id)]
        case Kept(number) if number in pool.slots:
            return _kept(pool, number)
        case Aged():
            return _shrunk(pool)
        case Ready() | Released() | Fell() | Rested() | Expired() | Kept():
            return pool, []  # the late echo of a slot, or of a thread, that is no longer there


def _wanted_again(pool: Pool, number: int, thread_id: str) -> tuple[Pool, list[Effect]]:
    """A thread that has a slot already: one that is being released waits, and comes back to the first free slot."""
    if pool.slots[number].status is SlotStatus.RELEASING:
        return replace(pool, waiting=(*pool.waiting, thread_id)), []
    return pool, []


def _kept(pool: Pool, number: int) -> tuple[Pool, list[Effect]]:
    """The thread that stays need not wait for another slot."""
    slot = pool.slots[number]
    waiting = tuple(thread_id for thread_id in pool.waiting if thread_id != slot.thread_id)
    return _settled(_with(replace(pool, waiting=waiting), number, replace(slot, status=SlotStatus.BOUND)))


def _settled(pool: Pool) -> tuple[Pool, list[Effect]]:
    """Serve those who wait, then see to it that there is somebody to serve the next."""
    effects: list[Effect] = []
    for step in (_bind_waiting, _release_quiet, _launch):
        pool, more = step(pool)
        effects += more
    return pool, effects


def _bind_waiting(pool: Pool) -> tuple[Pool, list[Effect]]:
    free = [number for number, slot in pool.slots.items() if slot.status is SlotStatus.FREE]
    ready = [thread_id for thread_id in pool.waiting if pool.holder(thread_id) is None]
    pairs = list(zip(free, ready, strict=False))
    for number, thread_id in pairs:
        pool = _with(pool, number, Slot(SlotStatus.BOUND, thread_id))
    served = {thread_id for _, thread_id in pairs}
    waiting = tuple(thread_id for thread_id in pool.waiting if thread_id not in served)
    return replace(pool, waiting=waiting), [Bind(number, thread_id) for number, thread_id in pairs]


def _release_quiet(pool: Pool) -> tuple[Pool, list[Effect]]:
    """As many as there are threads waiting for whom no slot is on its way, and a few for those to come."""
    ready = pool.count(SlotStatus.RELEASING, SlotStatus.FREE, SlotStatus.STARTING)
    short = max(len(pool.waiting) - pool.count(SlotStatus.RELEASING), len(pool.waiting) + pool.spare - ready)
    quiet = [(number, slot.thread_id) for number, slot in pool.slots.items() if slot.status is SlotStatus.QUIET]
    effects: list[Effect] = []
    for number, thread_id in quiet[: max(0, short)]:
        assert thread_id is not None, "a quiet slot is bound"
        pool = _with(pool, number, Slot(SlotStatus.RELEASING, thread_id))
        effects.append(Release(number, thread_id))
    return pool, effects


def _launch(pool: Pool) -> tuple[Pool, list[Effect]]:
    starting = pool.count(SlotStatus.STARTING)
    missing = len(pool.waiting) + pool.warm - pool.count(SlotStatus.FREE, SlotStatus.RELEASING) - starting
    room = min(missing, pool.most - len(pool.slots), STARTS_AT_ONCE - starting)
    effects: list[Effect] = []
    for number in range(pool.next_number, pool.next_number + max(0, room)):
        pool = replace(_with(pool, number, Slot()), next_number=number + 1)
        effects.append(Launch(number))
    return pool, effects


def _shrunk(pool: Pool) -> tuple[Pool, list[Effect]]:
    free = [number for number, slot in pool.slots.items() if slot.status is SlotStatus.FREE]
    surplus = free[pool.warm :]
    kept = {number: slot for number, slot in pool.slots.items() if number not in surplus}
    return replace(pool, slots=kept), [Retire(number) for number in surplus]


def _with(pool: Pool, number: int, slot: Slot) -> Pool:
    return replace(pool, slots={**pool.slots, number: slot})


def _last(pool: Pool, number: int, slot: Slot) -> Pool:
    """The slot behind all others, so that of several quiet ones the longest quiet comes first."""
    others = {other: slot for other, slot in pool.slots.items() if other != number}
    return replace(pool, slots={**others, number: slot})


def _has(pool: Pool, number: int, thread_id: str, status: SlotStatus) -> bool:
    return pool.slots.get(number) == Slot(status, thread_id)
