"""How a gateway stops: open answers are broken off, so that their clients take them up again elsewhere.

A body that ends cleanly says that its run has ended, and clients believe it. So an answer is broken by an
exception out of its body, which makes uvicorn close the connection.
"""

import asyncio
import logging
import socket
from collections.abc import Generator
from contextlib import contextmanager

import uvicorn


class BrokenOffError(Exception):
    """An answer that has begun cannot go on here."""


class GatewayStoppingError(BrokenOffError):
    """This gateway stops; another one can go on."""


class Stopping:
    """Whether this gateway stops, and everybody who wants to know."""

    def __init__(self) -> None:
        self.begun = False
        self._watchers: set[asyncio.Future[None]] = set()

    def begin(self) -> None:
        """Tell everybody. To be called on the event loop."""
        self.begun = True
        for watcher in self._watchers:
            if not watcher.done():
                watcher.set_result(None)

    @contextmanager
    def watched(self) -> Generator[asyncio.Future[None], None, None]:
        """A future that is done when the gateway stops. Each has its own: waiting on a shared one costs more the
        more wait on it."""
        watcher: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.begun:
            watcher.set_result(None)
        self._watchers.add(watcher)
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)


class Server(uvicorn.Server):
    """uvicorn, which waits for open answers when it stops, and so has to end them first."""

    def __init__(self, config: uvicorn.Config, stopping: Stopping) -> None:
        super().__init__(config)
        self._stopping = stopping
        logging.getLogger("uvicorn.error").addFilter(is_news)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stopping.begin()
        await super().shutdown(sockets)


def is_news(record: logging.LogRecord) -> bool:
    """False for a record about an answer that was broken off on purpose."""
    return not (record.exc_info and record.exc_info[1] and _broken_off(record.exc_info[1]))


def _broken_off(error: BaseException) -> bool:
    """Whether that is the reason of `error`, which Litestar and anyio have wrapped by now."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(_broken_off, error.exceptions))
    return isinstance(error, BrokenOffError) or (error.__cause__ is not None and _broken_off(error.__cause__))
