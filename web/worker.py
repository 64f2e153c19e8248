"""A gateway in a process of its own, started by `web.workers` of `treadle serve`; there may be many, none special.

It is no Ray driver: everything it needs is behind the sockets of the directory and the ledger, which come back at the
same addresses when those restart. So it starts in a second instead of five, needs no token, and does not go down with
Ray by surprise. Its parent says where these are, and what to listen on, in a line on its standard input.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager

import msgspec
import uvloop
from msgspec import Struct

from actors.addresses import Addresses
from actors.client import Client
from actors.runtime import Runtime
from storage.records import Assistant
from web.app import create_app
from web.connections import Config
from web.settings import Settings
from web.stopping import Server, Stopping

READY = b"ready\n"
"""What it says on its standard output, once it answers."""


class Posting(Struct, frozen=True):
    """What a gateway is told when it starts."""

    listener: int
    """The socket that it shares with the other gateways, by its number, which it has inherited."""
    addresses: Addresses
    assistants: list[Assistant]
    settings: Settings


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal tells everybody; our parent says what is to be done
    posting = msgspec.json.decode(sys.stdin.buffer.readline(), type=Posting)
    with socket.socket(fileno=posting.listener) as listener:
        uvloop.run(_serve(posting, listener))


async def _serve(posting: Posting, listener: socket.socket) -> None:
    @asynccontextmanager
    async def open_runtime() -> AsyncGenerator[Runtime, None]:
        yield Client(posting.addresses, posting.assistants)

    stopping = Stopping()
    app = create_app(open_runtime, posting.settings, stopping)
    await _Server(Config(app, posting.settings), stopping).serve([listener])


class _Server(Server):
    """uvicorn, which tells its parent that it is ready, and ends with it."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            sys.stdout.buffer.write(READY)
            sys.stdout.buffer.flush()
            os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # nobody reads on

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._end)
        loop.add_reader(sys.stdin.fileno(), self._end)  # nothing more is said there: it is the end of our parent
        yield

    def _end(self) -> None:
        self.should_exit = True
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())


if __name__ == "__main__":
    main()
