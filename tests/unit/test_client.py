"""A gateway's way to the threads: who only wants to know what became of a run wakes nobody."""

from contextlib import AsyncExitStack
from functools import partial
from unittest.mock import AsyncMock

import msgspec
import pytest

from actors import client as client_module
from actors.addresses import Addresses, Home
from actors.client import Client
from actors.doors import Door
from actors.errors import NotHereError
from actors.runtime import Ended, Submission
from storage.errors import UnavailableError
from storage.records import END, Part, RunStatus
from tests.factories import NOON, a_run, a_thread, an_assistant

RUN = a_run()
FINAL = a_run(run_id=RUN.run_id, status=RunStatus.SUCCESS, ended_at=NOON, last_seq=1)
LAST = Part(1, 0, RUN.run_id, END, b"{}")


class Ledger:
    """Knows how the run has ended."""

    def __init__(self):
        self.asked = 0

    async def run(self, thread_id, run_id, *, lately):
        self.asked += 1
        return FINAL


class Directory:
    """Knows one thread: in the lobby first, then resting; and one slot, which has none of them."""

    def __init__(self, slot):
        self._slot = slot
        self._homes = [Home(None), None]
        self.lobby = Lobby()
        self.woken = 0

    async def locate(self, thread_id):
        if home := self._homes.pop(0):
            return home.address
        self.woken += 1
        return self._slot

    async def find(self, thread_id):
        return self._homes[0]

    async def reader(self, thread_id):
        return self._slot


class Lobby:
    """The run is let in here, and goes on in a slot, where it ends before anybody asks."""

    async def submit(self, submission):
        return RUN

    async def submit_and_stream(self, submission):
        yield RUN, msgspec.msgpack.encode([])

    async def submit_and_wait(self, submission):
        yield RUN, b""
        raise NotHereError

    async def ended(self, thread_id, run_id):
        raise NotHereError


class Slot:
    async def stream(self, thread_id, run_id, after):
        raise NotHereError
        yield

    async def recall(self, run, after):
        yield msgspec.msgpack.encode([LAST])


@pytest.fixture
async def client(tmp_path):
    addresses = Addresses(str(tmp_path))
    behind = {addresses.ledger: Ledger(), addresses.slot(1): Slot()}
    behind[addresses.directory] = Directory(addresses.slot(1))
    async with AsyncExitStack() as stack:
        for address, what in behind.items():
            door = Door(address, partial(_opened, what))
            await door.listen()
            stack.callback(door.close)
        client = Client(addresses, [])
        yield client, behind[addresses.directory], behind[addresses.ledger]


async def _opened(what, _):
    return what


WANTED = Submission(run=RUN, assistant=an_assistant(), new_thread=a_thread())


async def test_the_end_of_a_run_is_found_without_waking_its_thread(client):
    client, directory, _ = client
    await client.submit(WANTED)
    assert await client.ended("t1", RUN.run_id) == FINAL
    assert not directory.woken


async def test_so_is_the_end_that_was_asked_for_with_the_run(client):
    client, directory, ledger = client
    run, ended = await client.submit_and_wait(WANTED)
    assert run == RUN
    assert await ended() == (FINAL, None)
    assert (directory.woken, ledger.asked) == (0, 1)


@pytest.mark.parametrize("again", [False, True], ids=["at once", "later"])
async def test_what_a_run_has_said_is_read_without_waking_its_thread(client, again):
    client, directory, ledger = client
    _, parts = await client.submit_and_follow(WANTED)
    assert [batch async for batch in parts] == [[LAST]]
    if again:
        assert [batch async for batch in await client.follow("t1", RUN.run_id, 0)] == [[LAST]]
    assert (directory.woken, ledger.asked) == (0, 2 if again else 1)


async def test_an_end_that_comes_while_it_is_waited_for_is_asked_for_nowhere_else(client, monkeypatch):
    async def submit_and_wait(self, submission):
        yield RUN, b""
        yield Ended(FINAL, b"{}")

    monkeypatch.setattr(Lobby, "submit_and_wait", submit_and_wait)
    client, directory, ledger = client
    _, ended = await client.submit_and_wait(WANTED)
    assert await ended() == (FINAL, b"{}")
    assert (directory.woken, ledger.asked) == (0, 0)


@pytest.mark.parametrize("refused", [1, 3])
async def test_who_follows_a_run_waits_while_its_thread_cannot_be_brought_back(client, monkeypatch, refused):
    """For there is no room on the disk, and no slot can be written down for it."""
    client, _, ledger = client
    monkeypatch.setattr(client_module, "AGAIN_AFTER", 0.001)
    _, parts = await client.submit_and_follow(WANTED)
    ends, located = iter([RUN, FINAL]), []

    async def still_running(*_, **__):
        return next(ends)

    async def full(self, thread_id):
        located.append(thread_id)
        if len(located) % (refused + 1):
            raise UnavailableError
        return self._slot

    monkeypatch.setattr(Directory, "locate", full)
    monkeypatch.setattr(ledger, "run", still_running)
    assert [batch async for batch in parts] == [[LAST]]
    assert len(located) >= refused + 1


async def test_who_follows_a_run_does_not_wait_for_ever(client, monkeypatch):
    client, _, ledger = client
    monkeypatch.setattr(client_module, "AGAIN_AFTER", 0.001)
    monkeypatch.setattr(client_module, "PATIENCE", 0.0)
    _, parts = await client.submit_and_follow(WANTED)
    monkeypatch.setattr(Directory, "locate", AsyncMock(side_effect=UnavailableError))
    monkeypatch.setattr(ledger, "run", AsyncMock(return_value=RUN))
    with pytest.raises(UnavailableError):
        await anext(aiter(parts))
