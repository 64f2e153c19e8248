"""Where threads live: carries out the pool's decisions, and notices when a slot dies. Plain asyncio; knows no Ray.

A thread that finds no slot lives in the lobby meanwhile, held: it takes runs in, and starts none.
"""

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import suppress
from datetime import datetime
from typing import Any, Protocol

from msgspec import Struct

from actors.addresses import Home
from actors.catalog import Catalog
from actors.delays import seconds_to_look
from actors.errors import GoneError
from actors.garbage import Collector, GarbageLedger
from actors.host import Host
from actors.lobby import Elsewhere, Silence
from actors.pool import (
    Aged,
    Bind,
    Effect,
    Event,
    Expired,
    Fell,
    Kept,
    Launch,
    Opened,
    Pool,
    Ready,
    Release,
    Released,
    Rested,
    Retire,
    Slot,
    SlotStatus,
    Wanted,
    advance,
)
from actors.ports import LedgerPort, SlotPort
from actors.project import RunLimits
from actors.pruning import prune_for_ever
from actors.turns import Turns
from storage.errors import UnavailableError
from storage.records import Binding, Run
from storage.tapes import Tapes

logger = logging.getLogger(__name__)

LOBBY_AFTER = 0.05
"""Seconds that a thread waits for a slot before it is taken into the lobby, from which it has to move once more: with
short runs a slot is free sooner than that."""

LONGEST_WAIT = 10_000
"""Threads that may wait for a slot; the next one is refused, and nothing is admitted."""

RELAUNCH_AFTER = 1.0
"""Seconds before the process of a slot that could not start is tried again."""

SURPLUS_AFTER = 60.0
"""Seconds that slots beyond the warm ones stay free before they are ended."""

PING_EVERY = 2.0
SILENT_AFTER = 10.0
"""Seconds without an answer after which a bound slot counts as hung. Long JSON and regexes are no deadlocks."""


ANSWERED_WITHIN = 2.0
"""Seconds for slots of an earlier directory to say which thread they have. Everybody waits for them, so those that take
longer, because they are just starting, are waited for beside the rest; one that has a thread by then is replaced."""


class Launcher(Protocol):
    async def launch(self, number: int) -> SlotPort:
        """A process that is ready to be bound."""
        ...

    async def survivors(self) -> dict[int, SlotPort]:
        """Slots, by number, that an earlier directory has launched and whose processes are still there."""
        ...


class BindingLedger(LedgerPort, GarbageLedger, Protocol):
    async def bind(self, thread_id: str, handed_over: list[Run] | None = None) -> Binding:
        """A binding of a new epoch. What the one before has handed over, as its unfinished runs, is not looked for."""
        ...

    async def unfinished_threads(self) -> list[str]: ...


class DirectorySettings(Struct, frozen=True):
    warm: int
    most: int
    limits: RunLimits
    linger: float = 30.0
    """Seconds that a quiet thread keeps its slot when nobody else wants it."""


class Directory:
    """One for the whole cluster. At a restart its state is rebuilt: from the slots, which live on, and the ledger."""

    def __init__(self, settings: DirectorySettings, ledger: BindingLedger, launcher: Launcher) -> None:
        self._settings = settings
        self._ledger = ledger
        self._launcher = launcher
        self.lobby = Host(
            ledger,
            Elsewhere(self._reader),
            Silence(self._reader),
            held=True,
            limits=settings.limits,
            on_quiet=_ignore,
            on_lost=_ignore,
        )
        self._pool = Pool(warm=settings.warm, most=settings.most)
        self._slots: dict[int, SlotPort] = {}
        self._places: dict[str, SlotPort | None] = {}  # None is the lobby
        self._turns = Turns()
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False
        self._is_draining = False
        self._next_reader = 0
        self._idle: dict[int, str] = {}  # threads that had nothing in hand at the last ping

    async def open(self) -> None:
        """Take over the slots that are there, start the others, and bring back every thread with unfinished runs."""
        unfinished = await self._ledger.unfinished_threads()
        survivors = await self._launcher.survivors()
        answers = {number: asyncio.ensure_future(slot.threads()) for number, slot in survivors.items()}
        if answers:
            await asyncio.wait(answers.values(), timeout=ANSWERED_WITHIN)
        self._feed(
            Opened({number: self._taken_over(number, slot, answers[number]) for number, slot in survivors.items()})
        )
        for thread_id in unfinished:
            self._feed(Wanted(thread_id))
        self._hold(self._sweep(), "sweep")
        collector = Collector(self._ledger, self._reader, self._is_awake)
        self._hold(collector.collect_for_ever(), "collect garbage")

    def begin_to_prune(self, tapes: Tapes) -> None:
        self._hold(prune_for_ever(tapes), "prune tapes")

    async def locate(self, thread_id: str) -> str | None:
        """The address of the slot that holds the thread; None when the lobby does, because all slots are busy.

        Raises UnavailableError when it cannot be written down that a slot has it.
        """
        if len(self._pool.waiting) >= LONGEST_WAIT:
            raise UnavailableError("Too many threads wait for a slot")
        self._feed(Wanted(thread_id))
        patient_until = asyncio.get_running_loop().time() + LOBBY_AFTER
        with self._turns.attended(thread_id) as turn:
            while True:
                async with turn.lock:
                    if turn.refusal is not None:
                        raise turn.refusal
                    if thread_id not in self._places and self._must_wait(thread_id, patient_until):
                        await self.lobby.take(await self._ledger.bind(thread_id))
                        self._places[thread_id] = None
                    if thread_id in self._places:
                        return _address(self._places[thread_id])
                    if self._pool.holder(thread_id) is None:  # its slot died, or could not take it
                        self._feed(Wanted(thread_id))
                await turn.moved(within=LOBBY_AFTER)

    async def find(self, thread_id: str) -> Home | None:
        """Where the thread is, once it has moved if it is moving; None if it rests, and it is left to."""
        with self._turns.attended(thread_id) as turn:
            async with turn.lock:
                return Home(_address(self._places[thread_id])) if thread_id in self._places else None

    async def reader(self, thread_id: str) -> str:
        """The address of a slot in which the thread's state can be read: its own, or any."""
        return (await self._reader(thread_id)).address

    async def catalog(self) -> Catalog:
        """What the first slot that has started found in the project."""
        while not self._slots:
            await self._changed.wait()
        return await next(iter(self._slots.values())).catalog()

    async def rested(self, number: int, thread_id: str) -> None:
        """A slot says that its thread has nothing in hand."""
        self._feed(Rested(number, thread_id))
        loop = asyncio.get_running_loop()
        loop.call_later(self._settings.linger, self._feed, Expired(number, thread_id))

    async def drain(self) -> bool:
        """Have no run start any more, and return when none is executed. Whether any was."""
        self._is_draining = True
        places = [self.lobby, *self._slots.values()]
        drained = await asyncio.gather(*(place.drain() for place in places), return_exceptions=True)
        return any(one is not False for one in drained)  # a slot that died meanwhile had something to do

    async def close(self) -> None:
        """Stop binding and watching. What runs is left to end with its process."""
        self._closed = True
        for task in list(self._tasks):
            task.cancel()

    # Carrying out what the pool decides

    def _feed(self, event: Event) -> None:
        """Move the pool on. Never awaits, so decisions are made one at a time."""
        if self._closed or self._is_draining:
            return
        self._pool, effects = advance(self._pool, event)
        for effect in effects:
            self._carry_out(effect)
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Launch(number):
                self._hold(self._launch(number), f"launch slot {number}")
            case Bind(number, thread_id):
                self._hold(self._bind(number, thread_id), f"bind {thread_id} to slot {number}")
            case Release(number, thread_id):
                self._hold(self._release(number, thread_id), f"release {thread_id} from slot {number}")
            case Retire(number):
                self._hold(self._slots.pop(number).kill(), f"retire slot {number}")

    async def _launch(self, number: int) -> None:
        try:
            slot = await self._launcher.launch(number)
        except Exception:  # whatever kept the process from starting, the pool tries again
            logger.exception("Slot %s did not start", number)
            await asyncio.sleep(RELAUNCH_AFTER)
            self._feed(Fell(number))
            return
        self._hire(number, slot)
        self._feed(Ready(number))

    async def _bind(self, number: int, thread_id: str) -> None:
        try:
            async with self._turns.moving(thread_id) as turn:
                left = await self.lobby.let_go(thread_id)
                self._places.pop(thread_id, None)
                slot = self._hired(number)
                with turn.refusing():
                    binding = await self._ledger.bind(thread_id, handed_over=left.unfinished)
                await slot.bind(binding)
                self._places[thread_id] = slot
        except UnavailableError as error:  # the ledger or the slot is away, or the disk is full
            logger.warning("Thread %s is not bound to slot %s yet: %s", thread_id, number, error)
            await self._bind_again(number, thread_id)
        except Exception:  # whatever it was, the thread waits for the next slot
            logger.exception("Thread %s could not be bound to slot %s", thread_id, number)
            await self._bind_again(number, thread_id)

    async def _bind_again(self, number: int, thread_id: str) -> None:
        await asyncio.sleep(RELAUNCH_AFTER)
        self._feed(Released(number) if number in self._slots else Fell(number))
        self._feed(Wanted(thread_id))

    async def _release(self, number: int, thread_id: str) -> None:
        try:
            async with self._turns.moving(thread_id):
                leaving = await self._slots[number].let_go(thread_id)
                if leaving.left:
                    self._places.pop(thread_id, None)
        except (KeyError, UnavailableError):  # the slot has ended, and its watch says so
            return
        self._feed(Released(number) if leaving.left else Kept(number))
        if leaving.due_at:
            self._wake_when_due(thread_id, leaving.due_at)

    def _wake_when_due(self, thread_id: str, due_at: datetime) -> None:
        if seconds := seconds_to_look(due_at):
            asyncio.get_running_loop().call_later(seconds, self._wake_when_due, thread_id, due_at)
        else:
            self._feed(Wanted(thread_id))

    def _taken_over(self, number: int, slot: SlotPort, answer: "asyncio.Future[list[str]]") -> Slot:
        """What an earlier directory's slot is to the pool, now that it has answered, or has not."""
        if not answer.done() or answer.exception() or len(answer.result()) > 1:
            self._hold(self._wait_for(number, slot, answer), f"wait for slot {number}")
            return Slot()
        self._hire(number, slot)
        for thread_id in answer.result():
            self._places[thread_id] = slot
            return Slot(SlotStatus.BOUND, thread_id)
        return Slot(SlotStatus.FREE)

    async def _wait_for(self, number: int, slot: SlotPort, answer: "asyncio.Future[list[str]]") -> None:
        """A slot that says late that it is free is one; any other is of no use, because its thread is elsewhere now."""
        with suppress(Exception):
            async with asyncio.timeout(SILENT_AFTER):
                if not await answer:
                    self._hire(number, slot)
                    self._feed(Ready(number))
                    return
        logger.warning("Slot %s cannot be taken over, and is ended", number)
        await slot.kill()
        self._feed(Fell(number))

    def _hired(self, number: int) -> SlotPort:
        if (slot := self._slots.get(number)) is None:
            raise GoneError
        return slot

    def _hire(self, number: int, slot: SlotPort) -> None:
        self._slots[number] = slot
        self._hold(self._watch(number, slot), f"watch slot {number}")

    def _must_wait(self, thread_id: str, patient_until: float) -> bool:
        """Whether the thread has waited for a slot long enough, and none is on its way."""
        if self._is_draining:
            return True
        waits = thread_id in self._pool.waiting and not self._pool.will_serve(thread_id)
        return waits and asyncio.get_running_loop().time() >= patient_until

    async def _reader(self, thread_id: str) -> SlotPort:
        while not self._slots:
            await self._changed.wait()
        if (own := self._places.get(thread_id)) is not None:
            return own
        numbers = sorted(self._slots, key=lambda number: self._pool.slots[number].status is not SlotStatus.FREE)
        free = self._pool.count(SlotStatus.FREE) or len(numbers)
        self._next_reader += 1
        return self._slots[numbers[self._next_reader % free]]

    def _is_awake(self, thread_id: str) -> bool:
        return thread_id in self._places or thread_id in self._turns

    # Noticing

    async def _watch(self, number: int, slot: SlotPort) -> None:
        """A call that stays open for the slot's life: its end is the news of the death."""
        try:
            await slot.watch()
        except Exception as error:  # noqa: BLE001 - every kind of end is an end
            logger.info("Slot %s has ended: %s", number, error)
        self._mourn(number, slot)

    def _mourn(self, number: int, slot: SlotPort) -> None:
        """The slot is gone; its thread comes back elsewhere, with what it had not finished."""
        self._idle.pop(number, None)
        if self._slots.get(number) is slot:
            del self._slots[number]
            self._hold(slot.kill(), f"end slot {number}")  # it may live on, and only have lost its sockets
        orphans = [thread_id for thread_id, place in self._places.items() if place is slot]
        self._feed(Fell(number))
        for thread_id in orphans:
            del self._places[thread_id]
            self._feed(Wanted(thread_id))

    async def _sweep(self) -> None:
        """Ping what is bound, and shrink what is too many."""
        surplus_for = 0.0
        while True:
            await asyncio.sleep(PING_EVERY)
            bound = (SlotStatus.BOUND, SlotStatus.QUIET)
            await asyncio.gather(*(self._ping(n) for n, slot in self._pool.slots.items() if slot.status in bound))
            surplus = self._pool.count(SlotStatus.FREE) > self._settings.warm and not self._pool.waiting
            surplus_for = surplus_for + PING_EVERY if surplus else 0.0
            if surplus_for >= SURPLUS_AFTER:
                self._feed(Aged())

    async def _ping(self, number: int) -> None:
        slot, known = self._slots.get(number), self._pool.slots.get(number)
        if slot is None or known is None or (thread_id := known.thread_id) is None:  # it has fallen, or is free by now
            return
        try:
            idle = await asyncio.wait_for(slot.ping(), SILENT_AFTER)
        except TimeoutError:
            logger.warning("Slot %s has been silent for %s s and is killed", number, SILENT_AFTER)
            await slot.kill()
        except Exception as error:  # noqa: BLE001 - a slot that cannot be asked has ended, and its watch says so
            logger.info("Slot %s could not be pinged: %s", number, error)
        else:
            await self._note_idle(number, thread_id if idle else None)

    async def _note_idle(self, number: int, thread_id: str | None) -> None:
        """A thread that has nothing in hand at two pings has not been heard when it said so. At one, it may have come
        since, and its first run be on its way."""
        before = self._idle.pop(number, None)
        if thread_id is None or thread_id not in self._places or self._pool.holder(thread_id) != number:
            return
        self._idle[number] = thread_id
        if before == thread_id:
            await self.rested(number, thread_id)

    def _hold(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._drop)

    def _drop(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            logger.error("The directory could not %s", task.get_name(), exc_info=error)


def _address(slot: SlotPort | None) -> str | None:
    return slot.address if slot else None


def _ignore(*_: Any) -> None:
    """The lobby's threads need no slot to be told of, and no process to be ended."""
