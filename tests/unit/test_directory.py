"""A new directory takes over the slots of the last; whoever waits for a thread to move hears of it, and waits no longer
than it said; garbage is removed in the name of whoever held it last."""

import asyncio
from typing import Any, cast

import pytest

from actors import directory as directory_module
from actors.addresses import Home
from actors.directory import Directory, DirectorySettings, _Turn
from actors.errors import GoneError
from actors.pool import Pool, Slot, SlotStatus
from actors.project import RunLimits
from storage.errors import StaleError
from storage.journal import NotKeptError


async def test_a_wait_for_a_move_ends_with_the_move():
    turn = _Turn()
    waiting = [asyncio.create_task(turn.moved(within=60)) for _ in range(3)]
    await asyncio.sleep(0)
    turn.tell()
    await asyncio.gather(*waiting)


async def test_a_wait_that_was_in_vain_is_a_wait_again():
    turn = _Turn()
    for _ in range(3):
        waiting = asyncio.create_task(turn.moved(within=0.001))
        await asyncio.sleep(0)
        assert not waiting.done()
        await waiting


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


class Sweeping:
    """A slot and a ledger that write down what is removed; threads that were made again are in later hands."""

    def __init__(self):
        self.removed = []
        self.made_again = set()

    async def forget(self, thread_id, epoch):
        if thread_id in self.made_again:
            raise StaleError
        self.removed.append(("checkpoints", thread_id, epoch))

    async def forget_tape(self, thread_id, epoch):
        self.removed.append(("tape", thread_id, epoch))

    async def swept(self, thread_id):
        self.removed.append(("garbage", thread_id))


@pytest.fixture
def sweeping():
    return Sweeping()


@pytest.fixture
async def sweeper(sweeping):
    limits = RunLimits(grace=1, timeout=1, waiting=1)
    directory = Directory(DirectorySettings(warm=1, most=1, limits=limits), cast(Any, sweeping), cast(Any, None))
    directory._slots[1] = cast(Any, sweeping)
    directory._pool = Pool(warm=1, most=1, slots={1: Slot(SlotStatus.FREE)})
    return directory


async def test_garbage_is_removed_in_the_name_of_whoever_held_it_last(sweeper, sweeping):
    await sweeper._remove("t1", 3)
    assert sweeping.removed == [("checkpoints", "t1", 3), ("tape", "t1", 3), ("garbage", "t1")]


async def test_what_is_made_again_is_no_garbage(sweeper, sweeping):
    sweeping.made_again.add("t1")
    await sweeper._remove("t1", 3)
    sweeper._places["t2"] = None
    await sweeper._remove("t2", 3)
    with sweeper._attended("t3"):
        await sweeper._remove("t3", 3)
    assert sweeping.removed == []
    await sweeper._remove("t3", 3)
    assert len(sweeping.removed) == 3


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
