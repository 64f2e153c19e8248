"""A new directory takes over the slots of the last, and asks those that it has how they are."""

import asyncio
from unittest.mock import AsyncMock

import pytest

from actors import directory as directory_module
from actors.addresses import Home
from actors.directory import Directory, DirectorySettings
from actors.errors import GoneError
from actors.pool import Slot, SlotStatus
from actors.project import RunLimits
from storage.journal import NotKeptError


class Ledger:
    """Nobody has anything to do."""

    async def unfinished_threads(self):
        return []


class Survivor:
    """A slot of an earlier directory, which says when it is told to which threads it has."""

    address = "survivor"

    def __init__(self):
        self.answer = asyncio.get_running_loop().create_future()
        self.ended = asyncio.Event()

    async def threads(self):
        return await self.answer

    async def bind(self, binding):
        raise AssertionError("nothing is bound here")

    async def watch(self):
        await asyncio.Event().wait()

    async def kill(self):
        self.ended.set()


class Launcher:
    """Launches nothing that ever starts."""

    def __init__(self, *survivors):
        self._survivors = dict(enumerate(survivors, 4))

    async def survivors(self):
        return self._survivors

    async def launch(self, number):
        await asyncio.Event().wait()


def directory(*survivors):
    settings = DirectorySettings(warm=1, most=4, limits=RunLimits(grace=1, timeout=1, waiting=1))
    return Directory(settings, Ledger(), Launcher(*survivors))


async def test_slots_that_are_there_keep_their_threads():
    bound, free = Survivor(), Survivor()
    bound.answer.set_result(["a"])
    free.answer.set_result([])
    taken = directory(bound, free)
    await taken.open()
    assert await taken.find("a") == Home("survivor")
    assert await taken.locate("a") == bound.address
    assert [slot.thread_id for slot in taken._pool.slots.values()] == ["a", None]
    await taken.close()


@pytest.mark.parametrize("answer", [["a"], ["a", "b"], GoneError()], ids=str)
async def test_a_slot_that_cannot_be_taken_over_is_ended(monkeypatch, answer):
    """Too late: its thread may be elsewhere by now."""
    monkeypatch.setattr(directory_module, "ANSWERED_WITHIN", 0.001)
    slow = Survivor()
    taken = directory(slow)
    await taken.open()
    if isinstance(answer, Exception):
        slow.answer.set_exception(answer)
    else:
        slow.answer.set_result(answer)
    await slow.ended.wait()
    assert await taken.find("a") is None
    await taken.close()


async def test_a_slot_that_answers_late_is_used_if_it_is_free(monkeypatch):
    monkeypatch.setattr(directory_module, "ANSWERED_WITHIN", 0.001)
    slow = Survivor()
    taken = directory(slow)
    await taken.open()
    slow.answer.set_result([])
    assert await taken.reader("x") == slow.address
    assert not slow.ended.is_set()
    await taken.close()


class Idle(Survivor):
    """Has nothing in hand, whatever it is bound to."""

    async def ping(self):
        return True


async def test_a_ping_takes_nobody_for_quiet_who_has_only_just_come():
    """It may have been on its way since before the slot was bound; the thread's first run is on its way as well."""
    slot = Idle()
    slot.answer.set_result([])
    taken = directory(slot)
    taken._ledger.bind = slot.bind = AsyncMock()
    await taken.open()
    assert await taken.locate("a") == slot.address
    await taken._ping(4)
    assert taken._pool.slots[4] == Slot(SlotStatus.BOUND, "a")
    await taken._ping(4)
    assert taken._pool.slots[4] == Slot(SlotStatus.QUIET, "a"), "it did not say so itself, or was not heard"
    await taken.close()


async def test_a_ping_says_nothing_of_a_thread_that_is_still_being_bound():
    slot, is_asked, is_written = Idle(), asyncio.Event(), asyncio.Event()

    async def bind(*_, **__):
        is_asked.set()
        await is_written.wait()

    slot.answer.set_result([])
    slot.bind = AsyncMock()
    taken = directory(slot)
    taken._ledger.bind = bind
    await taken.open()
    located = asyncio.create_task(taken.locate("a"))
    await is_asked.wait()
    for _ in range(2):
        await taken._ping(4)
    assert taken._pool.slots[4] == Slot(SlotStatus.BOUND, "a")
    is_written.set()
    assert await located == slot.address
    await taken.close()


async def test_nothing_is_remembered_of_a_slot_that_has_ended():
    slot = Idle()
    slot.answer.set_result([])
    taken = directory(slot)
    taken._ledger.bind = slot.bind = AsyncMock()
    await taken.open()
    await taken.locate("a")
    await taken._ping(4)
    assert taken._idle
    taken._mourn(4, taken._slots.pop(4))  # as after it was retired
    assert not taken._idle
    await taken.close()


async def test_a_slot_that_falls_between_the_sweep_and_its_ping_does_not_end_the_sweep():
    taken = directory()
    await taken.open()
    await taken._ping(9)
    await taken.close()


class FullLedger(Ledger):
    """Its disk is full."""

    async def bind(self, thread_id, *, handed_over=()):
        raise NotKeptError("full")


async def test_a_thread_that_cannot_be_bound_is_refused_to_all_who_wait(caplog):
    free = Survivor()
    free.answer.set_result([])
    settings = DirectorySettings(warm=1, most=1, limits=RunLimits(grace=1, timeout=1, waiting=1))
    full = Directory(settings, FullLedger(), Launcher(free))
    await full.open()
    async with asyncio.timeout(5):
        answers = await asyncio.gather(*(full.locate("a") for _ in range(3)), return_exceptions=True)
    assert [str(answer) for answer in answers] == ["full"] * 3
    assert "Traceback" not in caplog.text
    await full.close()
