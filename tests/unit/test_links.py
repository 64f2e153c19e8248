"""Calls and streams between processes: errors keep their kind, and who goes is missed at once."""

import asyncio
import os
import socket
from contextlib import aclosing

import anyio
import pytest

from actors.doors import Door
from actors.errors import FaultError, GoneError, NotHereError
from actors.links import UNREAD, Links
from storage.errors import UnavailableError


class Shop:
    """What is behind the door."""

    def __init__(self):
        self.made = 0
        self.closed = asyncio.Event()
        self.told = asyncio.Queue()
        self.never = asyncio.Event()
        self.back = Back()

    async def echo(self, *args, **kwargs):
        return args, kwargs

    async def refuse(self):
        raise NotHereError

    async def fail(self):
        raise KeyError("secret")

    async def give_what_cannot_be_sent(self):
        return lambda: None

    async def wait(self):
        await self.never.wait()

    async def tell(self, what):
        await self.told.put(what)

    async def count(self, end):
        try:
            for number in range(end):
                self.made = number + 1
                yield number
        finally:
            self.closed.set()

    async def break_off(self):
        yield 1
        raise NotHereError

    async def _private(self):
        return "private"


class Back:
    async def echo(self, what):
        return what


@pytest.fixture
async def shop():
    return Shop()


@pytest.fixture
async def address(tmp_path_factory, shop):
    async def open_shop(links):
        return shop

    address = str(tmp_path_factory.mktemp("l") / "shop")
    door = Door(address, open_shop)
    await door.listen()
    yield address
    door.close()


@pytest.fixture
async def links():
    links = Links()
    yield links
    links.close()


@pytest.fixture
def peer(links, address):
    return links.to(address)


async def settled(peer):
    """Let everything over there happen that can: each answer comes after what was asked before it."""
    for _ in range(3 * UNREAD):
        await peer.call("echo")


async def test_many_calls_at_once_each_get_their_own_answer(peer):
    answers = await asyncio.gather(*(peer.call("echo", n, twice=2 * n) for n in range(200)))
    assert answers == [((n,), {"twice": 2 * n}) for n in range(200)]


async def test_a_part_of_an_object_is_called_by_its_path(links, address):
    assert await links.to(address, "back.").call("echo", "x" * 1_000_000) == "x" * 1_000_000


async def test_our_own_errors_keep_their_kind(peer):
    with pytest.raises(NotHereError):
        await peer.call("refuse")


async def test_other_errors_are_named_and_stay_over_there(peer, caplog):
    with pytest.raises(FaultError, match="KeyError"):
        await peer.call("fail")
    assert "secret" in caplog.text


async def test_what_cannot_be_sent_is_the_fault_of_its_sender(peer):
    with pytest.raises(FaultError):
        await peer.call("give_what_cannot_be_sent")
    with pytest.raises(Exception, match="pickle"):
        await peer.call("echo", lambda: None)
    assert await peer.call("echo") == ((), {})


async def test_what_is_private_stays_so(peer):
    with pytest.raises(FaultError, match="private"):
        await peer.call("_private")


async def test_a_call_that_nobody_awaits_is_carried_out(peer, shop):
    peer.tell("tell", "first")  # opens the connection
    assert await shop.told.get() == "first"
    peer.tell("tell", "second")
    assert await shop.told.get() == "second"


async def test_a_stream_hands_out_everything_in_order(peer):
    assert [item async for item in peer.stream("count", 5 * UNREAD)] == list(range(5 * UNREAD))


async def test_a_stream_is_only_so_far_ahead_of_its_reader(peer, shop):
    async with aclosing(peer.stream("count", 100)) as items:
        assert await anext(items) == 0
        await settled(peer)
        assert shop.made <= UNREAD + 1
        for _ in range(UNREAD):
            await anext(items)
        await settled(peer)
        assert UNREAD + 1 < shop.made <= 2 * UNREAD + 1
    await shop.closed.wait()


async def test_a_reader_that_leaves_ends_the_stream_over_there(peer, shop):
    async with aclosing(peer.stream("count", 1_000_000)) as items:
        await anext(items)
    await shop.closed.wait()
    assert shop.made < 1_000_000


async def test_a_stream_that_breaks_off_says_so_after_its_items(peer):
    items = peer.stream("break_off")
    assert await anext(items) == 1
    with pytest.raises(NotHereError):
        await anext(items)


async def test_streams_do_not_hold_up_one_another(peer):
    async with aclosing(peer.stream("count", 1_000_000)) as stopped:
        await anext(stopped)
        assert len([item async for item in peer.stream("count", 100)]) == 100


async def test_a_process_that_ends_is_missed_at_once(tmp_path_factory, links):
    async def open_shop(_):
        return Shop()

    address = str(tmp_path_factory.mktemp("l") / "mortal")
    door = Door(address, open_shop)
    await door.listen()
    peer = links.to(address)
    calls = [asyncio.create_task(peer.call("wait")) for _ in range(3)]
    items = peer.stream("count", 1_000_000)
    await anext(items)
    door.close()
    assert all(isinstance(error, GoneError) for error in await asyncio.gather(*calls, return_exceptions=True))
    with pytest.raises(GoneError):
        [item async for item in items]
    with pytest.raises(GoneError):
        await peer.call("echo")


async def test_a_process_that_follows_another_at_its_address_is_found(tmp_path_factory, links):
    address = str(tmp_path_factory.mktemp("l") / "phoenix")
    peer = links.to(address)
    for life in range(2):

        async def open_shop(_, life=life):
            return Life(life)

        door = Door(address, open_shop)
        await door.listen()
        assert await peer.call("number") == life
        door.close()
        while links.known(address):
            await anyio.lowlevel.checkpoint()


class Life:
    def __init__(self, life):
        self._life = life

    async def number(self):
        return self._life


async def test_an_object_that_cannot_be_opened_is_tried_again(tmp_path_factory, links):
    lives = iter([UnavailableError("not yet"), Life(2)])

    async def open_shop(_):
        if isinstance(found := next(lives), Exception):
            raise found
        return found

    address = str(tmp_path_factory.mktemp("l") / "late")
    door = Door(address, open_shop)
    await door.listen()
    with pytest.raises(UnavailableError, match="not yet"):
        await links.to(address).call("number")
    assert await links.to(address).call("number") == 2
    door.close()


async def test_a_visitor_that_vanishes_leaves_no_stream_behind(address, shop):
    strangers = Links()
    items = strangers.to(address).stream("count", 1_000_000)
    await anext(items)
    strangers.close()
    await shop.closed.wait()


async def test_nobody_at_an_address_is_gone(links, tmp_path):
    with pytest.raises(GoneError, match="nobody"):
        await links.to(str(tmp_path / "nobody")).call("echo")
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(tmp_path / "deaf"))
        with pytest.raises(GoneError):
            await links.to(str(tmp_path / "deaf")).call("echo")


async def test_a_child_that_user_code_forks_has_none_of_our_sockets(peer):
    await peer.call("echo")
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        os.write(writer, str(len(our_sockets())).encode())
        os._exit(0)
    os.waitpid(child, 0)  # noqa: ASYNC222 - it writes and ends
    assert os.read(reader, 10) == b"0"
    assert our_sockets(), "they are open here"
    assert await peer.call("echo") == ((), {})
    os.close(reader)
    os.close(writer)


def our_sockets():
    """The Unix sockets that are open here and have a name, or whose other end has one."""
    return [end for number in range(100) for end in ends(number) if end and isinstance(end, str)]


def ends(number):
    """The names of both ends of what is open under that number, if it is a socket."""
    try:
        with socket.socket(fileno=os.dup(number)) as one:
            return one.getsockname(), one.getpeername()
    except OSError:
        return ()
