"""How many connections a gateway takes, and how long it waits for what they ask."""

import asyncio
import sys
from contextlib import asynccontextmanager, suppress

import pytest
from litestar import Litestar, post
from litestar.params import RawBody
from uvicorn.server import ServerState

from web import connections
from web.connections import OWN_FILES, Config, Connection, Room, room_for
from web.settings import Settings

SOON = 20


@pytest.mark.parametrize(
    ("wanted", "files", "room"),
    [
        (None, 1_024, Room(768, 64)),
        (None, 512, Room(256, 64)),
        (None, 300, Room(150, 37)),
        (None, 4, Room(2, 1)),
        (100, 1_024, Room(100, 64)),
        (1_000, 1_024, Room(768, 64)),
        (10, None, Room(10, 64)),
        (None, None, Room(sys.maxsize - OWN_FILES, 64)),
    ],
)
def test_room(wanted, files, room):
    assert room_for(wanted, files) == room


@post("/")
async def echo(body: RawBody) -> bytes:
    return body


@asynccontextmanager
async def answering(most=None):
    """Opens connections to a gateway that echoes."""
    config, state = Config(Litestar([echo], logging_config=None), Settings(max_connections=most)), ServerState()
    config.load()
    writers = []

    async def connect(said=b""):
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(said)
        writers.append(writer)
        return reader, writer

    async with await asyncio.get_running_loop().create_server(
        lambda: Connection(config, state, {}), "127.0.0.1"
    ) as server:
        yield connect
        for writer in writers:
            writer.close()
            await writer.wait_closed()


async def rest_of(reader):
    """All that is said until it is hung up."""
    with suppress(ConnectionResetError):
        async with asyncio.timeout(SOON):
            return await reader.read()
    return b""


BEGUN = b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 2\r\n"


@pytest.mark.parametrize("said", [b"", BEGUN, BEGUN + b"\r\nhi" + BEGUN], ids=["nothing", "half", "one and a half"])
async def test_who_does_not_ask_in_time_is_hung_up_on(monkeypatch, said):
    monkeypatch.setattr(connections, "ASKED_WITHIN", 0.05)
    async with answering() as connect:
        reader, _ = await connect(said)
        assert (await rest_of(reader)).count(b"HTTP/1.1 ") == said.count(b"hi")


async def test_who_has_asked_has_all_the_time_it_wants_for_the_rest(monkeypatch):
    monkeypatch.setattr(connections, "ASKED_WITHIN", 0.05)
    async with answering() as connect:
        asking, writer = await connect(BEGUN + b"\r\n")
        for _ in range(2):  # as long as it takes to hang up on others
            await rest_of((await connect())[0])
        writer.write(b"hi")
        assert (await asking.readline()).startswith(b"HTTP/1.1 201")


async def test_who_is_refused_has_to_ask_sooner(monkeypatch):
    monkeypatch.setattr(connections, "REFUSED_WITHIN", 0.05)
    async with answering(most=1) as connect:
        await connect()
        refused = [await connect(BEGUN + b"\r\nhi"), await connect()]
        answers = [await rest_of(reader) for reader, _ in refused]
        assert answers[0].startswith(b"HTTP/1.1 503")
        assert answers[1] == b""


async def test_so_many_may_be_refused_and_further_ones_are_hung_up_on_at_once():
    async with answering(most=1) as connect:
        waiting = [await connect() for _ in range(1 + 64)]
        assert await rest_of((await connect(BEGUN + b"\r\nhi"))[0]) == b""
        waiting[-1][1].write(BEGUN + b"\r\nhi")
        assert (await rest_of(waiting[-1][0])).startswith(b"HTTP/1.1 503")


async def test_that_there_is_no_room_is_said_once_in_a_while(caplog, monkeypatch):
    async with answering(most=1) as connect:
        await connect()
        for _ in range(3):
            await rest_of((await connect(BEGUN + b"\r\nhi"))[0])
        assert caplog.messages == ["There are 1 connections, and no room for more: they are answered 503."]
        monkeypatch.setattr(connections, "SAID_EVERY", 0.0)
        await rest_of((await connect(BEGUN + b"\r\nhi"))[0])
        assert len(caplog.messages) == 2
