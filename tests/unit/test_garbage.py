"""Garbage is removed in the name of whoever held it last."""

import pytest

from actors.garbage import Collector
from storage.errors import StaleError


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
def awake():
    return set()


@pytest.fixture
def collector(sweeping, awake):
    async def reader(_):
        return sweeping

    return Collector(sweeping, reader, awake.__contains__)


async def test_garbage_is_removed_in_the_name_of_whoever_held_it_last(collector, sweeping):
    await collector.remove("t1", 3)
    assert sweeping.removed == [("checkpoints", "t1", 3), ("tape", "t1", 3), ("garbage", "t1")]


async def test_what_is_made_again_is_no_garbage(collector, sweeping, awake):
    sweeping.made_again.add("t1")
    await collector.remove("t1", 3)
    awake.add("t2")
    await collector.remove("t2", 3)
    assert sweeping.removed == []
    awake.clear()
    await collector.remove("t2", 3)
    assert len(sweeping.removed) == 3
